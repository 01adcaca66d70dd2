//! What kind of statement a text is, in the words of PostgreSQL's command tags.

use super::lex::{Kind, Token, tokens};

/// The command tag that the first statement of `sql` would have: `SELECT`, `CREATE TABLE`. `None`
/// for what does not begin with a word. What is no command of PostgreSQL has its first word.
pub fn command(sql: &str) -> Option<String> {
    let mut words = words(sql);
    let first = words.next()?;
    Some(match &*first {
        "WITH" => main_command(sql).to_owned(),
        "TABLE" | "VALUES" => "SELECT".to_owned(),
        "END" => "COMMIT".to_owned(),
        "ABORT" => "ROLLBACK".to_owned(),
        "START" => "START TRANSACTION".to_owned(),
        "LOCK" | "TRUNCATE" => format!("{first} TABLE"),
        "DECLARE" | "CLOSE" => format!("{first} CURSOR"),
        "REFRESH" => "REFRESH MATERIALIZED VIEW".to_owned(),
        "CREATE" | "ALTER" | "DROP" => on_object(first, words),
        _ => first,
    })
}

/// The words of the first statement that stand outside parentheses it opens, in capitals.
fn words(sql: &str) -> impl Iterator<Item = String> {
    outside(sql)
        .take_while(|token| token.kind == Kind::Word)
        .map(|token| token.text.to_ascii_uppercase())
}

/// Significant tokens, without the parentheses and semicolons that come first.
fn outside(sql: &str) -> impl Iterator<Item = Token<'_>> {
    tokens(sql)
        .filter(Token::is_significant)
        .skip_while(|token| token.is_mark("(") || token.is_mark(";"))
}

/// The command that the queries of a WITH are for.
fn main_command(sql: &str) -> &'static str {
    let mut depth = 0usize;
    for token in outside(sql) {
        match token.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if depth == 0 && token.kind == Kind::Word => {
                if let Some(command) = with_with(token.text) {
                    return command;
                }
            }
            _ => {}
        }
    }
    "WITH"
}

fn with_with(word: &str) -> Option<&'static str> {
    ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"]
        .into_iter()
        .find(|command| word.eq_ignore_ascii_case(command))
}

/// CREATE, ALTER or DROP with what it is about.
fn on_object(verb: String, words: impl Iterator<Item = String>) -> String {
    let mut tag = verb;
    for word in words.skip_while(|word| is_modifier(word)) {
        tag.push(' ');
        tag.push_str(&word);
        if !goes_on(&word) {
            break;
        }
    }
    tag
}

fn is_modifier(word: &str) -> bool {
    matches!(
        word,
        "OR" | "REPLACE"
            | "TEMP"
            | "TEMPORARY"
            | "LOCAL"
            | "GLOBAL"
            | "UNLOGGED"
            | "UNIQUE"
            | "RECURSIVE"
            | "CONSTRAINT"
            | "TRUSTED"
            | "PROCEDURAL"
    )
}

/// Whether the tag does not end with this word.
fn goes_on(word: &str) -> bool {
    matches!(
        word,
        "MATERIALIZED"
            | "FOREIGN"
            | "EVENT"
            | "ACCESS"
            | "TEXT"
            | "SEARCH"
            | "DEFAULT"
            | "DATA"
            | "USER"
            | "OPERATOR"
            | "LARGE"
            | "OWNED"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_the_tag_that_postgresql_gives_it() {
        for (sql, tag) in [
            ("select 1", "SELECT"),
            ("/* x */ ((select 1) union select 2)", "SELECT"),
            (
                "with a as (delete from b returning *) select * from a",
                "SELECT",
            ),
            (
                "with recursive a(n) as (select 1) Insert into b select 2",
                "INSERT",
            ),
            ("values (1)", "SELECT"),
            ("table orders", "SELECT"),
            (";begin", "BEGIN"),
            ("end", "COMMIT"),
            ("CREATE UNIQUE INDEX a ON b (c)", "CREATE INDEX"),
            ("create or replace temp view a as select 1", "CREATE VIEW"),
            (
                "drop materialized view if exists a",
                "DROP MATERIALIZED VIEW",
            ),
            ("create foreign table a ()", "CREATE FOREIGN TABLE"),
            (
                "alter default privileges grant select on tables to a",
                "ALTER DEFAULT PRIVILEGES",
            ),
            ("truncate a", "TRUNCATE TABLE"),
            ("lock a", "LOCK TABLE"),
            ("declare c cursor for select 1", "DECLARE CURSOR"),
            ("fetch all from c", "FETCH"),
            ("selec 1", "SELEC"),
            ("with", "WITH"),
        ] {
            assert_eq!(command(sql).as_deref(), Some(tag), "{sql}");
        }
        for sql in ["", "-- nothing", ";", "42", "'a'"] {
            assert_eq!(command(sql), None, "{sql}");
        }
    }
}
