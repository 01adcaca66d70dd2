//! Whether a log is the one that was written: whole, in order, signed, and nothing left out.
//!
//! The log is read once, from its oldest segment on, in bounded memory. A thread reads ahead and
//! hashes (`reading`); this one checks. What breaks the chain ends the verification, for nothing
//! behind it can be relied on; what does not is noted, and the verification goes on.

mod anchors;
mod contents;
mod fault;
mod gaps;
mod ledger;
mod line;
mod reading;
mod report;
mod signatures;
mod stretches;
#[cfg(test)]
mod tests;
mod torn;
mod walk;

use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

pub use fault::{Fault, FaultKind};
pub use report::{Deleted, KeyUse, Moment, Report};

use super::archive::Archive;
use super::source::Source;
use super::{Head, PublicKey};
use reading::Piece;
use walk::{Stop, Walk};

/// Blocks of lines that are read ahead.
const AHEAD: usize = 4;

/// What a log has to be, beyond sound in itself.
#[derive(Debug, Clone, Default)]
pub struct Demands {
    /// The keys that may have signed it; none: whichever it names itself.
    pub keys: Vec<PublicKey>,
    /// Heads that it must hold.
    pub heads: Vec<Head>,
    /// It is a part of a log: what is before its first record need not be there.
    pub part: bool,
    /// It has come to its end: nothing is open, and all is signed.
    pub closed: bool,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Segments that are done.
    pub segments: usize,
    /// Segments that there are.
    pub of: usize,
    /// Bytes of lines that were checked.
    pub bytes: u64,
}

/// Verifies a log, telling `progress` now and then how far it has come.
///
/// # Errors
/// If the log cannot be read. What is wrong with one that can be is in the report.
pub fn verify(
    source: Box<dyn Source>,
    demands: &Demands,
    progress: &mut dyn FnMut(Progress),
) -> io::Result<Report> {
    // First this, then the list of segments: so that what it names is in them.
    let copy = anchors::copy(&*source)?;
    let archive = Archive::open(source)?;
    let mut walk = Walk::new(&archive, demands);
    walk.begin(copy.as_deref());
    let stopped = thread::scope(|scope| {
        let (out, pieces) = sync_channel(AHEAD);
        scope.spawn(|| {
            let out = out;
            reading::read(&archive, &out);
        });
        check(&mut walk, pieces, progress)
    });
    match stopped {
        Ok(()) => walk.finish(None),
        Err(Stop::Fault(fault)) => walk.finish(Some(*fault)),
        Err(Stop::Io(error)) => Err(error),
    }
}

/// Takes what is read, up to the end or up to what breaks the chain.
#[expect(
    clippy::needless_pass_by_value,
    reason = "when it is dropped, reading ends"
)]
fn check(
    walk: &mut Walk<'_>,
    pieces: Receiver<io::Result<Piece>>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Stop> {
    for piece in pieces.iter() {
        walk.piece(piece?)?;
        progress(walk.progress());
    }
    Ok(())
}
