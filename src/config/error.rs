//! What is wrong with a configuration, said so that one can put it right.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong, or doubtful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The configuration file.
    pub file: PathBuf,
    /// The line, from 1; `None` where it is about the whole file.
    pub line: Option<usize>,
    /// The key, dotted (`targets.orders-ro.password.file`); empty where it is about the whole file.
    pub key: String,
    /// What is wrong, and what is right. Never holds a secret.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Why a configuration is refused: everything that could be found in one go, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct ConfigErrors(pub Vec<Finding>);

fn lines(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    lines.join("\n")
}

/// The candidate that `word` was probably meant to be.
pub(super) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean ..?`, or else the list of what there is.
pub(super) fn suggest(word: &str, candidates: &[&str]) -> String {
    match closest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => "there is none".to_owned(),
        None => format!("there are {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_different_word_is_not() {
        assert_eq!(closest("lisen", ["listen", "tls"]), Some("listen"));
        assert_eq!(closest("tsl", ["listen", "tls"]), Some("tls"));
        assert_eq!(closest("banana", ["listen", "tls"]), None);
    }

    #[test]
    fn a_finding_reads_file_line_key_message() {
        let finding = Finding {
            file: "hallpass.toml".into(),
            line: Some(3),
            key: "proxy.listen".into(),
            message: "is empty".into(),
        };
        assert_eq!(
            finding.to_string(),
            "hallpass.toml:3: proxy.listen: is empty"
        );
    }
}
