//! The names of the files in a log's folder or bucket.

/// Held by the one who writes.
pub(super) const LOCK: &str = "lock";
/// A copy of the last checkpoint's line.
pub(super) const HEAD: &str = "HEAD";

/// A file that holds, or describes, a segment: named by the sequence of the segment's first record,
/// so that names sort as the sequence does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// Lines as they were written.
    Raw,
    /// The same, compressed.
    Sealed,
    /// What a sealed segment holds, and where.
    Index,
}

impl FileKind {
    const ALL: [Self; 3] = [Self::Raw, Self::Sealed, Self::Index];

    fn suffix(self) -> &'static str {
        match self {
            Self::Raw => ".jsonl",
            Self::Sealed => ".jsonl.zst",
            Self::Index => ".index.json",
        }
    }

    /// The name of this file of the segment whose first record is `first`.
    pub fn name(self, first: u64) -> String {
        format!("{first:020}{}", self.suffix())
    }

    /// What a file of this name is.
    pub fn parse(name: &str) -> Option<(u64, Self)> {
        let digits = name.get(..20)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let kind = Self::ALL
            .into_iter()
            .find(|it| it.suffix() == &name[20..])?;
        Some((digits.parse().ok()?, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_are_not_taken_for_them() {
        for kind in FileKind::ALL {
            assert_eq!(FileKind::parse(&kind.name(42)), Some((42, kind)));
        }
        for other in [
            "HEAD",
            "lock",
            "1.jsonl",
            "00000000000000000001.jsonl.tmp",
            "0000000000000000000é.jsonl",
        ] {
            assert_eq!(FileKind::parse(other), None, "{other}");
        }
    }
}
