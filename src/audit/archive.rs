//! A log at rest: its segments in order, and their lines in blocks.

use std::io::{self, Read};

use super::files::{FileKind, HEAD};
use super::index::{Frame, Index};
use super::source::Source;
use super::{Head, Record};

/// Bytes of a block of a segment that is not read by its index, about.
const BLOCK: usize = 1024 * 1024;

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
        match self.source.read(&FileKind::Index.name(segment.first)) {
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
        match self.source.read(HEAD) {
            Ok(line) => Ok(Some(line)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
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
    /// If it cannot be read or decompressed.
    pub fn frame(&self, segment: &Stored, frame: &Frame) -> io::Result<Block> {
        let range = frame.offset..frame.offset + frame.compressed;
        let compressed = self.source.read_range(&segment.file(), range)?;
        let capacity = usize::try_from(frame.bytes).map_err(io::Error::other)?;
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

/// Cuts what it reads into blocks at line ends.
struct LineBlocks<R> {
    reader: R,
    /// Bytes of a block, about.
    block: usize,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    ended: bool,
}

impl<R: Read> LineBlocks<R> {
    fn new(reader: R, block: usize) -> Self {
        Self {
            reader,
            block,
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
}
