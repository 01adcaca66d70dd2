//! The kinds of tampering.

use hallpass::audit::files::FileKind;
use hallpass::audit::verify::{Demands, FaultKind};

use super::log::{Log, Signer};
use super::{Made, another_log};

/// A kind of tampering.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    /// Does it, and says which is the first record that is bad or missing then.
    pub tamper: fn(&mut Log, &Made) -> u64,
    /// What is to be found.
    found: FaultKind,
    /// What the auditor asks for, beyond the key.
    demands: fn(&Made, Demands) -> Demands,
    /// Whether the files and the key are enough to find it, and no other knowledge.
    pub is_of_the_chain: bool,
}

impl Kind {
    pub fn check(&self, made: &Made) {
        let mut log = made.log.clone();
        let bad = (self.tamper)(&mut log, made);
        let report = log.verify(&(self.demands)(made, made.demands()));
        let fault = report.faults.first();
        let fault = fault.unwrap_or_else(|| panic!("{}: not found", self.name));
        eprintln!("{}: {} {}", self.name, fault.what, fault.means);
        assert_eq!(fault.kind, self.found, "{}: {fault:#?}", self.name);
        // A link broken between two records cannot tell which of them was changed.
        let slack = u64::from(fault.kind == FaultKind::Chain);
        let near = fault.seq <= bad && bad <= fault.last && bad <= fault.seq + slack;
        let near = near || (fault.kind != FaultKind::Chain && fault.seq == bad);
        assert!(near, "{}: record {bad}, and not {fault:#?}", self.name);
    }
}

const fn kind(name: &'static str, found: FaultKind, tamper: fn(&mut Log, &Made) -> u64) -> Kind {
    Kind {
        name,
        tamper,
        found,
        demands: |_, demands| demands,
        is_of_the_chain: true,
    }
}

/// One that shows only with more knowledge.
const fn known(kind: Kind, demands: fn(&Made, Demands) -> Demands) -> Kind {
    Kind {
        demands,
        is_of_the_chain: false,
        ..kind
    }
}

/// One that a verifier of the chain alone does not look for.
const fn beyond_the_chain(kind: Kind) -> Kind {
    known(kind, |_, demands| demands)
}

/// A statement in the middle of a sealed segment, and nothing that is signed right behind it.
fn statement(log: &Log) -> u64 {
    let second = log.segments()[1].0;
    log.find(second + 5, "\"sql\":")
}

/// The line with one digit of a field other than it is.
fn flip(line: &str, before: &str) -> String {
    let place = line.find(before).unwrap() + before.len();
    let old = line.as_bytes()[place];
    let new = if old == b'1' { '2' } else { '1' };
    format!("{}{new}{}", &line[..place], &line[place + 1..])
}

/// Adds a record at the end, linked as it should be, and unsigned.
fn append(log: &mut Log, key: &Signer) -> u64 {
    let last = log.last();
    let forged = log.line(log.find(1, "\"type\":\"secret_read\""));
    add(log, &forged);
    log.rechain(last + 1, key);
    last + 1
}

fn add(log: &mut Log, line: &str) {
    let segment = *log.segments().last().unwrap();
    let mut lines = log.lines(segment);
    lines.push(line.to_owned());
    log.replace(segment, &lines);
}

fn remove(log: &mut Log, (first, kind): (u64, FileKind)) {
    log.0.remove(&kind.name(first));
    log.0.remove(&FileKind::Index.name(first));
}

/// Cuts the last records off.
fn cut(log: &mut Log) -> u64 {
    let segment = *log.segments().last().unwrap();
    let mut lines = log.lines(segment);
    lines.truncate(lines.len() - 3);
    log.replace(segment, &lines);
    log.last() + 1
}

/// Cuts the last segment off: then the log ends with a checkpoint.
fn cut_segment(log: &mut Log) -> u64 {
    let segment = *log.segments().last().unwrap();
    remove(log, segment);
    segment.0
}

/// What a start makes of the log's end: it goes on in another segment, and signs.
fn start_again(log: &mut Log, key: &Signer) {
    let (before, _) = *log.segments().last().unwrap();
    let from = log.last() + 1;
    let opened = named(&log.line(log.segments()[1].0), before);
    let started = log.line(log.find(1, "\"type\":\"started\""));
    let checkpoint = log.line(log.find(1, "\"type\":\"checkpoint\""));
    log.replace((from, FileKind::Raw), &[opened, started, checkpoint]);
    log.rechain(from, key);
}

/// Adds a record, unsigned, that says that a segment was deleted, and removes the segment.
fn declare_and_remove(log: &mut Log, segment: (u64, FileKind), key: &Signer) -> u64 {
    let segments = log.segments();
    let (behind, _) = *segments.iter().find(|it| it.0 > segment.0).unwrap();
    let head = log.head(behind - 1);
    let forged = format!(
        "{{\"v\":1,\"seq\":1,\"prev\":\"\",\"at\":\"2026-01-01T00:00:00Z\",\"type\":\"segments_deleted\",\
         \"segments\":1,\"reason\":\"age\",\"gaps\":[{{\"first\":{},\"last\":{{\"seq\":{},\"hash\":\"{}\"}}}}]}}",
        segment.0, head.seq, head.hash
    );
    let last = log.last();
    add(log, &forged);
    log.rechain(last + 1, key);
    remove(log, segment);
    segment.0
}

/// Cuts the log back to a checkpoint in its last segment but one, and HEAD with it.
fn cut_back(log: &mut Log) {
    cut_segment(log);
    let segment = *log.segments().last().unwrap();
    let mut lines = log.lines(segment);
    lines.pop();
    let place = lines
        .iter()
        .rposition(|line| line.contains("\"type\":\"checkpoint\""));
    match place {
        Some(place) => {
            lines.truncate(place + 1);
            log.replace(segment, &lines);
        }
        None => remove(log, segment),
    }
    adjust_head(log);
}

/// Makes HEAD the last checkpoint that there is.
fn adjust_head(log: &mut Log) {
    let line = log.line(log.last());
    log.0
        .insert("HEAD".to_owned(), format!("{line}\n").into_bytes());
}

fn with_head(made: &Made, demands: Demands) -> Demands {
    Demands {
        heads: vec![made.log.head(made.log.last())],
        ..demands
    }
}

fn closed(_: &Made, demands: Demands) -> Demands {
    Demands {
        closed: true,
        ..demands
    }
}

fn without_key(_: &Made, demands: Demands) -> Demands {
    Demands {
        keys: Vec::new(),
        ..demands
    }
}

pub fn all() -> Vec<Kind> {
    use FaultKind::*;
    vec![
        kind("a byte of a statement's text", Chain, |log, _| {
            let bad = statement(log);
            log.edit(bad, |line| flip(line, "\"sql\":\""));
            bad
        }),
        kind("a byte of a record's number", Sequence, |log, _| {
            let bad = statement(log);
            log.edit(bad, |line| flip(line, "\"seq\":"));
            bad
        }),
        kind("a byte of a link", Chain, |log, _| {
            let bad = statement(log);
            log.edit(bad, |line| flip(line, "\"prev\":\""));
            bad
        }),
        kind("a byte of a time", Chain, |log, _| {
            let bad = statement(log);
            log.edit(bad, |line| flip(line, "\"at\":\"2"));
            bad
        }),
        kind("a byte of a signature", Signature, |log, _| {
            let bad = log.find(statement(log), "\"type\":\"checkpoint\"");
            log.edit(bad, |line| flip(line, "\"signature\":\""));
            bad
        }),
        kind("a record of a later version", NotARecord, |log, _| {
            let bad = statement(log);
            log.edit(bad, |line| {
                flip(line, "\"v\":").replacen("\"v\":2", "\"v\":9", 1)
            });
            bad
        }),
        kind("a line that is no record", NotARecord, |log, _| {
            let bad = statement(log);
            log.edit(bad, |_| "null".to_owned());
            bad
        }),
        kind("a byte of a compressed file", Damaged, |log, _| {
            let (first, kind) = log.segments()[1];
            // In its first block's header.
            log.0.get_mut(&kind.name(first)).unwrap()[9] ^= 0x40;
            first
        }),
        kind("the end of a compressed file", Damaged, |log, _| {
            let (first, kind) = log.segments()[1];
            log.0.get_mut(&kind.name(first)).unwrap().pop();
            first
        }),
        kind("a line deleted", Missing, |log, _| {
            let bad = statement(log);
            log.change(bad, |lines, place| drop(lines.remove(place)));
            bad
        }),
        kind("the last line of a segment deleted", Missing, |log, _| {
            let bad = log.segments()[2].0 - 1;
            log.change(bad, |lines, place| drop(lines.remove(place)));
            bad
        }),
        kind("the first line of a segment deleted", Name, |log, _| {
            let bad = log.segments()[1].0;
            log.change(bad, |lines, place| drop(lines.remove(place)));
            bad
        }),
        kind(
            "the last line of a segment without its end",
            Torn,
            |log, _| {
                let bad = log.segments()[2].0 - 1;
                let (first, kind) = log.segment_of(bad);
                let lines = log.lines((first, kind)).join("\n");
                let bytes = zstd::bulk::compress(lines.as_bytes(), 3).unwrap();
                log.0.insert(kind.name(first), bytes);
                bad
            },
        ),
        kind("two lines swapped", Missing, |log, _| {
            let bad = statement(log);
            log.change(bad, |lines, place| lines.swap(place, place + 1));
            bad
        }),
        kind("a line twice", Repeated, |log, _| {
            let twice = statement(log);
            log.change(twice, |lines, place| {
                lines.insert(place, lines[place].clone());
            });
            twice + 1
        }),
        known(
            kind(
                "a record added at the end, unsigned",
                Unsigned,
                |log, made| append(log, &made.key),
            ),
            closed,
        ),
        kind(
            "a record added at the end, signed with another key",
            Key,
            |log, made| {
                let own = Signer::new();
                append(log, &made.key);
                let checkpoint = log.line(log.find(1, "\"type\":\"checkpoint\""));
                add(log, &checkpoint);
                log.rechain(log.last(), &own);
                log.last()
            },
        ),
        kind("a segment removed", Missing, |log, _| {
            let segment = log.segments()[2];
            remove(log, segment);
            segment.0
        }),
        kind("the oldest segment removed", Missing, |log, _| {
            let segment = log.segments()[0];
            remove(log, segment);
            1
        }),
        kind("a segment emptied", Damaged, |log, _| {
            let (first, kind) = log.segments()[2];
            log.0.get_mut(&kind.name(first)).unwrap().clear();
            first
        }),
        kind("the names of two segments swapped", Name, |log, _| {
            let names = [1, 2]
                .map(|i| log.segments()[i])
                .map(|(first, kind)| kind.name(first));
            let files = names.clone().map(|name| log.0.remove(&name).unwrap());
            let [a, b] = files;
            log.0.insert(names[0].clone(), b);
            log.0.insert(names[1].clone(), a);
            log.segments()[1].0
        }),
        kind("a segment copied under another name", Name, |log, _| {
            let (first, kind) = log.segments()[1];
            let file = log.0[&kind.name(first)].clone();
            log.0.insert(kind.name(first + 1), file);
            log.segments()[3].0
        }),
        kind(
            "a segment of another log of the same key",
            Chain,
            |log, made| {
                let (first, kind) = log.segments()[1];
                let other = another_log(made);
                log.0
                    .insert(kind.name(first), other.0[&kind.name(first)].clone());
                first
            },
        ),
        known(
            kind("the end cut off", Missing, |log, _| cut(log)),
            |_, demands| demands,
        ),
        known(
            kind("the end cut off, and HEAD with it", Missing, |log, _| {
                let bad = cut_segment(log);
                adjust_head(log);
                bad
            }),
            with_head,
        ),
        known(
            kind("the end replaced", Head, |log, made| {
                cut(log);
                for _ in 0..12 {
                    append(log, &made.key);
                }
                made.log.last()
            }),
            |_, demands| demands,
        ),
        kind(
            "a segment removed, declared by a record that the next start signs",
            Missing,
            |log, made| {
                let segment = log.segments()[2];
                let bad = declare_and_remove(log, segment, &made.key);
                start_again(log, &made.key);
                bad
            },
        ),
        known(
            kind(
                "cut back, and records put there that the next start signs",
                Head,
                |log, made| {
                    cut_back(log);
                    while log.last() <= made.log.last() {
                        append(log, &made.key);
                    }
                    start_again(log, &made.key);
                    made.log.last()
                },
            ),
            with_head,
        ),
        known(
            kind("all up to a kept head removed", Missing, |log, _| {
                let segments = log.segments();
                segments[..2].iter().for_each(|it| remove(log, *it));
                1
            }),
            |made, demands| {
                let last = made.log.segments()[2].0 - 1;
                Demands {
                    heads: vec![made.log.head(last)],
                    ..demands
                }
            },
        ),
        beyond_the_chain(kind(
            "the last segment removed, and HEAD",
            Head,
            |log, _| {
                let bad = cut_segment(log);
                log.0.remove("HEAD");
                bad
            },
        )),
        beyond_the_chain(kind("HEAD is not what was signed", Head, |log, _| {
            let head = log.0.get_mut("HEAD").unwrap();
            let text = String::from_utf8(head.clone()).unwrap();
            *head = flip(&text, "\"prev\":\"").into_bytes();
            1
        })),
        beyond_the_chain(kind("an index that hides a session", Index, |log, _| {
            let (first, _) = log.segments()[1];
            let index = log.0.get_mut(&FileKind::Index.name(first)).unwrap();
            let mut json: serde_json::Value = serde_json::from_slice(index).unwrap();
            let sessions = json["sessions"].as_object_mut().unwrap();
            let hidden = sessions.keys().next().unwrap().clone();
            sessions.remove(&hidden);
            *index = format!("{json}\n").into_bytes();
            first
        })),
        kind(
            "all from a record on written anew, with another key",
            Key,
            |log, _| {
                let bad = log.segments()[2].0;
                log.rechain(bad, &Signer::new());
                bad
            },
        ),
        known(
            kind(
                "the same within a segment, the key unknown",
                Key,
                |log, _| {
                    let bad = statement(log);
                    log.edit(bad, |line| flip(line, "\"sql\":\""));
                    log.rechain(bad, &Signer::new());
                    log.find(bad, "\"type\":\"checkpoint\"")
                },
            ),
            without_key,
        ),
        beyond_the_chain(kind(
            "an outcome left out before it was signed",
            Incomplete,
            |log, made| {
                let left_out = log.find(statement(log), "\"type\":\"statement_finished\"");
                leave_out(log, made, left_out);
                closing(log, left_out)
            },
        )),
        beyond_the_chain(kind(
            "a start left out before it was signed",
            Incomplete,
            |log, made| {
                let left_out = log.find(statement(log), "\"type\":\"statement_started\"");
                let finished = log.line(left_out);
                leave_out(log, made, left_out);
                let connection = connection(&finished);
                let number = finished.split("\"statement\":").nth(1).unwrap();
                let number = number.split(',').next().unwrap();
                let end = format!("\"statement\":{number},\"outcome\"");
                (left_out..)
                    .find(|seq| {
                        let line = log.line(*seq);
                        line.contains(connection) && line.contains(&end)
                    })
                    .unwrap()
            },
        )),
        beyond_the_chain(kind(
            "a part of a statement left out",
            Incomplete,
            |log, made| {
                let part = log.find(1, "\"part\":1,");
                leave_out(log, made, part);
                log.find(part, "\"part\":2,")
            },
        )),
        beyond_the_chain(kind(
            "a part of a statement changed",
            Incomplete,
            |log, made| {
                let part = log.find(1, "\"part\":1,");
                log.edit(part, |line| line.replacen('é', "è", 1));
                log.rechain(part, &made.key);
                log.find(part, "\"sha256\":")
            },
        )),
    ]
}

fn connection(line: &str) -> &str {
    let start = line.find("\"con-").unwrap();
    &line[start..start + 18]
}

/// The record that closes the connection of a record.
fn closing(log: &Log, of: u64) -> u64 {
    // The line is gone: the connection is one of those that are closed with something open.
    let report = log.verify(&Demands::default());
    let closed = report.faults.first().map_or(0, |fault| fault.seq);
    assert!(closed > of);
    assert!(log.line(closed).contains("\"type\":\"connection_closed\""));
    closed
}

/// Takes a record out, and puts the chain right again with the log's own key; names of segments
/// too. Indexes would give it away.
fn leave_out(log: &mut Log, made: &Made, seq: u64) {
    log.change(seq, |lines, place| drop(lines.remove(place)));
    let moved: Vec<_> = log.segments().into_iter().filter(|it| it.0 > seq).collect();
    let mut before = log.segment_of(seq).0;
    for (first, kind) in moved {
        let lines = log.lines((first, kind));
        remove(log, (first, kind));
        let mut lines = lines;
        lines[0] = named(&lines[0], before);
        log.replace((first - 1, kind), &lines);
        before = first - 1;
    }
    log.rechain(seq, &made.key);
}

/// A segment's first line, naming another segment as the one before.
fn named(line: &str, before: u64) -> String {
    let (start, rest) = line.split_once("\"previous\":").unwrap();
    let (_, end) = rest.split_once(',').unwrap();
    format!("{start}\"previous\":{before},{end}")
}
