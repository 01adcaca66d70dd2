//! The audit gets elsewhere, byte for byte, whatever happens on the way.

mod bucket;
mod s3;
mod syslog;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use hallpass::audit::files::FileKind;

/// The lines of every segment in a folder, in order: raw and sealed.
fn lines(folder: &Path) -> Vec<u8> {
    loop {
        // A raw file that is gone since the folder was listed has been sealed.
        match try_lines(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            lines => return lines.unwrap(),
        }
    }
}

fn try_lines(folder: &Path) -> io::Result<Vec<u8>> {
    let mut files: Vec<(u64, FileKind)> = fs::read_dir(folder)?
        .filter_map(|entry| FileKind::parse(entry.unwrap().file_name().to_str()?))
        .filter(|(_, kind)| *kind != FileKind::Index)
        .collect();
    files.sort_unstable();
    files.dedup_by_key(|(first, _)| *first);
    let mut lines = Vec::new();
    for (first, kind) in files {
        let bytes = fs::read(folder.join(kind.name(first)))?;
        match kind {
            FileKind::Sealed => lines.extend(zstd::decode_all(&*bytes)?),
            _ => lines.extend(bytes),
        }
    }
    Ok(lines)
}
