//! Records that nobody had signed when their writer went away: the next start went on behind them.

use super::fault::records;

/// Stretches that are told one by one beyond which nobody reads.
const MANY: usize = 1000;

/// Stretches of records that were taken over unsigned.
#[derive(Default)]
pub(super) struct Stretches {
    /// How many there are.
    pub(super) count: u64,
    /// Their records.
    pub(super) records: u64,
    /// The first and the last record of each, but of those beyond [`MANY`].
    told: Vec<(u64, u64)>,
    /// The last record of the last one.
    last: Option<u64>,
}

impl Stretches {
    /// A segment with the records from `first` to `last` has another one behind it, and `signed`
    /// is the last checkpoint there is.
    pub(super) fn left(&mut self, (first, last): (u64, u64), signed: Option<u64>) {
        let first = signed.map_or(first, |signed| first.max(signed.saturating_add(1)));
        if first > last {
            return;
        }
        self.records += last - first + 1;
        let end = self.last.replace(last);
        match self.told.last_mut() {
            Some(told) if Some(told.1) == end && told.1.saturating_add(1) == first => {
                told.1 = last;
            }
            _ => {
                self.count += 1;
                if self.told.len() < MANY {
                    self.told.push((first, last));
                }
            }
        }
    }

    /// What is to be said of each.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        self.told.iter().map(|(first, last)| {
            let were = if first == last { "was" } else { "were" };
            format!(
                "{} {were} not signed when hallpass started next: a crash leaves such, and so can somebody who may write to the folder",
                records(*first, *last)
            )
        })
    }
}
