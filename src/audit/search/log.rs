//! The log that is searched: its segments, each laid out when it is first needed.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::archive::{Archive, Stored};
use super::super::files::FileKind;
use super::super::layout::{Layout, PieceReader};
use super::super::reader::ReadError;

/// Segments whose layouts are kept.
const KEPT: usize = 64;

/// A log, and what is known of its segments.
pub(super) struct Log<'a> {
    archive: &'a Archive,
    /// Whether indexes are used.
    trusting: bool,
    layouts: Mutex<VecDeque<(usize, Arc<Layout>)>>,
}

impl<'a> Log<'a> {
    pub(super) fn new(archive: &'a Archive, trusting: bool) -> Self {
        Self {
            archive,
            trusting,
            layouts: Mutex::default(),
        }
    }

    pub(super) fn segments(&self) -> &'a [Stored] {
        self.archive.segments()
    }

    /// The layout of the segment `number`, from 0.
    pub(super) fn layout(&self, number: usize) -> Result<Arc<Layout>, ReadError> {
        let kept = |layouts: &VecDeque<(usize, Arc<Layout>)>| {
            let found = layouts.iter().find(|(kept, _)| *kept == number);
            found.map(|(_, layout)| Arc::clone(layout))
        };
        if let Some(layout) = kept(&self.layouts.lock()) {
            return Ok(layout);
        }
        let segment = &self.segments()[number];
        let layout = Layout::of(self.archive, segment, self.trusting);
        let layout = Arc::new(layout.map_err(ReadError::in_segment(segment))?);
        let mut layouts = self.layouts.lock();
        layouts.push_back((number, Arc::clone(&layout)));
        if layouts.len() > KEPT {
            layouts.pop_front();
        }
        Ok(layout)
    }

    /// Whether the index of a segment, if it has one, has the text `name` at all: quicker than
    /// reading it.
    pub(super) fn may_have(&self, number: usize, name: &str) -> Result<bool, ReadError> {
        let segment = &self.segments()[number];
        if segment.kind == FileKind::Raw || !self.trusting {
            return Ok(true);
        }
        let index = FileKind::Index.name(segment.first);
        match self.archive.source().read(&index) {
            Ok(index) => Ok(memchr::memmem::find(&index, name.as_bytes()).is_some()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(ReadError::in_segment(segment)(error)),
        }
    }

    /// Reads the lines of a piece into `lines`.
    pub(super) fn read(
        &self,
        reader: &mut PieceReader,
        layout: &Layout,
        piece: usize,
        lines: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        let segment = &layout.segment;
        let read = match layout.pieces.get(piece) {
            Some(piece) => reader.read(self.archive, segment, piece, lines),
            None => Err(std::io::Error::other(
                "the index names a frame that is not there",
            )),
        };
        read.map_err(ReadError::in_segment(segment))
    }
}
