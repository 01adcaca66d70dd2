//! Reads a log ahead of the one who checks it: decompresses and hashes on a thread of its own.

use std::io::{self, Read};
use std::sync::mpsc::SyncSender;

use zstd::zstd_safe;

use super::super::Hash;
use super::super::archive::{Archive, Block, LARGEST, Stored};
use super::super::files::FileKind;

/// Bytes that are read at a time.
const CHUNK: usize = 256 * 1024;

/// What is read, in order.
pub(super) enum Piece {
    /// A segment begins.
    Segment(Stored),
    /// Some lines of it.
    Lines(Lines),
    /// What follows is too long to be a line.
    Endless(String),
    /// The rest of it cannot be decompressed.
    Damaged(String),
    /// The segment has ended.
    End,
}

/// Some lines, with their hashes.
pub(super) struct Lines {
    /// The lines.
    pub(super) block: Block,
    /// The hash of each that has its end.
    pub(super) hashes: Vec<Hash>,
    /// The frame that they were in.
    pub(super) frame: Option<Compressed>,
}

/// A frame in a compressed file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compressed {
    /// Its bytes there.
    pub(super) bytes: u64,
    /// Their hash.
    pub(super) sha256: Hash,
}

/// The one who checks does not want any more.
struct Over;

/// Reads all segments of a log, until its end or until nobody wants more.
pub(super) fn read(archive: &Archive, out: &SyncSender<io::Result<Piece>>) {
    for segment in archive.segments() {
        if read_segment(archive, segment, out).is_err() {
            return;
        }
    }
}

fn read_segment(
    archive: &Archive,
    segment: &Stored,
    out: &SyncSender<io::Result<Piece>>,
) -> Result<(), Over> {
    let name = segment.file();
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
    let send = |piece: io::Result<Piece>| out.send(piece.map_err(named)).map_err(|_| Over);
    let (segment, file) = match archive.open_segment(segment) {
        Ok(opened) => opened,
        Err(error) => return send(Err(error)),
    };
    send(Ok(Piece::Segment(segment)))?;
    let mut emit = |piece: io::Result<Piece>| {
        let failed = piece.is_err();
        send(piece)?;
        if failed { Err(Over) } else { Ok(()) }
    };
    match segment.kind {
        FileKind::Sealed => sealed(file, &mut emit)?,
        _ => raw(file, &mut emit)?,
    }
    send(Ok(Piece::End))
}

type Emit<'a> = &'a mut dyn FnMut(io::Result<Piece>) -> Result<(), Over>;

fn raw(file: Box<dyn Read + Send>, emit: Emit<'_>) -> Result<(), Over> {
    for block in Archive::lines(file) {
        emit(match block {
            Ok(block) => Ok(Piece::Lines(Lines::of(block, None))),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Ok(Piece::Endless(error.to_string()))
            }
            Err(error) => Err(error),
        })?;
    }
    Ok(())
}

/// A sealed file, frame by frame, as the file itself says: its index is not asked.
fn sealed(mut file: Box<dyn Read + Send>, emit: Emit<'_>) -> Result<(), Over> {
    let mut bytes = Vec::new();
    let mut ended = false;
    loop {
        if let Some(len) = frame_length(&bytes) {
            match decompress(&bytes[..len]) {
                Ok(lines) => emit(Ok(Piece::Lines(lines)))?,
                Err(error) => return emit(Ok(Piece::Damaged(error.to_string()))),
            }
            bytes.drain(..len);
        } else if ended && bytes.is_empty() {
            return Ok(());
        } else if ended || bytes.len() > LARGEST {
            let what = "it ends in something that is not a whole frame";
            return emit(Ok(Piece::Damaged(what.to_owned())));
        } else {
            match more(&mut file, &mut bytes) {
                Ok(read) => ended = read == 0,
                Err(error) => return emit(Err(error)),
            }
        }
    }
}

/// Reads as much as is there already, at least a chunk: a frame is looked for again and again.
fn more(file: &mut dyn Read, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let want = bytes.len().max(CHUNK) as u64;
    file.take(want).read_to_end(bytes)
}

/// The length of the first frame, if it is there whole.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    match bytes.is_empty() {
        true => None,
        false => zstd_safe::find_frame_compressed_size(bytes).ok(),
    }
}

fn decompress(frame: &[u8]) -> io::Result<Lines> {
    let size = zstd_safe::get_frame_content_size(frame).ok().flatten();
    let size = size.and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|size| *size <= LARGEST);
    let size = size.ok_or_else(|| io::Error::other("a frame that does not tell its size"))?;
    let bytes = zstd::bulk::decompress(frame, size)?;
    if bytes.is_empty() {
        return Err(io::Error::other("a frame without a line"));
    }
    let compressed = Compressed {
        bytes: frame.len() as u64,
        sha256: Hash::of(frame),
    };
    Ok(Lines::of(Block { bytes }, Some(compressed)))
}

impl Lines {
    fn of(block: Block, frame: Option<Compressed>) -> Self {
        let hashes = block.lines().map(Hash::of).collect();
        Self {
            block,
            hashes,
            frame,
        }
    }
}
