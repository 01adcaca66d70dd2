//! What a statement did then, and what it does now.

use serde::Serialize;

use super::statement::{End, Statement};
use crate::audit::{Copy, CopyDirection, Outcome};

/// What a statement did when it was run again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Command tags.
    pub tags: Vec<String>,
    /// The error's code.
    pub sqlstate: Option<String>,
    /// What the server said about it.
    pub message: Option<String>,
    /// Rows.
    pub rows: u64,
    /// Whether the portal has more.
    pub suspended: bool,
    /// What was copied to us.
    pub copies: Vec<Copy>,
}

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// In what.
    pub what: What,
    /// As it was recorded.
    pub then: String,
    /// As it is now.
    pub now: String,
}

/// In what two runs differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Whether and how it failed.
    Error,
    /// Command tags.
    Tags,
    /// The number of rows.
    Rows,
    /// What was copied out.
    Copy,
}

/// In what `now` is not what was recorded.
pub fn compare(statement: &Statement, now: &Seen) -> Vec<Difference> {
    let Some(end) = &statement.end else {
        return Vec::new();
    };
    let failed = end.sqlstate.as_ref().or(statement.commit_failed.as_ref());
    if failed != now.sqlstate.as_ref() {
        return vec![Difference {
            what: What::Error,
            then: result(failed.map(String::as_str), end),
            now: result_now(now),
        }];
    }
    let tags: Vec<_> = end.results.iter().map(|it| it.tag.to_lossy()).collect();
    let mut found = Vec::new();
    let mut note = |what, then: String, now: String| {
        if then != now {
            found.push(Difference { what, then, now });
        }
    };
    // The tags of what is rolled back for a commit that fails are not worth a word.
    if statement.commit_failed.is_none() {
        note(What::Tags, tags.join("; "), now.tags.join("; "));
    }
    let more = |suspended| if suspended { ", and more" } else { "" };
    let suspended = end.outcome == Outcome::Suspended;
    note(
        What::Rows,
        format!("{} rows{}", end.rows, more(suspended)),
        format!("{} rows{}", now.rows, more(now.suspended)),
    );
    let (then, now) = copies(&end.copies, &now.copies);
    note(What::Copy, then, now);
    found
}

fn result(sqlstate: Option<&str>, end: &End) -> String {
    match sqlstate {
        Some(code) => format!("error {code}"),
        None => {
            let tags: Vec<_> = end.results.iter().map(|it| it.tag.to_lossy()).collect();
            if tags.is_empty() {
                "done".to_owned()
            } else {
                tags.join("; ")
            }
        }
    }
}

fn result_now(now: &Seen) -> String {
    match (&now.sqlstate, &now.message) {
        (Some(code), Some(message)) => format!("error {code}: {message}"),
        (Some(code), None) => format!("error {code}"),
        (None, _) if now.tags.is_empty() => "done".to_owned(),
        (None, _) => now.tags.join("; "),
    }
}

/// Both sides in words, with the hashes where both have them.
fn copies(then: &[Copy], now: &[Copy]) -> (String, String) {
    let out = |copies: &[Copy]| {
        let out = copies
            .iter()
            .filter(|it| it.direction == CopyDirection::Out);
        out.cloned().collect::<Vec<Copy>>()
    };
    let (then, now) = (out(then), out(now));
    let hashed = then.iter().all(|it| it.sha256.is_some());
    let words = |copies: &[Copy]| {
        let word = |it: &Copy| match it.sha256.as_ref().filter(|_| hashed) {
            Some(hash) => format!("{} bytes, SHA-256 {hash}", it.bytes),
            None => format!("{} bytes", it.bytes),
        };
        copies.iter().map(word).collect::<Vec<_>>().join("; ")
    };
    (words(&then), words(&now))
}
