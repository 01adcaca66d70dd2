//! What one worker reads with, and the memory that it uses again.

use super::super::archive::Stored;
use super::super::layout::{Layout, Piece, PieceReader};
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
    /// The lines of a group's pieces, without those before the first that `may_have` something;
    /// and how many bytes all have. They are to be given back by [`Hands::give_back`].
    pub(super) fn blocks(
        &mut self,
        log: &Log<'_>,
        group: &Group,
        may_have: impl Fn(&Piece, &[u8]) -> bool,
    ) -> Result<(Vec<Vec<u8>>, u64), ReadError> {
        let mut blocks = Vec::with_capacity(group.pieces.len());
        let mut bytes = 0;
        for number in &group.pieces {
            let mut block = self.blocks.pop().unwrap_or_default();
            log.read(&mut self.reader, &group.layout, *number, &mut block)?;
            bytes += block.len() as u64;
            let piece = group.layout.pieces.get(*number);
            match blocks.is_empty() && piece.is_some_and(|piece| !may_have(piece, &block)) {
                true => self.blocks.push(block),
                false => blocks.push(block),
            }
        }
        Ok((blocks, bytes))
    }

    pub(super) fn give_back(&mut self, blocks: Vec<Vec<u8>>) {
        self.blocks.extend(blocks);
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
