//! Keeps the folder in order while the writer writes: seals what is complete, deletes what is old.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::durable::{remove, sync_folder};
use super::files::FileKind;
use super::inventory::{Inventory, Sealed};
use super::retention::{Reason, Retention, Wanted};
use super::{Asked, Event, Flow, Gap, Head, Held, PublicKey, Recorder, gaps, seal};
use crate::access::SessionId;
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// How often it looks.
const PACE: Duration = Duration::from_secs(1);
/// Records a second at which the log counts as busy: then sealing waits, for it takes the processors
/// from those who record.
const BUSY: u64 = 2_000;
/// Complete segments that may wait to be sealed while the log is busy: a start reads all of them.
const MOST_WAITING: usize = 4;
/// How long it waits after something went wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// What looks after a folder; only one may, beside its one writer.
pub struct Keeper {
    /// The folder.
    pub folder: PathBuf,
    /// How long the log is kept.
    pub retention: Retention,
    /// The sessions whose records stay.
    pub held: Held,
    /// Where a deletion is recorded before it happens; knows what is still to be shipped.
    pub recorder: Recorder,
    /// What age is told by.
    pub clock: Clock,
    /// Where it is told what is kept.
    pub metrics: Arc<Metrics>,
}

/// Why the folder is not in order.
#[derive(Debug, thiserror::Error)]
enum Disorder {
    #[error("{0} segments could not be sealed")]
    Sealing(usize),
    #[error("what is kept could not be looked through: {0}")]
    Looking(#[source] io::Error),
    #[error("old segments are not deleted, because that cannot be recorded")]
    Unrecorded,
    #[error("old segments could not be deleted: {0}")]
    Deleting(#[source] io::Error),
}

/// What the keeper knows of the log.
struct Knowledge {
    inventory: Inventory,
    /// Whose signature makes what the log says of deletions believed.
    key: PublicKey,
    /// The gaps that the log has, as it says; `None`: not looked up yet.
    gaps: Option<Vec<Gap>>,
    /// Whether it was this process that said so last, and stable storage has it.
    is_recorded: bool,
    /// The segments that could not be sealed when that was last tried.
    unsealable: BTreeSet<u64>,
    /// How far the log was at the last look, and when that was.
    written: (u64, Instant),
}

/// Segments that are to go, and what the log will lack then.
struct Deletion {
    reason: Reason,
    segments: Vec<Sealed>,
    gaps: Vec<Gap>,
    /// Whether the log says so already.
    is_recorded: bool,
}

impl Keeper {
    /// Goes on until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let known = Arc::new(Mutex::new(Knowledge::new(
            &self.folder,
            self.recorder.key(),
        )));
        let (mut pace, mut said) = (PACE, String::new());
        while stop
            .run_until_cancelled(tokio::time::sleep(pace))
            .await
            .is_some()
        {
            let disorder = self.round(&known).await.err();
            pace = disorder.as_ref().map_or(PACE, |_| PATIENCE);
            let error = disorder.map_or_else(String::new, |it| it.to_string());
            // Once, not every time.
            if !error.is_empty() && error != said {
                tracing::error!(error, "the audit's folder is not in order");
            }
            said = error;
        }
    }

    async fn round(&self, known: &Arc<Mutex<Knowledge>>) -> Result<(), Disorder> {
        let sealed = self.seal(known).await;
        let kept = self.look(known).await;
        let tidied = match kept {
            Ok(()) => self.delete_what_is_due(known).await,
            Err(error) => Err(Disorder::Looking(error)),
        };
        sealed.and(tidied)
    }

    async fn seal(&self, known: &Arc<Mutex<Knowledge>>) -> Result<(), Disorder> {
        let (folder, flow) = (self.folder.clone(), Arc::clone(self.recorder.flow()));
        // What is shipped is so when it is sealed, so that does not wait.
        let patient = flow.needed() == u64::MAX && known.lock().is_busy(&flow);
        let sealing = blocking(move || {
            if patient && seal::waiting(&folder, &flow)? < MOST_WAITING {
                return Ok(None);
            }
            seal::seal_complete(&folder, &flow).map(Some)
        });
        if let Some(sealing) = sealing.await.map_err(Disorder::Looking)? {
            self.metrics.audit_unsealed(sealing.failed.len());
            known.lock().note_unsealable(&sealing.failed);
        }
        match known.lock().unsealable.len() {
            0 => Ok(()),
            count => Err(Disorder::Sealing(count)),
        }
    }

    async fn look(&self, known: &Arc<Mutex<Knowledge>>) -> io::Result<()> {
        let (known, metrics) = (Arc::clone(known), Arc::clone(&self.metrics));
        blocking(move || {
            let mut known = known.lock();
            known.inventory.refresh()?;
            metrics.audit_kept(known.inventory.bytes(), known.inventory.oldest());
            Ok(())
        })
        .await
    }

    async fn delete_what_is_due(&self, known: &Arc<Mutex<Knowledge>>) -> Result<(), Disorder> {
        if self.retention.is_for_good() {
            return Ok(());
        }
        // Locked to the end: what is held while this goes on is held after it, or gone before.
        let held = self.held.lock().await;
        let deletion = self.plan(known, held.clone()).await;
        let Some(deletion) = deletion.map_err(Disorder::Looking)? else {
            return Ok(());
        };
        if !deletion.is_recorded {
            self.record(&deletion).await?;
            let mut known = known.lock();
            known.gaps = Some(deletion.gaps.clone());
            known.is_recorded = true;
        }
        self.delete(deletion).await.map_err(Disorder::Deleting)
    }

    async fn plan(
        &self,
        known: &Arc<Mutex<Knowledge>>,
        held: HashMap<SessionId, Asked>,
    ) -> io::Result<Option<Deletion>> {
        let (known, retention, now) = (Arc::clone(known), self.retention, self.clock.now());
        let needed = self.recorder.flow().needed();
        blocking(move || {
            let wanted = Wanted {
                held: &held,
                needed,
            };
            known.lock().plan(&retention, &wanted, now)
        })
        .await
    }

    /// Nothing is deleted before stable storage has it, signed, that it was.
    async fn record(&self, deletion: &Deletion) -> Result<(), Disorder> {
        let deleted = Event::SegmentsDeleted {
            segments: deletion.segments.len() as u64,
            reason: deletion.reason.label().to_owned(),
            gaps: deletion.gaps.clone(),
        };
        let recorded = self.recorder.record_for_good(&deleted).await;
        recorded.map_err(|_| Disorder::Unrecorded)
    }

    async fn delete(&self, deletion: Deletion) -> io::Result<()> {
        let (folder, metrics) = (self.folder.clone(), Arc::clone(&self.metrics));
        blocking(move || {
            // Backwards: should it stop half-way, what is missing ends where the log says.
            for segment in deletion.segments.iter().rev() {
                delete(&folder, segment.first)?;
            }
            sync_folder(&folder)?;
            let (segments, reason) = (deletion.segments.len(), deletion.reason.label());
            metrics.audit_deleted(reason, segments as u64);
            tracing::info!(segments, reason, "old segments of the audit were deleted");
            Ok(())
        })
        .await
    }
}

impl Knowledge {
    fn new(folder: &Path, key: PublicKey) -> Self {
        Self {
            inventory: Inventory::new(folder.to_owned()),
            key,
            gaps: None,
            is_recorded: false,
            unsealable: BTreeSet::new(),
            written: (u64::MAX, Instant::now()),
        }
    }

    /// Whether the log has grown fast since the last look.
    fn is_busy(&mut self, flow: &Flow) -> bool {
        let now = (flow.written(), Instant::now());
        let before = std::mem::replace(&mut self.written, now);
        let seconds = now.1.duration_since(before.1).as_secs_f64();
        now.0.saturating_sub(before.0) as f64 > BUSY as f64 * seconds.max(1.0)
    }

    /// Tells of each segment once that it cannot be sealed, however often that is tried.
    fn note_unsealable(&mut self, failed: &[(u64, io::Error)]) {
        for (first, error) in failed {
            if !self.unsealable.contains(first) {
                let segment = FileKind::Raw.name(*first);
                tracing::warn!(segment, %error, "a segment of the audit could not be sealed");
            }
        }
        self.unsealable = failed.iter().map(|(first, _)| *first).collect();
    }

    fn plan(
        &mut self,
        retention: &Retention,
        wanted: &Wanted<'_>,
        now: Timestamp,
    ) -> io::Result<Option<Deletion>> {
        let Some((reason, segments)) = retention.due(&mut self.inventory, wanted, now)? else {
            return Ok(None);
        };
        let known = self.known_gaps()?;
        let going: Vec<(u64, Head)> = segments.iter().map(|it| (it.first, it.last)).collect();
        let kept = self.inventory.segments();
        let kept = kept.filter(|it| going.iter().all(|(first, _)| *first != it.first));
        let kept: Vec<(u64, u64)> = kept.map(|it| (it.first, it.last.seq)).collect();
        let link = |first| Ok(self.inventory.first_record(first)?.prev);
        let gaps = gaps::after(&known, &going, &kept, link)?;
        Ok(Some(Deletion {
            reason,
            is_recorded: self.is_recorded && gaps == known,
            segments,
            gaps,
        }))
    }

    /// What the log says that it lacks; it is asked once, and only if it lacks something.
    fn known_gaps(&mut self) -> io::Result<Vec<Gap>> {
        if self.gaps.is_none() {
            self.gaps = Some(match self.inventory.has_gaps() {
                true => gaps::declared(&self.inventory.archive()?, self.key)?,
                false => Vec::new(),
            });
        }
        Ok(self.gaps.clone().unwrap_or_default())
    }
}

/// Removes a segment: what a crash cut off of it, its lines, and then its index, which tells
/// nothing without them and is cleared away later if it is left.
fn delete(folder: &Path, first: u64) -> io::Result<()> {
    let raw = folder.join(FileKind::Raw.name(first));
    for path in [
        raw.with_extension("torn"),
        folder.join(FileKind::Sealed.name(first)),
        folder.join(FileKind::Index.name(first)),
    ] {
        remove(&path)?;
    }
    Ok(())
}

/// Runs what waits for the disk where nobody else is held up by it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other).flatten()
}

#[cfg(test)]
mod tests;
