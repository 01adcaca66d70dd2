//! Text that is looked for in statements, and the signs of it in lines.
//!
//! A statement is known to have it only when it is read whole; but most lines that cannot have it
//! are told by a look at their bytes, where the text stands with JSON's escapes.

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::literal::Extractor;

use super::super::statement::{Missing, Statement};
use super::super::text::{Parameter, Text};
use crate::sql::WantedTable;

/// Where text is looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// In SQL and in parameters.
    #[default]
    Both,
    /// In SQL alone.
    Sql,
    /// In parameters alone.
    Parameters,
}

impl Scope {
    pub(super) fn has_sql(self) -> bool {
        self != Self::Parameters
    }

    pub(super) fn has_parameters(self) -> bool {
        self != Self::Sql
    }
}

/// Text that is looked for.
#[derive(Debug, Clone)]
pub struct TextFilter {
    matcher: Matcher,
    /// Where.
    pub(super) scope: Scope,
    signs: Option<Signs>,
}

/// Why a text cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub enum InvalidText {
    /// There is nothing to look for.
    #[error("there is no text to look for")]
    Empty,
    /// The regular expression is none, or too large.
    #[error("{0}")]
    Pattern(#[from] regex::Error),
}

#[derive(Debug, Clone)]
enum Matcher {
    Literal(Box<Finder<'static>>),
    Pattern(Regex),
}

impl Matcher {
    fn is_in(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Literal(finder) => finder.find(bytes).is_some(),
            Self::Pattern(pattern) => pattern.is_match(bytes),
        }
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Literal(finder) => finder.find(bytes),
            Self::Pattern(pattern) => pattern.find(bytes).map(|found| found.start()),
        }
    }
}

impl TextFilter {
    /// `text` as it stands; in any case, unless it has a capital letter.
    ///
    /// # Errors
    /// If it is empty.
    pub fn literal(text: &str, scope: Scope) -> Result<Self, InvalidText> {
        if text.is_empty() {
            return Err(InvalidText::Empty);
        }
        let in_json = escaped(text.as_bytes());
        let (matcher, signs) = match text.chars().any(char::is_uppercase) {
            true => (exactly(text.as_bytes()), exactly(&in_json)),
            false => (in_any_case(text)?, in_any_case(&lossy(&in_json))?),
        };
        Ok(Self {
            matcher,
            scope,
            signs: Some(Signs(signs)),
        })
    }

    /// A regular expression, as the `regex` crate has them; in the case that it says.
    ///
    /// # Errors
    /// If it is none.
    pub fn pattern(pattern: &str, scope: Scope) -> Result<Self, InvalidText> {
        Ok(Self {
            matcher: Matcher::Pattern(Regex::new(pattern)?),
            scope,
            signs: Signs::of_pattern(pattern),
        })
    }

    /// Whether a statement has it. One whose text is too long to be looked at whole counts as
    /// having it: what cannot be ruled out is shown.
    pub fn is_in(&self, statement: &Statement) -> bool {
        let too_long = |missing: &Missing| matches!(missing, Missing::Rest { .. });
        let sql = statement.sql.as_ref().filter(|_| self.scope.has_sql());
        sql.is_some_and(|sql| self.matcher.is_in(&sql.0))
            || (self.scope.has_parameters() && statement.parameters.iter().any(|it| self.is_of(it)))
            || statement.missing.iter().any(too_long)
    }

    fn is_of(&self, parameter: &Parameter) -> bool {
        match parameter {
            Parameter::Text(Text(bytes)) => self.matcher.is_in(bytes),
            Parameter::Binary { bytes, .. } => match parameter.readable() {
                Some(text) => self.matcher.is_in(text.as_bytes()),
                None => self.matcher.is_in(bytes),
            },
            Parameter::Null | Parameter::Hashed { .. } | Parameter::Omitted => false,
        }
    }

    /// Whether it stands in `text`.
    pub fn is_in_text(&self, text: &str) -> bool {
        self.matcher.is_in(text.as_bytes())
    }

    /// What lines have that have it, if anything is known.
    pub(super) fn signs(&self) -> Option<&Signs> {
        self.signs.as_ref()
    }

    /// Whether it stands in a text that has no escapes.
    pub(super) fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        self.matcher.is_in(bytes)
    }
}

fn exactly(bytes: &[u8]) -> Matcher {
    Matcher::Literal(Box::new(Finder::new(bytes).into_owned()))
}

fn in_any_case(text: &str) -> Result<Matcher, regex::Error> {
    let pattern = RegexBuilder::new(&regex::escape(text))
        .case_insensitive(true)
        .build()?;
    Ok(Matcher::Pattern(pattern))
}

fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// What bytes a line has somewhere, if the text that is looked for stands in it without base64.
#[derive(Debug, Clone)]
pub(super) struct Signs(Matcher);

impl Signs {
    /// Literals of which a match of the pattern begins with one. `None` if there are none worth it.
    fn of_pattern(pattern: &str) -> Option<Self> {
        let hir = regex_syntax::ParserBuilder::new()
            .utf8(false)
            .build()
            .parse(pattern)
            .ok()?;
        let mut literals = Extractor::new().extract(&hir);
        literals.optimize_for_prefix_by_preference();
        let literals = literals.literals().filter(|all| !all.is_empty())?;
        if literals.iter().any(|literal| literal.len() < 2) {
            return None;
        }
        let escaped = literals
            .iter()
            .map(|it| as_pattern(&escaped(it.as_bytes())));
        let any = escaped.collect::<Vec<_>>().join("|");
        let any = RegexBuilder::new(&any).unicode(false).build().ok()?;
        Some(Self(Matcher::Pattern(any)))
    }

    /// The name of a table, or what may stand for it.
    pub(super) fn of_table(table: &WantedTable) -> Option<Self> {
        let name = table.name().name.replace('"', "\"\"");
        let name = regex::escape(&lossy(&escaped(name.as_bytes())));
        let any = RegexBuilder::new(&format!("{name}|u&\\\\\""))
            .case_insensitive(true)
            .unicode(false)
            .build();
        any.ok().map(|any| Self(Matcher::Pattern(any)))
    }

    /// Where the next one begins in `bytes`, from `from` on.
    pub(super) fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        Some(from + self.0.find(bytes.get(from..)?)?)
    }
}

/// Bytes as they stand in a JSON string that serde_json writes.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut json = Vec::with_capacity(bytes.len() + 8);
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => json.extend([b'\\', byte]),
            b'\n' => json.extend(b"\\n"),
            b'\r' => json.extend(b"\\r"),
            b'\t' => json.extend(b"\\t"),
            0x08 => json.extend(b"\\b"),
            0x0c => json.extend(b"\\f"),
            0..0x20 => json.extend(format!("\\u{byte:04x}").into_bytes()),
            _ => json.push(byte),
        }
    }
    json
}

/// A pattern, for bytes, that matches just these.
fn as_pattern(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signed(filter: &TextFilter, text: &str) -> bool {
        let json = serde_json::to_vec(text).unwrap();
        filter
            .signs()
            .is_none_or(|signs| signs.find(&json, 0).is_some())
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_what_serde_writes(text in any::<String>()) {
            let json = serde_json::to_vec(&text).unwrap();
            prop_assert_eq!(escaped(text.as_bytes()), &json[1..json.len() - 1]);
        }

        #[test]
        fn a_text_that_has_it_shows_its_signs(text in "\\PC{0,20}[\"\\\\\n\t\u{1}a-zßſK]{0,9}", from in 0usize..20, len in 1usize..9) {
            let wanted: String = text.chars().skip(from).take(len).collect();
            prop_assume!(!wanted.is_empty());
            let filter = TextFilter::literal(&wanted, Scope::Both).unwrap();
            prop_assert!(filter.is_in_text(&text));
            prop_assert!(signed(&filter, &text));
            let pattern = TextFilter::pattern(&regex::escape(&wanted), Scope::Both).unwrap();
            prop_assert!(pattern.is_in_text(&text));
            prop_assert!(signed(&pattern, &text));
        }
    }

    #[test]
    fn a_text_without_capitals_is_found_in_any_case() {
        let found = |wanted: &str, text: &str| {
            let filter = TextFilter::literal(wanted, Scope::Both).unwrap();
            assert!(!filter.is_in_text(text) || signed(&filter, text));
            filter.is_in_text(text)
        };
        assert!(found("from orders", "SELECT 1 FROM Orders"));
        assert!(found("straße", "STRAßE"));
        assert!(!found("Orders", "orders"));
        assert!(!found("a.c", "abc"));
        assert!(matches!(
            TextFilter::literal("", Scope::Sql),
            Err(InvalidText::Empty)
        ));
    }

    #[test]
    fn signs_of_a_pattern_are_where_it_can_match() {
        for (pattern, text) in [
            ("(?i)delete +from", "DELETE  FROM x"),
            ("foo|ba[rz]", "a baz"),
            ("select '\\x1b", "select '\u{1b}[2J"),
            ("^insert", "insert into a"),
            ("drop\\s+table", "drop\n\ttable a"),
            ("\\d{4}", "1234"),
            ("a?b?c?", "x"),
            ("é.", "né\u{301}e"),
        ] {
            let filter = TextFilter::pattern(pattern, Scope::Both).unwrap();
            assert!(filter.is_in_text(text), "{pattern}");
            assert!(signed(&filter, text), "{pattern}");
        }
        let drop = TextFilter::pattern("drop\\s+table", Scope::Both).unwrap();
        assert!(!signed(&drop, "select 1"));
        assert!(TextFilter::pattern("(", Scope::Both).is_err());
    }
}
