//! What one worker reads with, and the memory that it uses again.

use super::super::archive::Stored;
use super::super::layout::{Layout, PieceReader};
use super::super::reader::ReadError;
use super::log::Log;
use super::plan::Group;

/// A worker's own.
#[derive(Default)]
pub(super) struct Hands {
    reader: PieceReader,
    blocks: Vec<Vec<u8>>,
    spare: Vec<u8>,
    /// What is in `spare`.
    read: Option<(Stored, usize)>,
}

impl Hands {
    /// The lines of a group's pieces. They are to be given back by [`Hands::give_back`].
    pub(super) fn blocks(
        &mut self,
        log: &Log<'_>,
        group: &Group,
    ) -> Result<Vec<Vec<u8>>, ReadError> {
        let mut blocks = std::mem::take(&mut self.blocks);
        blocks.resize_with(group.pieces.len(), Vec::new);
        for (block, piece) in blocks.iter_mut().zip(&group.pieces) {
            log.read(&mut self.reader, &group.layout, *piece, block)?;
        }
        Ok(blocks)
    }

    pub(super) fn give_back(&mut self, blocks: Vec<Vec<u8>>) {
        self.blocks = blocks;
    }

    /// The lines of another piece.
    pub(super) fn spare(
        &mut self,
        log: &Log<'_>,
        layout: &Layout,
        piece: usize,
    ) -> Result<&[u8], ReadError> {
        let place = (layout.segment, piece);
        if self.read != Some(place) {
            self.read = None;
            log.read(&mut self.reader, layout, piece, &mut self.spare)?;
            self.read = Some(place);
        }
        Ok(&self.spare)
    }
}
