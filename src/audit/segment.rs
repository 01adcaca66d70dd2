//! A segment that is being written: a file of records, one JSON object a line.

use std::fs::File;
use std::io::{self, Write};

/// What a segment is written to: a file, but in tests of what disks do.
pub(super) trait Medium: Send {
    /// Appends all of `bytes`.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when what was appended survives a loss of power.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts off what is behind `len`.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// The segment that is written now.
pub(super) struct Segment {
    medium: Box<dyn Medium>,
    /// Bytes of whole records.
    len: u64,
    /// Something failed and what it left could not be cut off.
    torn: bool,
    /// A sync failed: what the kernel says of this file from now on cannot be relied on.
    distrusted: bool,
}

impl Segment {
    /// A segment without a record.
    pub(super) fn new(medium: Box<dyn Medium>) -> Self {
        Self {
            medium,
            len: 0,
            torn: false,
            distrusted: false,
        }
    }

    /// Bytes of whole records.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether it must not be written any more, being whole up to [`Segment::len`].
    pub(super) fn is_over(&self) -> bool {
        self.distrusted && !self.torn
    }

    /// Hands `lines` to the kernel, and with `sync` to the disk, all or nothing: what a failure
    /// leaves is cut off.
    pub(super) fn append(&mut self, lines: &[u8], sync: bool) -> io::Result<()> {
        if self.torn {
            self.cut()?;
        }
        // After a failed fsync the kernel may call pages clean that never reached the disk, so a
        // second fsync proves nothing (PostgreSQL learned this in 2018): go on in another file.
        if self.distrusted {
            return Err(io::Error::other("an earlier fsync of this segment failed"));
        }
        let appended = self.medium.append(lines);
        let result = appended.and_then(|()| match sync {
            true => self.medium.sync().inspect_err(|_| self.distrusted = true),
            false => Ok(()),
        });
        match result {
            Ok(()) => self.len += lines.len() as u64,
            Err(_) => {
                self.torn = true;
                // If this fails too, the next append tries again before it writes.
                let _ = self.cut();
            }
        }
        result
    }

    /// Returns when all of it survives a loss of power.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.medium.sync()
    }

    /// Cuts off what a failure left; done when nothing is left.
    pub(super) fn mend(&mut self) -> io::Result<()> {
        match self.torn {
            true => self.cut(),
            false => Ok(()),
        }
    }

    fn cut(&mut self) -> io::Result<()> {
        self.medium.cut(self.len)?;
        self.torn = false;
        Ok(())
    }
}
