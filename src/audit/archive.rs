//! A log at rest: its segments in order, and their lines in blocks.

use std::io::{self, Read};

use super::files::{FileKind, HEAD};
use super::index::{Frame, Index};
use super::source::Source;
use super::{Head, Record};

/// Bytes of a block of a segment that is not read by its index, about.
const BLOCK: usize = 1024 * 1024;
/// Bytes of a line that hallpass never writes: it puts long statements into parts.
const LONGEST: usize = 64 * 1024 * 1024;
/// Bytes of a frame, compressed or not, and of an index, that hallpass never makes.
pub(super) const LARGEST: usize = 256 * 1024 * 1024;
/// Bytes of a copy of a checkpoint that hallpass never makes.
const LARGEST_HEAD: usize = 64 * 1024;

/// A log, wherever it is.
pub struct Archive {
    source: Box<dyn Source>,
    segments: Vec<Stored>,
}

/// A segment of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// The sequence of its first record, as its name says.
    pub first: u64,
    /// Raw or sealed.
    pub kind: FileKind,
}

impl Stored {
    /// The name of its file.
    pub fn file(&self) -> String {
        self.kind.name(self.first)
    }
}

/// Some of a segment's lines, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The lines, each with its line end; without one, if the file ends within a line.
    pub bytes: Vec<u8>,
}

impl Block {
    /// Whether the last line has its end.
    pub fn is_whole(&self) -> bool {
        self.bytes.ends_with(b"\n")
    }

    /// The lines that have their ends, without them.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let end = memchr::memchr(b'\n', rest)?;
            let (line, behind) = rest.split_at(end);
            rest = &behind[1..];
            Some(line)
        })
    }
}

/// Blocks of lines, in order.
pub type Blocks = Box<dyn Iterator<Item = io::Result<Block>> + Send>;

impl Archive {
    /// Finds the segments in `source`. A segment that is there in both forms counts as raw: its
    /// sealing has not ended.
    ///
    /// # Errors
    /// If the source cannot be listed.
    pub fn open(source: Box<dyn Source>) -> io::Result<Self> {
        let files = source.list()?;
        let stored = |name: &String| {
            let (first, kind) = FileKind::parse(name)?;
            (kind != FileKind::Index).then_some(Stored { first, kind })
        };
        let mut segments: Vec<Stored> = files.iter().filter_map(stored).collect();
        segments.sort_unstable();
        segments.dedup_by_key(|segment| segment.first);
        Ok(Self { source, segments })
    }

    /// Where it is read from.
    pub fn source(&self) -> &dyn Source {
        &*self.source
    }

    /// Its segments, from the oldest on.
    pub fn segments(&self) -> &[Stored] {
        &self.segments
    }

    /// The index of a segment; `None` if it has none.
    ///
    /// # Errors
    /// If it cannot be read, or is not an index.
    pub fn index(&self, segment: &Stored) -> io::Result<Option<Index>> {
        if segment.kind == FileKind::Raw {
            return Ok(None);
        }
        match read_index(self.source(), segment.first) {
            Ok(bytes) => Index::parse(&bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The line of the last checkpoint, as it was copied when it was made; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn head_line(&self) -> io::Result<Option<Vec<u8>>> {
        head_line(self.source())
    }

    /// The last whole record of the last segment that has one.
    ///
    /// # Errors
    /// If it cannot be read, or is no record.
    pub fn head(&self) -> io::Result<Head> {
        for segment in self.segments.iter().rev() {
            if let Some(index) = self.index(segment)? {
                return Ok(index.last);
            }
            let mut last = None;
            for block in self.blocks(segment) {
                last = block?.lines().last().map(<[u8]>::to_vec).or(last);
            }
            if let Some(line) = last {
                let seq = serde_json::from_slice::<Record>(&line)?.seq;
                let head = Head::START.followed_by(&line);
                return Ok(Head { seq, ..head });
            }
        }
        Ok(Head::START)
    }

    /// All lines of a segment. If its last line has no end, that comes as a block of its own.
    pub fn blocks(&self, segment: &Stored) -> Blocks {
        match self.reader(segment) {
            Ok(reader) => Self::lines(reader),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    /// The lines of a file that is not compressed.
    pub(super) fn lines(file: Box<dyn Read + Send>) -> Blocks {
        Box::new(LineBlocks::new(file, BLOCK))
    }

    /// A segment's file as it is, and what it is: one that was raw may have been sealed meanwhile.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(super) fn open_segment(
        &self,
        segment: &Stored,
    ) -> io::Result<(Stored, Box<dyn Read + Send>)> {
        match self.source.open(&segment.file()) {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && segment.kind == FileKind::Raw =>
            {
                let sealed = Stored {
                    kind: FileKind::Sealed,
                    ..*segment
                };
                Ok((sealed, self.source.open(&sealed.file())?))
            }
            opened => Ok((*segment, opened?)),
        }
    }

    /// The lines of one frame of a sealed segment.
    ///
    /// # Errors
    /// If it cannot be read or decompressed, or is larger than any can be.
    pub fn frame(&self, segment: &Stored, frame: &Frame) -> io::Result<Block> {
        let fits = |bytes: u64| usize::try_from(bytes).ok().filter(|it| *it <= LARGEST);
        let end = frame.offset.checked_add(frame.compressed);
        let (Some(end), Some(_), Some(capacity)) = (end, fits(frame.compressed), fits(frame.bytes))
        else {
            return Err(too_large("a frame"));
        };
        let range = frame.offset..end;
        let compressed = self.source.read_range(&segment.file(), range)?;
        let bytes = zstd::bulk::decompress(&compressed, capacity)?;
        Ok(Block { bytes })
    }

    fn reader(&self, segment: &Stored) -> io::Result<Box<dyn Read + Send>> {
        let (segment, file) = self.open_segment(segment)?;
        Ok(match segment.kind {
            FileKind::Sealed => Box::new(zstd::stream::read::Decoder::new(file)?),
            _ => file,
        })
    }
}

/// The line of the last checkpoint, as [`Archive::head_line`].
pub(super) fn head_line(source: &dyn Source) -> io::Result<Option<Vec<u8>>> {
    match read_at_most(source, HEAD, LARGEST_HEAD) {
        Ok(line) => Ok(Some(line)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bytes of a segment's index.
pub(super) fn read_index(source: &dyn Source, first: u64) -> io::Result<Vec<u8>> {
    read_at_most(source, &FileKind::Index.name(first), LARGEST)
}

/// A file that is no larger than `most`: who can write to the folder is not to take all memory.
fn read_at_most(source: &dyn Source, file: &str, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file_to_most = source.open(file)?.take(most as u64 + 1);
    file_to_most.read_to_end(&mut bytes)?;
    match bytes.len() > most {
        true => Err(too_large(file)),
        false => Ok(bytes),
    }
}

fn too_large(what: &str) -> io::Error {
    let what = format!("{what} is larger than hallpass makes any");
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Cuts what it reads into blocks at line ends.
struct LineBlocks<R> {
    reader: R,
    /// Bytes of a block, about.
    block: usize,
    /// Bytes that a line may have, about.
    longest: usize,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    ended: bool,
}

impl<R: Read> LineBlocks<R> {
    fn new(reader: R, block: usize) -> Self {
        Self {
            reader,
            block,
            longest: LONGEST,
            rest: Vec::new(),
            ended: false,
        }
    }

    fn read(&mut self) -> io::Result<Option<Block>> {
        let mut bytes = std::mem::take(&mut self.rest);
        let mut looked_at = 0;
        while !self.ended {
            let more = (&mut self.reader)
                .take(self.block as u64)
                .read_to_end(&mut bytes)?;
            self.ended = more < self.block;
            if let Some(end) = memchr::memrchr(b'\n', &bytes[looked_at..]) {
                self.rest = bytes.split_off(looked_at + end + 1);
                return Ok(Some(Block { bytes }));
            }
            looked_at = bytes.len();
            if looked_at > self.longest {
                return Err(too_large("a line"));
            }
        }
        Ok((!bytes.is_empty()).then_some(Block { bytes }))
    }
}

impl<R: Read> Iterator for LineBlocks<R> {
    type Item = io::Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.read();
        if result.is_err() {
            self.ended = true;
            self.rest.clear();
        }
        result.transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blocks_end_at_line_ends_and_are_the_whole(
            lines in prop::collection::vec(0usize..300, 0..40), torn in any::<bool>()
        ) {
            let mut bytes: Vec<u8> = Vec::new();
            for length in lines {
                bytes.resize(bytes.len() + length, b'x');
                bytes.push(b'\n');
            }
            if torn {
                bytes.extend_from_slice(b"torn");
            }
            let blocks: Vec<Block> = LineBlocks::new(&bytes[..], 128).map(Result::unwrap).collect();
            let together: Vec<u8> = blocks.iter().flat_map(|b| b.bytes.clone()).collect();
            prop_assert_eq!(together, bytes);
            let torn_blocks = blocks.iter().filter(|block| !block.is_whole()).count();
            prop_assert_eq!(torn_blocks, usize::from(torn));
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_read_whole() {
        let endless = io::repeat(b'x');
        let lines = LineBlocks {
            longest: 1024,
            ..LineBlocks::new((&b"a\nb\n"[..]).chain(endless), 128)
        };
        let blocks: Vec<io::Result<Block>> = lines.collect();
        let (last, before) = blocks.split_last().unwrap();
        assert!(last.is_err());
        let before = before.iter().flat_map(|it| it.as_ref().unwrap().lines());
        assert_eq!(before.count(), 2);
    }

    #[test]
    fn a_frame_is_not_believed_to_be_what_none_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let source = crate::audit::source::Directory(dir.path().to_owned());
        let archive = Archive::open(Box::new(source)).unwrap();
        let segment = Stored {
            first: 1,
            kind: FileKind::Sealed,
        };
        std::fs::write(dir.path().join(segment.file()), "").unwrap();
        let frame = Frame {
            offset: 0,
            compressed: 1,
            sha256: crate::audit::Hash::NONE,
            bytes: 1,
            first: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            plain: true,
        };
        for frame in [
            Frame {
                offset: u64::MAX,
                ..frame.clone()
            },
            Frame {
                compressed: u64::MAX,
                ..frame.clone()
            },
            Frame {
                bytes: u64::MAX,
                ..frame
            },
        ] {
            let error = archive.frame(&segment, &frame).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{frame:?}");
        }
    }
}
