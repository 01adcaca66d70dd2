//! The ends of statements that are not in the group where they started: found further on.

use super::super::Record;
use super::super::layout::Layout;
use super::super::reader::ReadError;
use super::hands::Hands;
use super::keys::Keys;
use super::log::Log;
use super::plan::{self, Group};

const ENDS: [&[u8]; 4] = [
    b"statement_results",
    b"statement_finished",
    b"commit_failed",
    b"connection_closed",
];

/// Bytes of lines behind an end among which a failed commit is looked for.
pub(super) const LATE: usize = 64 * 1024;

/// The records of failed commits of `ended`, which ended late in the piece before the place
/// (segment, piece), if they come soon.
pub(super) fn commits(
    log: &Log<'_>,
    hands: &mut Hands,
    (mut segment, mut next): (usize, usize),
    ended: &Keys,
) -> Result<Vec<Record>, ReadError> {
    let mut found = Vec::new();
    let mut read = 0;
    while read < LATE && !ended.is_empty() && segment < log.segments().len() {
        let layout = log.layout(segment)?;
        if next >= layout.pieces.len() {
            (segment, next) = (segment + 1, 0);
            continue;
        }
        let block = hands.spare(log, &layout, next)?;
        read += block.len();
        next += 1;
        found.extend(ended.records_in(block, &[b"commit_failed"]));
    }
    Ok(found)
}

/// The records behind `group` that tell of the ends of `wanted`.
pub(super) fn ends(
    log: &Log<'_>,
    hands: &mut Hands,
    group: &Group,
    mut wanted: Keys,
) -> Result<Vec<Record>, ReadError> {
    let mut found = Vec::new();
    for segment in group.segment..log.segments().len() {
        if wanted.is_empty() {
            break;
        }
        let layout = log.layout(segment)?;
        let mut here = ending_in(&layout, &wanted);
        for piece in pieces(&layout, &here, group, segment) {
            if here.is_empty() {
                break;
            }
            let mut late = Keys::default();
            for (left, record) in here.places_in(hands.spare(log, &layout, piece)?, &ENDS) {
                if left < LATE {
                    late.add_end(&record);
                }
                here.forget_ended(&record);
                wanted.forget_ended(&record);
                found.push(record);
            }
            found.extend(commits(log, hands, (segment, piece + 1), &late)?);
        }
        // By the index, they ended here: they are nowhere else.
        if layout.index.is_some() {
            here.iter().for_each(|(key, _)| wanted.remove(key));
        }
    }
    Ok(found)
}

/// Those that may have ended in a segment: all that its index does not say are open behind it.
fn ending_in(layout: &Layout, wanted: &Keys) -> Keys {
    let mut here = Keys::default();
    for ((connection, statement), session) in wanted.iter() {
        let index = layout.index.as_ref();
        if !index.is_some_and(|index| index.open.has(connection, statement)) {
            here.add((connection, statement), session);
        }
    }
    here
}

/// The pieces of a segment, behind `group`, that may have records of `keys`.
fn pieces(layout: &Layout, keys: &Keys, group: &Group, segment: usize) -> Vec<usize> {
    let last = group.pieces.last().copied();
    let is_behind = |piece: &usize| segment > group.segment || Some(*piece) > last;
    let pieces = plan::of_sessions(layout, &keys.sessions()).into_iter();
    pieces.filter(is_behind).collect()
}
