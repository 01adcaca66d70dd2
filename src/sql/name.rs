//! Names of tables as PostgreSQL reads them: folded, unquoted, cut at 63 bytes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::lex::{Kind, Token, tokens};

/// Longer names are cut by the server.
const LONGEST: usize = 63;

/// A table as a text names it: what is in `"Quotes"` stands as it is, all else in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName<'a> {
    /// The schema, if the text says it.
    pub schema: Option<Cow<'a, str>>,
    /// The table's own name.
    pub name: Cow<'a, str>,
}

/// As `schema.name`, or `name`.
impl fmt::Display for TableName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

/// The identifier that `token` stands for; `None` if it is none.
pub(super) fn identifier<'a>(token: &Token<'a>) -> Option<Cow<'a, str>> {
    match token.kind {
        Kind::Word => Some(cut(folded(token.text))),
        Kind::QuotedIdentifier => Some(cut(unquoted(token.text))),
        _ => None,
    }
}

/// In a UTF-8 database, only ASCII is folded.
fn folded(word: &str) -> Cow<'_, str> {
    if word.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(word.to_ascii_lowercase());
    }
    Cow::Borrowed(word)
}

fn unquoted(quoted: &str) -> Cow<'_, str> {
    let (unicode, inner) = match quoted.strip_prefix(['U', 'u']) {
        Some(rest) => (true, &rest[2..]),
        None => (false, &quoted[1..]),
    };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    if unicode {
        return Cow::Owned(unescaped(&inner.replace("\"\"", "\"")));
    }
    if inner.contains('"') {
        return Cow::Owned(inner.replace("\"\"", "\""));
    }
    Cow::Borrowed(inner)
}

/// `\0441` and `\+01F600` as what they stand for. Another escape character (UESCAPE) is not heeded.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let (found, length) = escape(&rest[at..]);
        plain.push(found);
        rest = &rest[at + length..];
    }
    plain.push_str(rest);
    plain
}

/// The character that `text`, which begins with a backslash, stands for, and the escape's length.
fn escape(text: &str) -> (char, usize) {
    let (digits, length) = match text.as_bytes() {
        [_, b'\\', ..] => return ('\\', 2),
        [_, b'+', ..] => (text.get(2..8), 8),
        _ => (text.get(1..5), 5),
    };
    digits
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .and_then(char::from_u32)
        .map_or(('\\', 1), |found| (found, length))
}

fn cut(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.len() <= LONGEST {
        return name;
    }
    let end = name.floor_char_boundary(LONGEST);
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(&name[..end]),
        Cow::Owned(mut name) => {
            name.truncate(end);
            Cow::Owned(name)
        }
    }
}

/// A table that is looked for, written as in SQL: `orders`, `public.orders`, `"Order Items"`.
///
/// `orders` is found in any schema. `public.orders` is found under that name, and where a text says
/// `orders` alone: which schema that means depends on the connection's `search_path`, which is not
/// resolved here.
#[derive(Debug, Clone)]
pub struct WantedTable {
    name: TableName<'static>,
    /// What a text that names the table has somewhere.
    hint: regex::Regex,
}

/// What was written is no table's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a table's name; write it as in SQL: orders, public.orders, \"Order Items\"")]
pub struct InvalidName(String);

impl WantedTable {
    /// Its name, and its schema if one was said.
    pub fn name(&self) -> &TableName<'static> {
        &self.name
    }

    /// Whether `found` may be this table.
    pub fn is(&self, found: &TableName<'_>) -> bool {
        let schemas = (&self.name.schema, &found.schema);
        let same_schema = !matches!(schemas, (Some(wanted), Some(found)) if wanted != found);
        same_schema && self.name.name == found.name
    }

    /// Whether `sql` names this table; see [`super::tables()`] for where it is looked for.
    pub fn is_named_in(&self, sql: &str) -> bool {
        self.hint.is_match(sql) && super::tables(sql).any(|found| self.is(&found))
    }
}

impl FromStr for WantedTable {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let name = parsed(text).ok_or_else(|| InvalidName(text.to_owned()))?;
        let hint = hint(&name.name).map_err(|_| InvalidName(text.to_owned()))?;
        Ok(Self { name, hint })
    }
}

/// The name itself, or a sign that names may be written in another way.
fn hint(name: &str) -> Result<regex::Regex, regex::Error> {
    let written = regex::escape(&name.replace('"', "\"\""));
    // Unicode folding would be slower, and PostgreSQL does not fold so.
    regex::RegexBuilder::new(&format!("{written}|u&\""))
        .case_insensitive(true)
        .unicode(false)
        .build()
}

fn parsed(text: &str) -> Option<TableName<'static>> {
    let mut parts = Vec::new();
    for (place, token) in tokens(text.trim()).enumerate() {
        match place % 2 {
            0 => parts.push(identifier(&token).filter(|name| !name.is_empty())?),
            _ if token.is_mark(".") => {}
            _ => return None,
        }
    }
    let dots = tokens(text.trim()).count() / 2;
    let name = parts.pop().filter(|_| dots == parts.len())?;
    Some(TableName {
        schema: parts.pop().map(|schema| schema.into_owned().into()),
        name: name.into_owned().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<String> {
        parsed(text).map(|name| name.to_string())
    }

    #[test]
    fn names_are_read_as_the_server_reads_them() {
        for (written, read) in [
            ("orders", "orders"),
            ("Public.ORDERS", "public.orders"),
            ("\"Order Items\"", "Order Items"),
            ("sales.\"a\"\"b\"", "sales.a\"b"),
            ("shop.public.orders", "public.orders"),
            ("U&\"d\\0061t\\+000061\"", "data"),
            ("U&\"\\q\\\\\"", "\\q\\"),
            ("ÉTÉ", "ÉtÉ"),
        ] {
            assert_eq!(name(written).as_deref(), Some(read), "{written}");
        }
        let long = "é".repeat(40);
        assert_eq!(name(&long), Some("é".repeat(31)));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "", ".", "a.", ".a", "a b", "a,b", "'a'", "a.b.", "\"\"", "a..b", "%",
        ] {
            assert_eq!(name(text), None, "{text}");
            assert!(text.parse::<WantedTable>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_unqualified_name_stands_for_every_schema() {
        let found =
            |wanted: &str, sql: &str| wanted.parse::<WantedTable>().unwrap().is_named_in(sql);
        assert!(found("orders", "select * from public.orders"));
        assert!(found("orders", "select * from ORDERS"));
        assert!(found("public.orders", "select * from Public.Orders"));
        assert!(found("public.orders", "select * from orders"));
        assert!(found("data", "select * from U&\"d\\0061ta\""));
        assert!(found("\"a\"\"b\"", "select * from \"a\"\"b\""));
        assert!(!found("public.orders", "select * from sales.orders"));
        assert!(!found("orders", "select * from \"Orders\""));
        assert!(!found("orders", "select orders from items"));
        assert!(!found("orders", "select 'from orders'"));
    }
}
