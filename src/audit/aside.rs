//! What a crash cut off: it is moved to a file beside its segment, for evidence is not thrown away.
//!
//! A kill cuts the last segment only. A loss of power may cut any that was not sealed: the kernel
//! brings files to the disk when it likes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::Event;
use super::files::FileKind;
use crate::secret::{hex, sha256};

/// Bytes that are looked at in one go for the end of a line.
const STEP: u64 = 64 * 1024;

/// Sets aside what follows the last whole line of each raw segment, and says what that was.
///
/// # Errors
/// If the file system refuses.
pub(super) fn set_aside(folder: &Path, segments: &[(u64, FileKind)]) -> io::Result<Vec<Event>> {
    let raw = segments.iter().filter(|(_, kind)| *kind == FileKind::Raw);
    let torn = raw.map(|(first, kind)| end_of(&folder.join(kind.name(*first))));
    torn.filter_map(Result::transpose).collect()
}

fn end_of(path: &Path) -> io::Result<Option<Event>> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let len = file.metadata()?.len();
    let whole = whole_lines(&file, len)?;
    match whole < len {
        true => move_aside(&mut file, path, whole).map(Some),
        false => Ok(None),
    }
}

/// How many bytes are whole lines.
fn whole_lines(file: &File, len: u64) -> io::Result<u64> {
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let mut bytes = vec![0; (end - start) as usize];
        file.read_exact_at(&mut bytes, start)?;
        if let Some(at) = memchr::memrchr(b'\n', &bytes) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn move_aside(file: &mut File, path: &Path, whole: u64) -> io::Result<Event> {
    let mut torn = Vec::new();
    file.seek(SeekFrom::Start(whole))?;
    file.read_to_end(&mut torn)?;
    let aside = path.with_extension("torn");
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&aside)?
        .write_all(&torn)?;
    file.set_len(whole)?;
    let name = aside.file_name().unwrap_or_default().to_string_lossy();
    Ok(Event::SegmentTorn {
        file: name.into_owned(),
        bytes: torn.len() as u64,
        sha256: hex(&sha256(&torn)),
    })
}
