//! The records that were deleted, as the log says it: every gap, each named by what the record
//! behind it is linked to.

use std::io;

use super::archive::{Archive, Stored};
use super::{Event, Gap, Hash, Head, PublicKey, Record};

/// How a record of a deletion begins to look like one.
const MARK: &[u8] = br#""type":"segments_deleted""#;

/// How a checkpoint begins to look like one.
const SIGNED: &[u8] = br#""type":"checkpoint""#;

/// The gaps of a log after a deletion: those that were `known`, and the segments that are `going`
/// (their first records, and their last), but for what is `kept` (first and last records, rising).
/// What else is missing is none of ours: nobody may be told that it was deleted.
///
/// `link` gives what the first record of a kept segment is linked to.
///
/// # Errors
/// Those of `link`.
pub(super) fn after(
    known: &[Gap],
    going: &[(u64, Head)],
    kept: &[(u64, u64)],
    mut link: impl FnMut(u64) -> io::Result<Hash>,
) -> io::Result<Vec<Gap>> {
    let ends = known.iter().map(|gap| (gap.first, gap.last));
    let ends: Vec<(u64, Head)> = ends.chain(going.iter().copied()).collect();
    let ranges = ends.iter().map(|(first, last)| (*first, last.seq));
    let ranges = without(&merged(ranges.collect()), kept);
    let gap = |(first, last): (u64, u64)| {
        let behind = kept.iter().any(|(first, _)| *first == last + 1);
        let known = ends.iter().find(|(_, end)| end.seq == last);
        let hash = match (behind, known) {
            // What is linked to it is part of the chain; an index only says so.
            (true, _) => link(last + 1)?,
            (false, Some((_, end))) => end.hash,
            (false, None) => return Ok(None),
        };
        let last = Head { seq: last, hash };
        Ok(Some(Gap { first, last }))
    };
    ranges
        .into_iter()
        .map(gap)
        .filter_map(Result::transpose)
        .collect()
}

/// The same ranges, rising, and one where two touch.
fn merged(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// What is left of `ranges` without `kept`; both rise.
fn without(ranges: &[(u64, u64)], kept: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut left = Vec::new();
    for &(mut first, last) in ranges {
        for &(start, end) in kept {
            if end < first || start > last {
                continue;
            }
            if start > first {
                left.push((first, start - 1));
            }
            first = end + 1;
        }
        if first <= last {
            left.push((first, last));
        }
    }
    left
}

/// The gaps that the log says it has, in its last record of a deletion; none if it has none.
/// What somebody without `key` may have written is not believed: a deletion is restated and signed
/// again with the next one, so it counts only with a checkpoint by this key behind it in its own
/// segment, as hallpass makes it before it deletes.
///
/// # Errors
/// If the log cannot be read.
pub(super) fn declared(archive: &Archive, key: PublicKey) -> io::Result<Vec<Gap>> {
    for segment in archive.segments().iter().rev() {
        if let Some(gaps) = declared_in(archive, segment, key)? {
            return Ok(gaps);
        }
    }
    Ok(Vec::new())
}

fn declared_in(
    archive: &Archive,
    segment: &Stored,
    key: PublicKey,
) -> io::Result<Option<Vec<Gap>>> {
    let [deletion, checkpoint] = [MARK, SIGNED].map(memchr::memmem::Finder::new);
    let (mut unsigned, mut last) = (None, None);
    for block in archive.blocks(segment) {
        let block = block?;
        if unsigned.is_none() && deletion.find(&block.bytes).is_none() {
            continue;
        }
        let marked = |line: &&[u8]| deletion.find(line).or(checkpoint.find(line)).is_some();
        for line in block.lines().filter(marked) {
            let record: Record = serde_json::from_slice(line)?;
            match &record.event {
                Event::SegmentsDeleted { gaps, .. } => unsigned = Some(gaps.clone()),
                Event::Checkpoint { signature, .. }
                    if key.signed(signature, record.seq, &record.prev, record.at) =>
                {
                    last = unsigned.take().or(last);
                }
                _ => {}
            }
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn hash(seq: u64) -> Hash {
        Hash::of(&seq.to_be_bytes())
    }

    fn head(seq: u64) -> Head {
        let hash = hash(seq);
        Head { seq, hash }
    }

    fn gap(first: u64, last: u64) -> Gap {
        let last = head(last);
        Gap { first, last }
    }

    fn link(first: u64) -> io::Result<Hash> {
        Ok(hash(first - 1))
    }

    #[test]
    fn gaps_that_touch_become_one_and_islands_stay() {
        let going = [(1, head(10)), (11, head(20)), (31, head(40))];
        let kept = [(21, 30), (41, 50)];
        let gaps = after(&[], &going, &kept, link).unwrap();
        assert_eq!(gaps, [gap(1, 20), gap(31, 40)]);
        // The island is let go: all is one.
        let gaps = after(&gaps, &[(21, head(30))], &[(41, 50)], link).unwrap();
        assert_eq!(gaps, [gap(1, 40)]);
    }

    #[test]
    fn what_was_to_be_deleted_and_is_still_there_is_no_gap() {
        let kept = [(11, 20), (41, 50)];
        let gaps = after(&[gap(1, 30)], &[(31, head(40))], &kept, link).unwrap();
        assert_eq!(gaps, [gap(1, 10), gap(21, 40)]);
    }

    #[test]
    fn what_somebody_else_took_away_is_not_called_deleted() {
        // 11 to 20 are missing, and nobody knows why.
        let going = [(1, head(10)), (21, head(30))];
        let gaps = after(&[], &going, &[(31, 40)], link).unwrap();
        assert_eq!(gaps, [gap(1, 10), gap(21, 30)]);
    }

    proptest! {
        /// Segments of ten records; whatever goes, and goes again, in whatever order: what is named
        /// is what is gone.
        #[test]
        fn what_is_named_is_what_went_and_is_not_there(
            rounds in prop::collection::vec(prop::collection::btree_set(0u64..20, 0..6), 1..8)
        ) {
            let segment = |n: u64| (n * 10 + 1, n * 10 + 10);
            let mut there: BTreeSet<u64> = (0..21).collect();
            let mut known = Vec::new();
            for going in rounds {
                let going: Vec<u64> = going.intersection(&there).copied().collect();
                there.retain(|n| !going.contains(n));
                let ends: Vec<_> = going.iter().map(|n| (segment(*n).0, head(segment(*n).1))).collect();
                let kept: Vec<_> = there.iter().map(|n| segment(*n)).collect();
                known = after(&known, &ends, &kept, link).unwrap();
                let named: BTreeSet<u64> = known.iter().flat_map(|gap| gap.first..=gap.last.seq).collect();
                let gone = (0..21).filter(|n| !there.contains(n));
                let gone: BTreeSet<u64> = gone.flat_map(|n| segment(n).0..=segment(n).1).collect();
                prop_assert_eq!(named, gone);
                prop_assert!(known.windows(2).all(|pair| pair[0].last.seq + 1 < pair[1].first));
                prop_assert!(known.iter().all(|gap| gap.last.hash == hash(gap.last.seq)));
            }
        }
    }
}
