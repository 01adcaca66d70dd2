//! A lexer after PostgreSQL's manual, 4.1 "Lexical Structure", and its `scan.l`.
//!
//! `standard_conforming_strings` is taken to be on, as it is by default: a backslash is an escape
//! in `E'..'` only. A run of operator characters is one token.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or an identifier without quotes; [`super::is_keyword`] tells them apart.
    Word,
    /// `"Order"`, `U&"\0441"`.
    QuotedIdentifier,
    /// `'..'`, `E'..'`, `U&'..'`, `B'..'`, `X'..'`, `N'..'`, `$tag$..$tag$`; with the pieces that
    /// continue it on other lines.
    String,
    /// `42`, `3.5e-10`, `0x2A`; without a sign.
    Number,
    /// `$1`.
    Parameter,
    /// A run of characters like `=`, `->>`, `*`.
    Operator,
    /// One of `( ) [ ] , ; : . ..`
    Punctuation,
    /// `-- ..` without the end of the line, or `/* .. */`, which nests.
    Comment,
    /// Spaces, tabs and ends of lines.
    Whitespace,
    /// One character that has no place in SQL.
    Other,
}

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its characters, as they stand.
    pub text: &'a str,
    /// The place of its first byte in the text.
    pub start: usize,
}

impl Token<'_> {
    /// Whether it is the unquoted `word`, which is given in lower case.
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is the punctuation `mark`.
    pub fn is_mark(&self, mark: &str) -> bool {
        self.kind == Kind::Punctuation && self.text == mark
    }

    /// Whether it is neither whitespace nor a comment.
    pub fn is_significant(&self) -> bool {
        !matches!(self.kind, Kind::Whitespace | Kind::Comment)
    }
}

/// The tokens of `sql`: one after the other they are `sql`. What is not terminated runs to the end.
pub fn tokens(sql: &str) -> Tokens<'_> {
    Tokens { sql, at: 0 }
}

/// See [`tokens`].
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    sql: &'a str,
    at: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let start = self.at;
        let rest = &self.sql[start..];
        let first = *rest.as_bytes().first()?;
        let (kind, length) = token(rest, first);
        self.at = start + length;
        let text = &rest[..length];
        Some(Token { kind, text, start })
    }
}

/// The token that `rest` begins with. Every length is at least 1 and ends a character: what is not
/// ASCII is part of a word, or inside of something that begins and ends with ASCII.
fn token(rest: &str, first: u8) -> (Kind, usize) {
    let bytes = rest.as_bytes();
    let second = bytes.get(1).copied();
    match first {
        _ if is_space(first) => (Kind::Whitespace, run(bytes, is_space)),
        b'-' if second == Some(b'-') => (Kind::Comment, line(bytes)),
        b'/' if second == Some(b'*') => (Kind::Comment, block(bytes)),
        b'\'' => (Kind::String, string(bytes, 0, false)),
        b'"' => (Kind::QuotedIdentifier, quoted(bytes, 0, b'"')),
        b'$' => dollar(bytes),
        b'.' if second.is_some_and(|byte| byte.is_ascii_digit()) => (Kind::Number, number(bytes)),
        b'0'..=b'9' => (Kind::Number, number(bytes)),
        b'.' if second == Some(b'.') => (Kind::Punctuation, 2),
        b'(' | b')' | b'[' | b']' | b',' | b';' | b':' | b'.' => (Kind::Punctuation, 1),
        _ if is_operator(first) => (Kind::Operator, operator(bytes)),
        _ if begins_word(first) => prefixed(bytes),
        _ => (Kind::Other, 1),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_operator(byte: u8) -> bool {
    b"+-*/<>=~!@#%^&|`?".contains(&byte)
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn continues_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// How many of the first bytes are `wanted`.
fn run(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    let end = bytes.iter().position(|byte| !wanted(*byte));
    end.unwrap_or(bytes.len())
}

fn line(bytes: &[u8]) -> usize {
    memchr::memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len())
}

fn block(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (1usize, 2);
    while let Some(found) = memchr::memchr2(b'/', b'*', bytes.get(at..).unwrap_or_default()) {
        at += found;
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") if depth == 1 => return at + 2,
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A run of operator characters, up to a comment.
fn operator(bytes: &[u8]) -> usize {
    let length = run(bytes, is_operator);
    let comment = bytes[..length]
        .windows(2)
        .position(|two| two == b"--" || two == b"/*");
    comment.unwrap_or(length)
}

/// A word, or what a letter before a quote begins.
fn prefixed(bytes: &[u8]) -> (Kind, usize) {
    match bytes {
        [b'e' | b'E', b'\'', ..] => (Kind::String, string(bytes, 1, true)),
        [b'b' | b'B' | b'x' | b'X' | b'n' | b'N', b'\'', ..] => {
            (Kind::String, string(bytes, 1, false))
        }
        [b'u' | b'U', b'&', b'\'', ..] => (Kind::String, string(bytes, 2, false)),
        [b'u' | b'U', b'&', b'"', ..] => (Kind::QuotedIdentifier, quoted(bytes, 2, b'"')),
        _ => (Kind::Word, run(bytes, continues_word)),
    }
}

/// A string whose quote is at `open`, with the pieces that continue it.
fn string(bytes: &[u8], open: usize, escapes: bool) -> usize {
    let mut open = open;
    loop {
        let end = if escapes {
            escaped(bytes, open)
        } else {
            quoted(bytes, open, b'\'')
        };
        match continuation(&bytes[end..]) {
            Some(gap) => open = end + gap,
            None => return end,
        }
    }
}

/// The end of what the quote at `open` begins; a doubled quote stands for itself.
fn quoted(bytes: &[u8], open: usize, quote: u8) -> usize {
    let mut at = open + 1;
    while let Some(found) = memchr::memchr(quote, &bytes[at..]) {
        at += found + 1;
        if bytes.get(at) != Some(&quote) {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// The same where a backslash escapes the byte behind it.
fn escaped(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(found) = memchr::memchr2(b'\'', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found;
        match (bytes[at], bytes.get(at + 1)) {
            (b'\\', _) | (_, Some(b'\'')) => at += 2,
            _ => return at + 1,
        }
    }
    bytes.len()
}

/// How far the next quote is, if only whitespace with a line's end, and line comments, are between.
fn continuation(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut new_line) = (0, false);
    loop {
        match bytes.get(at)? {
            b'\'' => return new_line.then_some(at),
            b'\n' | b'\r' => (at, new_line) = (at + 1, true),
            byte if is_space(*byte) => at += 1,
            b'-' if bytes.get(at + 1) == Some(&b'-') => at += line(&bytes[at..]),
            _ => return None,
        }
    }
}

/// `$1`, `$tag$..$tag$`, or a dollar that begins neither.
fn dollar(bytes: &[u8]) -> (Kind, usize) {
    let digits = run(&bytes[1..], |byte| byte.is_ascii_digit());
    if digits > 0 {
        return (Kind::Parameter, 1 + digits);
    }
    let tag = run(&bytes[1..], |byte| byte != b'$' && continues_word(byte));
    if bytes.get(1 + tag) != Some(&b'$') {
        return (Kind::Other, 1);
    }
    let (delimiter, body) = bytes.split_at(tag + 2);
    let end = memchr::memmem::find(body, delimiter)
        .map_or(bytes.len(), |at| delimiter.len() + at + delimiter.len());
    (Kind::String, end)
}

/// `42`, `1_000`, `3.5e-10`, `.5`, `0x2A`. Letters behind it are the next token.
fn number(bytes: &[u8]) -> usize {
    let digits = |from: usize| run(&bytes[from..], |byte| byte.is_ascii_digit() || byte == b'_');
    if let [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', next, ..] = bytes
        && next.is_ascii_hexdigit()
    {
        return 2 + run(&bytes[2..], |byte| byte.is_ascii_hexdigit() || byte == b'_');
    }
    let mut end = digits(0);
    // `1..10` is two numbers and two dots between them.
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1) != Some(&b'.') {
        end += 1;
        end += digits(end);
    }
    end + exponent(&bytes[end..])
}

fn exponent(bytes: &[u8]) -> usize {
    let sign = match bytes {
        [b'e' | b'E', b'+' | b'-', ..] => 2,
        [b'e' | b'E', ..] => 1,
        _ => return 0,
    };
    match run(&bytes[sign..], |byte| byte.is_ascii_digit()) {
        0 => 0,
        digits => sign + digits,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tokens but whitespace, each as its kind's first letter and its text.
    fn cut(sql: &str) -> Vec<String> {
        tokens(sql)
            .filter(|token| token.kind != Kind::Whitespace)
            .map(|token| format!("{}:{}", &format!("{:?}", token.kind)[..1], token.text))
            .collect()
    }

    #[test]
    fn a_statement_is_cut_where_postgresql_cuts_it() {
        assert_eq!(
            cut("SELECT o.id,\"To\"\"tal\" FROM t$1 WHERE a>=$2::int -- why\n;"),
            [
                "W:SELECT",
                "W:o",
                "P:.",
                "W:id",
                "P:,",
                "Q:\"To\"\"tal\"",
                "W:FROM",
                "W:t$1",
                "W:WHERE",
                "W:a",
                "O:>=",
                "P:$2",
                "P::",
                "P::",
                "W:int",
                "C:-- why",
                "P:;"
            ]
        );
    }

    #[test]
    fn strings_end_where_their_kind_says() {
        for one in [
            "'it''s'",
            r"'\'",
            r"E'it\'s'",
            r"e'\\'",
            r"U&'\0041'",
            "B'01'",
            "x'1f'",
            "N'a'",
            "$$a'b$$",
            "$a$ $$ $b$ $a$",
            "$é$x$é$",
            "'a'\n  'b'",
            "E'a' -- no end\n 'b\\'c'",
            "'not ended",
            "E'ended\\",
            "$a$ not ended $$",
        ] {
            let all: Vec<Token<'_>> = tokens(one).collect();
            assert_eq!(all.len(), 1, "{one}: {all:?}");
            assert_eq!(all[0].kind, Kind::String, "{one}");
        }
        assert_eq!(cut(r"'\' 'b'"), [r"S:'\'", "S:'b'"]);
        assert_eq!(cut("$1a$ $$x"), ["P:$1", "W:a$", "S:$$x"]);
        assert_eq!(cut("a$b$c"), ["W:a$b$c"]);
        assert_eq!(cut("$ $a"), ["O:$", "O:$", "W:a"]);
    }

    #[test]
    fn comments_nest_and_end_operators() {
        assert_eq!(cut("/*a/*b*/c*/d"), ["C:/*a/*b*/c*/", "W:d"]);
        assert_eq!(cut("/*/ a */b"), ["C:/*/ a */", "W:b"]);
        assert_eq!(cut("a+-- b\rc"), ["W:a", "O:+", "C:-- b", "W:c"]);
        assert_eq!(cut("a*/*b*/c"), ["W:a", "O:*", "C:/*b*/", "W:c"]);
        assert_eq!(cut("/*a/*b*/"), ["C:/*a/*b*/"]);
    }

    #[test]
    fn numbers_take_what_belongs_to_them() {
        for one in [
            "42", "3.5", ".5", "4.", "5e2", "1.925e-3", "1_500", "0x1F", "0b10", "0o7",
        ] {
            assert_eq!(cut(one), [format!("N:{one}")]);
        }
        assert_eq!(cut("1..10"), ["N:1", "P:..", "N:10"]);
        assert_eq!(cut("1e"), ["N:1", "W:e"]);
        assert_eq!(cut("a.5"), ["W:a", "N:.5"]);
    }

    #[test]
    fn what_has_no_place_in_sql_is_a_token_too() {
        assert_eq!(
            cut("\\d\0\u{1b}[2J"),
            ["O:\\", "W:d", "O:\0", "O:\u{1b}", "P:[", "N:2", "W:J"]
        );
        assert_eq!(cut("\u{202e}é"), ["W:\u{202e}é"]);
    }

    /// Texts with many beginnings and few ends.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-zE'\"$/*\\\\.0-9 \n-]{1,6}",
            Just("U&'".to_owned()),
            Just("$é$".to_owned()),
            Just("/*".to_owned()),
            any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn tokens_one_after_the_other_are_the_text(sql in hostile()) {
            let mut at = 0;
            for token in tokens(&sql) {
                prop_assert_eq!(token.start, at);
                prop_assert!(!token.text.is_empty());
                at += token.text.len();
                prop_assert_eq!(&sql[token.start..at], token.text);
            }
            prop_assert_eq!(at, sql.len());
        }
    }
}
