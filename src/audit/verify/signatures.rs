//! Who signed the log, and up to where.

use super::super::{Event, PublicKey, Record};
use super::anchors::is_signed;
use super::fault::{Fault, FaultKind, Place};
use super::report::{KeyUse, Moment};

const REPLACED: &str = "\
what follows was written by somebody with another key, perhaps anew; or the key was replaced, and \
the new one must be given too";

/// Checks checkpoints and collects what is known of keys.
pub(super) struct Signatures {
    /// The keys that are accepted; none: whichever the log names.
    accepted: Vec<PublicKey>,
    /// What the log names.
    pub(super) keys: Vec<KeyUse>,
    /// The key of the segment that is read.
    current: Option<PublicKey>,
    /// Checkpoints whose signature is right.
    pub(super) checkpoints: u64,
    /// The last of them.
    pub(super) signed: Option<Moment>,
}

impl Signatures {
    /// With these keys, or whichever the log names if there are none.
    pub(super) fn new(accepted: &[PublicKey]) -> Self {
        Self {
            accepted: accepted.to_vec(),
            keys: Vec::new(),
            current: None,
            checkpoints: 0,
            signed: None,
        }
    }

    /// A segment names its key.
    pub(super) fn opened(&mut self, key: PublicKey, seq: u64, place: &Place) -> Result<(), Fault> {
        self.current = Some(key);
        if !self.keys.iter().any(|it| it.key == key) {
            self.keys.push(KeyUse {
                key,
                checkpoints: 0,
                since: seq,
            });
        }
        match self.accepts(key) {
            true => Ok(()),
            false => {
                let what = format!("the segment names the key {key}, which is not accepted");
                Err(place.fault(FaultKind::Key, seq, what, REPLACED))
            }
        }
    }

    /// A record; whether it is a checkpoint, and signed as it must be.
    pub(super) fn checkpoint(
        &mut self,
        line: &[u8],
        record: &Record,
        place: &Place,
    ) -> Result<bool, Fault> {
        let Event::Checkpoint { key, .. } = &record.event else {
            return Ok(false);
        };
        let fault = |kind, what: String, means: &str| place.fault(kind, record.seq, what, means);
        if !self.accepts(*key) || self.current.is_some_and(|current| current != *key) {
            let what =
                format!("the checkpoint is signed with the key {key}, which is not accepted here");
            return Err(fault(FaultKind::Key, what, REPLACED));
        }
        if is_signed(line, record) != Some(true) {
            let what = "the signature of the checkpoint is wrong".to_owned();
            let means = "the checkpoint was changed, or was made by somebody without the key";
            return Err(fault(FaultKind::Signature, what, means));
        }
        self.checkpoints += 1;
        self.signed = Some(Moment {
            seq: record.seq,
            at: record.at,
        });
        if let Some(used) = self.keys.iter_mut().find(|it| it.key == *key) {
            used.checkpoints += 1;
        }
        Ok(true)
    }

    fn accepts(&self, key: PublicKey) -> bool {
        self.accepted.is_empty() || self.accepted.contains(&key)
    }
}
