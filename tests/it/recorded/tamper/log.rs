//! A log in memory, to be tampered with.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hallpass::audit::files::FileKind;
use hallpass::audit::source::Source;
use hallpass::audit::verify::{Demands, Report, verify};
use hallpass::audit::{Hash, Head, Record};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

/// The files of a log's folder.
#[derive(Debug, Clone)]
pub struct Log(pub BTreeMap<String, Vec<u8>>);

/// What signs checkpoints.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    pub fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    pub fn load(path: &Path) -> Self {
        let der = PrivatePkcs8KeyDer::from_pem_file(path).unwrap();
        Self(Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap())
    }

    pub fn public(&self) -> String {
        STANDARD.encode(self.0.public_key())
    }
}

impl Source for Log {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.keys().cloned().collect())
    }

    fn open(&self, file: &str) -> io::Result<Box<dyn Read + Send>> {
        let bytes = self.0.get(file).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes.clone())))
    }

    fn read_range(&self, file: &str, range: Range<u64>) -> io::Result<Vec<u8>> {
        let bytes = self.0.get(file).ok_or(io::ErrorKind::NotFound)?;
        Ok(bytes[range.start as usize..range.end as usize].to_vec())
    }
}

impl Log {
    /// The files in a folder.
    pub fn load(folder: &Path) -> Self {
        let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let named = files.map(|file| (file.file_name().into_string().unwrap(), file.path()));
        let read = |(name, path)| (name, std::fs::read(path).unwrap());
        Self(named.map(read).collect())
    }

    /// Writes them into a folder.
    pub fn store(&self, folder: &Path) {
        for (name, bytes) in &self.0 {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }

    pub fn verify(&self, demands: &Demands) -> Report {
        verify(Box::new(self.clone()), demands, &mut |_| {}).unwrap()
    }

    /// Its segments.
    pub fn segments(&self) -> Vec<(u64, FileKind)> {
        let names = self.0.keys().filter_map(|name| FileKind::parse(name));
        names.filter(|(_, kind)| *kind != FileKind::Index).collect()
    }

    /// The lines of a segment.
    pub fn lines(&self, (first, kind): (u64, FileKind)) -> Vec<String> {
        let bytes = &self.0[&kind.name(first)];
        let bytes = match kind {
            FileKind::Sealed => zstd::decode_all(&bytes[..]).unwrap(),
            _ => bytes.clone(),
        };
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Puts lines in the place of a segment's own. Who tampers does away with the index.
    pub fn replace(&mut self, (first, kind): (u64, FileKind), lines: &[String]) {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        if kind == FileKind::Sealed {
            bytes = zstd::bulk::compress(&bytes, 3).unwrap();
            self.0.remove(&FileKind::Index.name(first));
        }
        self.0.insert(kind.name(first), bytes);
    }

    /// Changes the lines of the segment that has the record `seq`, which is at the place given.
    pub fn change(&mut self, seq: u64, change: impl FnOnce(&mut Vec<String>, usize)) {
        let segment = self.segment_of(seq);
        let mut lines = self.lines(segment);
        change(&mut lines, (seq - segment.0) as usize);
        self.replace(segment, &lines);
    }

    /// Changes one record's line.
    pub fn edit(&mut self, seq: u64, edit: impl FnOnce(&str) -> String) {
        self.change(seq, |lines, place| lines[place] = edit(&lines[place]));
    }

    /// The segment that has a record.
    pub fn segment_of(&self, seq: u64) -> (u64, FileKind) {
        let segments = self.segments().into_iter();
        segments
            .take_while(|(first, _)| *first <= seq)
            .last()
            .unwrap()
    }

    /// A record's line.
    pub fn line(&self, seq: u64) -> String {
        let segment = self.segment_of(seq);
        self.lines(segment)[(seq - segment.0) as usize].clone()
    }

    /// The last record.
    pub fn last(&self) -> u64 {
        let last = *self.segments().last().unwrap();
        last.0 + self.lines(last).len() as u64 - 1
    }

    /// The first record at or behind `from` with this in its line.
    pub fn find(&self, from: u64, what: &str) -> u64 {
        (from..=self.last())
            .find(|seq| self.line(*seq).contains(what))
            .unwrap()
    }

    /// Puts the chain right again from a record on, as somebody with `key` can; the copy of the
    /// last checkpoint too.
    pub fn rechain(&mut self, from: u64, key: &Signer) {
        let mut prev = match from {
            1 => Hash::NONE,
            _ => Hash::of(self.line(from - 1).as_bytes()),
        };
        let mut seq = from;
        let start = self.segment_of(from).0;
        let mut segments = self.segments();
        segments.retain(|segment| segment.0 >= start);
        for segment in segments {
            let mut lines = self.lines(segment);
            let skip = if segment.0 < from {
                (from - segment.0) as usize
            } else {
                0
            };
            for line in lines.iter_mut().skip(skip) {
                *line = linked(line, seq, prev, key);
                if line.contains("\"type\":\"checkpoint\"") {
                    self.0
                        .insert("HEAD".to_owned(), format!("{line}\n").into_bytes());
                }
                prev = Hash::of(line.as_bytes());
                seq += 1;
            }
            self.replace(segment, &lines);
        }
    }

    /// The head after a record.
    pub fn head(&self, seq: u64) -> Head {
        let hash = Hash::of(self.line(seq).as_bytes());
        Head { seq, hash }
    }
}

/// A line in another place of the chain; a checkpoint is signed anew, and a segment names the key.
fn linked(line: &str, seq: u64, prev: Hash, key: &Signer) -> String {
    let body = line.find("\"at\":").unwrap();
    let line = format!(
        "{{\"v\":1,\"seq\":{seq},\"prev\":\"{prev}\",{}",
        &line[body..]
    );
    let record: Record = serde_json::from_str(&line).unwrap();
    let mut value = serde_json::to_value(&record).unwrap();
    if value["type"] == "segment_opened" {
        let old = value["key"].as_str().unwrap();
        return line.replace(old, &key.public());
    }
    if value["type"] != "checkpoint" {
        return line;
    }
    let at = record.at;
    let statement = format!("hallpass audit checkpoint 1\n{seq}\n{prev}\n{at}\n");
    let signature = STANDARD.encode(key.0.sign(statement.as_bytes()));
    value["key"] = key.public().into();
    value["signature"] = signature.into();
    let record: Record = serde_json::from_value(value).unwrap();
    serde_json::to_string(&record).unwrap()
}
