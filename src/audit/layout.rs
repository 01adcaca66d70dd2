//! Where the lines of a segment are, so that some of them can be read without the others.

use std::io::{self, Read};
use std::ops::Range;

use jiff::Timestamp;

use super::archive::{Archive, Stored};
use super::files::FileKind;
use super::index::{Frames, Index};
use super::line::Line;

/// Bytes of a piece of a raw segment, about.
const PIECE: usize = 1024 * 1024;
/// No piece is longer: an index that says otherwise is wrong, and is not to take all memory.
const LONGEST: u64 = 512 << 20;

/// A segment in pieces.
#[derive(Debug)]
pub struct Layout {
    /// The segment.
    pub segment: Stored,
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
    /// Its index, if it has one.
    pub index: Option<Index>,
}

/// Some whole lines of a segment: a zstd frame of a sealed one, some of the bytes of a raw one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it is in the file.
    pub range: Range<u64>,
    /// Bytes of its lines.
    pub bytes: u64,
    /// When its first record was made, if that is known.
    pub at: Option<Timestamp>,
    /// As [`super::index::Frame::plain`]; unset if that is not known.
    pub plain: bool,
}

impl Layout {
    /// Finds the pieces of a segment: of a sealed one, from its index, if it has one and
    /// `trusting` is set.
    ///
    /// # Errors
    /// If it cannot be read, or is not what its name says.
    pub fn of(archive: &Archive, segment: &Stored, trusting: bool) -> io::Result<Self> {
        let index = match trusting {
            true => archive.index(segment)?,
            false => None,
        };
        let pieces = match (&index, segment.kind) {
            (Some(index), _) => indexed(index),
            (None, FileKind::Sealed) => zstd_frames(&archive.source().read(&segment.file())?)?,
            (None, _) => cut(archive.source().open(&segment.file())?)?,
        };
        Ok(Self {
            segment: *segment,
            pieces,
            index,
        })
    }

    /// The numbers of the pieces in which `frames` are: all, if there is no index that knows.
    pub fn pieces_in(&self, frames: Option<&Frames>) -> Vec<usize> {
        match (&self.index, frames) {
            (None, _) => (0..self.pieces.len()).collect(),
            (Some(_), None) => Vec::new(),
            (Some(_), Some(frames)) => frames.iter().map(|frame| frame as usize).collect(),
        }
    }
}

fn indexed(index: &Index) -> Vec<Piece> {
    let piece = |frame: &super::index::Frame| Piece {
        range: frame.offset..frame.offset.saturating_add(frame.compressed),
        bytes: frame.bytes,
        at: Some(frame.at),
        plain: frame.plain,
    };
    index.frames.iter().map(piece).collect()
}

/// The frames of a sealed segment, from what zstd itself says at the beginning of each.
fn zstd_frames(file: &[u8]) -> io::Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut offset = 0;
    while let Some(rest) = file.get(offset..).filter(|rest| !rest.is_empty()) {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "not a zstd frame");
        let length = zstd::zstd_safe::find_frame_compressed_size(rest).map_err(|_| broken())?;
        let bytes = zstd::zstd_safe::get_frame_content_size(rest).map_err(|_| broken())?;
        pieces.push(Piece {
            range: offset as u64..(offset + length) as u64,
            bytes: bytes.ok_or_else(broken)?,
            at: None,
            plain: false,
        });
        offset += length;
    }
    Ok(pieces)
}

/// Cuts a raw segment at line ends. A last line without an end is left out: it is being written.
fn cut(mut file: impl Read) -> io::Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut bytes = Vec::new();
    let mut ended = false;
    while !ended {
        let wanted = PIECE as u64;
        ended = (&mut file).take(wanted).read_to_end(&mut bytes)? < PIECE;
        let Some(end) = memchr::memrchr(b'\n', &bytes) else {
            continue;
        };
        let end = end + 1;
        let first = Line::read(&bytes[..end]);
        pieces.push(Piece {
            range: start..start + end as u64,
            bytes: end as u64,
            at: first.and_then(|line| line.at()),
            plain: false,
        });
        start += end as u64;
        bytes.drain(..end);
    }
    Ok(pieces)
}

/// Reads pieces.
#[derive(Default)]
pub struct PieceReader {
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
}

impl PieceReader {
    /// Reads the lines of a piece, each with its line end, into `lines`, whose content goes.
    ///
    /// # Errors
    /// If it cannot be read, or is not what the layout says.
    pub fn read(
        &mut self,
        archive: &Archive,
        segment: &Stored,
        piece: &Piece,
        lines: &mut Vec<u8>,
    ) -> io::Result<()> {
        if piece.bytes > LONGEST || piece.range.end - piece.range.start > LONGEST {
            let what = "a piece of a segment is said to be larger than it can be";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let source = archive.source();
        match source.read_range(&segment.file(), piece.range.clone()) {
            Ok(bytes) if segment.kind == FileKind::Sealed => {
                self.decompress(&bytes, piece, lines)?;
            }
            Ok(bytes) => *lines = bytes,
            Err(error) if is_sealed_since(segment, &error) => {
                *lines = sealed_range(archive, segment, piece)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn decompress(&mut self, bytes: &[u8], piece: &Piece, lines: &mut Vec<u8>) -> io::Result<()> {
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new()?),
        };
        lines.clear();
        // Within LONGEST, which is within usize.
        lines.reserve(piece.bytes as usize);
        decompressor.decompress_to_buffer(bytes, lines)?;
        Ok(())
    }
}

/// Whether a raw segment may have been sealed while it was read.
fn is_sealed_since(segment: &Stored, error: &io::Error) -> bool {
    segment.kind == FileKind::Raw && error.kind() == io::ErrorKind::NotFound
}

/// The same bytes from the sealed form of a raw segment.
fn sealed_range(archive: &Archive, segment: &Stored, piece: &Piece) -> io::Result<Vec<u8>> {
    let name = FileKind::Sealed.name(segment.first);
    let mut lines = zstd::stream::read::Decoder::new(archive.source().open(&name)?)?;
    io::copy(&mut (&mut lines).take(piece.range.start), &mut io::sink())?;
    let mut bytes = Vec::new();
    lines.take(piece.bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}
