//! A text cut into statements, and what each of them does to a transaction.

use crate::sql::{Kind, Token, tokens};

/// One statement of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its text.
    pub sql: &'a str,
    /// What it does to the transaction around it.
    pub control: Control,
    /// Whether it has a parameter in it.
    pub has_parameters: bool,
}

/// What a statement does to the transaction around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Nothing.
    None,
    /// `BEGIN` and `START TRANSACTION`, with the tag that they have.
    Begin(&'static str),
    /// `COMMIT`, and whether the next one begins at once.
    Commit {
        /// `AND CHAIN`
        chain: bool,
    },
    /// `ROLLBACK` of all of it, and whether the next one begins at once.
    Rollback {
        /// `AND CHAIN`
        chain: bool,
    },
    /// `SET TRANSACTION`, which has to come before all else in it.
    Modes,
    /// `PREPARE TRANSACTION`, and what becomes of one: it would outlive a rollback.
    TwoPhase,
    /// It does not run in a transaction block.
    Alone,
}

/// The statements of `sql`; what is only whitespace and comments is none.
pub fn pieces(sql: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut nesting = Nesting::default();
    let (mut start, mut significant) = (0, Vec::new());
    for token in tokens(sql) {
        if token.is_mark(";") && nesting.is_outside() {
            pieces.extend(piece(&sql[start..token.start], &significant));
            start = token.start + 1;
            significant.clear();
            nesting = Nesting::default();
        } else if token.is_significant() {
            nesting.take(&token);
            significant.push(token);
        }
    }
    pieces.extend(piece(&sql[start..], &significant));
    pieces
}

fn piece<'a>(sql: &'a str, significant: &[Token<'_>]) -> Option<Piece<'a>> {
    let is_parameter = |token: &Token<'_>| token.kind == Kind::Parameter;
    (!significant.is_empty()).then(|| Piece {
        sql: sql.trim(),
        control: control(significant),
        has_parameters: significant.iter().any(is_parameter),
    })
}

/// Where semicolons do not end a statement: in the parentheses of a rule, in the body of a
/// function in SQL.
#[derive(Default)]
struct Nesting {
    parentheses: usize,
    /// How many `END`s a body of `BEGIN ATOMIC` still needs.
    body: usize,
    after_begin: bool,
}

impl Nesting {
    fn is_outside(&self) -> bool {
        self.parentheses == 0 && self.body == 0
    }

    fn take(&mut self, token: &Token<'_>) {
        match token.text {
            "(" => self.parentheses += 1,
            ")" => self.parentheses = self.parentheses.saturating_sub(1),
            _ => {}
        }
        let begins = token.is_word("begin") || token.is_word("case");
        if self.body > 0 && begins {
            self.body += 1;
        } else if self.body > 0 && token.is_word("end") {
            self.body -= 1;
        } else if self.after_begin && token.is_word("atomic") {
            self.body = 1;
        }
        self.after_begin = token.is_word("begin");
    }
}

fn control(tokens: &[Token<'_>]) -> Control {
    let word = |place: usize| tokens.get(place).copied();
    let is = |place: usize, text: &str| word(place).is_some_and(|it| it.is_word(text));
    let has = |text: &str| tokens.iter().any(|token| token.is_word(text));
    let Some(first) = word(0).filter(|token| token.kind == Kind::Word) else {
        return Control::None;
    };
    let chain = has("chain") && !has("no");
    match &*first.text.to_ascii_lowercase() {
        "begin" => Control::Begin("BEGIN"),
        "start" if is(1, "transaction") => Control::Begin("START TRANSACTION"),
        "commit" | "rollback" if is(1, "prepared") => Control::TwoPhase,
        "prepare" if is(1, "transaction") => Control::TwoPhase,
        "commit" | "end" => Control::Commit { chain },
        "rollback" if has("to") => Control::None,
        "rollback" | "abort" => Control::Rollback { chain },
        "set" if is(1, "transaction") => Control::Modes,
        "set" if is(1, "local") && is(2, "transaction") => Control::Modes,
        _ if runs_alone(tokens) => Control::Alone,
        _ => Control::None,
    }
}

/// Whether PostgreSQL refuses it in a transaction block (`PreventInTransactionBlock`).
fn runs_alone(tokens: &[Token<'_>]) -> bool {
    let is = |place: usize, text: &str| tokens.get(place).is_some_and(|it| it.is_word(text));
    let any = |place: usize, texts: &[&str]| texts.iter().any(|text| is(place, text));
    let concurrently = tokens.iter().any(|token| token.is_word("concurrently"));
    let made = any(0, &["create", "drop"]) && any(1, &["database", "tablespace", "subscription"]);
    is(0, "vacuum")
        || made
        || (is(0, "alter") && is(1, "system"))
        || (is(0, "discard") && is(1, "all"))
        || (is(0, "cluster") && tokens.len() == 1)
        || (is(0, "reindex") && tokens.iter().skip(1).take(6).any(is_whole_catalog))
        || (concurrently && any(0, &["create", "drop", "reindex", "alter"]))
}

fn is_whole_catalog(token: &Token<'_>) -> bool {
    ["database", "system", "schema"]
        .iter()
        .any(|it| token.is_word(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        pieces(sql).iter().map(|piece| piece.sql).collect()
    }

    #[test]
    fn a_text_is_cut_where_postgresql_cuts_it() {
        assert_eq!(
            texts("select 1; select ';' ;; -- no; more\n"),
            ["select 1", "select ';'"]
        );
        assert_eq!(texts("  "), Vec::<&str>::new());
        assert_eq!(texts("do $$ begin a; end $$; select 2").len(), 2);
        let rule = "create rule r as on insert to t do (select 1; select 2)";
        assert_eq!(texts(rule), [rule]);
        let body = "create function f() returns int begin atomic \
                    select case when true then 1 end; select 2; end";
        assert_eq!(texts(&format!("{body}; select 3")), [body, "select 3"]);
        assert_eq!(texts("begin; select 1; end; select 2").len(), 4);
    }

    #[test]
    fn what_controls_a_transaction_is_known() {
        let chain = false;
        for (sql, control) in [
            ("select 1", Control::None),
            (
                "/* x */ Begin isolation level serializable",
                Control::Begin("BEGIN"),
            ),
            (
                "start transaction read only",
                Control::Begin("START TRANSACTION"),
            ),
            ("commit work", Control::Commit { chain }),
            ("END", Control::Commit { chain }),
            ("commit and chain", Control::Commit { chain: true }),
            ("commit and no chain", Control::Commit { chain }),
            ("abort", Control::Rollback { chain }),
            ("rollback to savepoint a", Control::None),
            ("rollback work to a", Control::None),
            ("savepoint a", Control::None),
            ("release a", Control::None),
            ("prepare transaction 'x'", Control::TwoPhase),
            ("rollback prepared 'x'", Control::TwoPhase),
            ("prepare q as select 1", Control::None),
            ("set transaction read only", Control::Modes),
            (
                "set local transaction isolation level serializable",
                Control::Modes,
            ),
            (
                "set session characteristics as transaction read only",
                Control::None,
            ),
            ("vacuum (analyze) t", Control::Alone),
            ("create database x", Control::Alone),
            ("create unique index concurrently on t (a)", Control::Alone),
            ("reindex (verbose) database x", Control::Alone),
            ("reindex table x", Control::None),
            ("refresh materialized view concurrently v", Control::None),
            ("discard all", Control::Alone),
            ("discard plans", Control::None),
            ("\"commit\"", Control::None),
        ] {
            assert_eq!(pieces(sql)[0].control, control, "{sql}");
        }
    }
}
