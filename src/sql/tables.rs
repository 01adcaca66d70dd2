//! Which tables a text names.
//!
//! Names are taken from where SQL has tables: behind FROM, JOIN, INTO, UPDATE, TABLE and so on. What
//! stands there but is a function or a name of WITH is left out. This is reading, not parsing: it
//! knows no catalogue, so that a view counts as a table, and it can be wrong about SQL that nobody
//! writes. Strings are read only where they are programs: in DO, CREATE FUNCTION and CREATE
//! PROCEDURE. SQL that a program puts together from strings is not seen.

mod rules;

use std::iter::Peekable;

use super::keyword::is_reserved;
use super::lex::{Kind, Token, Tokens, tokens};
use super::name::{TableName, WantedTable, identifier};
use super::nesting::{Command, Nesting, Object, Place, With};

/// Programs within programs within a text: deeper ones are not read.
const DEEPEST_PROGRAM: u8 = 3;

/// The tables that `sql` names, in its order, each as often as it is named.
pub fn tables(sql: &str) -> Tables<'_> {
    Tables::new(sql, 0)
}

/// Whether `sql` names the table `wanted`; see [`WantedTable`] for schemas.
pub fn names(sql: &str, wanted: &WantedTable) -> bool {
    wanted.is_named_in(sql)
}

/// Tokens but whitespace and comments.
type Significant<'a> = std::iter::Filter<Tokens<'a>, fn(&Token<'a>) -> bool>;

/// See [`tables()`].
#[derive(Debug)]
pub struct Tables<'a> {
    ahead: Peekable<Significant<'a>>,
    /// The last token, and the one before.
    before: [Option<Token<'a>>; 2],
    nesting: Nesting<'a>,
    /// A program that is read first.
    program: Option<Box<Tables<'a>>>,
    /// How many programs this one is in; 0 for SQL itself.
    depth: u8,
}

impl<'a> Iterator for Tables<'a> {
    type Item = TableName<'a>;

    fn next(&mut self) -> Option<TableName<'a>> {
        loop {
            if let Some(found) = self.program.as_mut().and_then(Iterator::next) {
                return Some(found);
            }
            self.program = None;
            let token = self.ahead.next()?;
            let found = self.read(token);
            if found.is_some() {
                return found;
            }
        }
    }
}

impl<'a> Tables<'a> {
    fn new(sql: &'a str, depth: u8) -> Self {
        let significant: fn(&Token<'a>) -> bool = Token::is_significant;
        Self {
            ahead: tokens(sql).filter(significant).peekable(),
            before: [None; 2],
            nesting: Nesting::new(),
            program: None,
            depth,
        }
    }

    fn read(&mut self, token: Token<'a>) -> Option<TableName<'a>> {
        match token.kind {
            Kind::Word | Kind::QuotedIdentifier if !self.after_mark(".") => {
                return self.word(token);
            }
            Kind::Punctuation => self.mark(token),
            Kind::String => self.string(token),
            _ => self.nesting.level().expects = None,
        }
        self.passed(token);
        None
    }

    fn passed(&mut self, token: Token<'a>) {
        self.before = [Some(token), self.before[0]];
    }

    fn after(&self, word: &str) -> bool {
        self.before[0].is_some_and(|token| token.is_word(word))
    }

    fn after_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.after(word))
    }

    fn after_mark(&self, mark: &str) -> bool {
        self.before[0].is_some_and(|token| token.is_mark(mark))
    }

    fn comes(&mut self, word: &str) -> bool {
        self.ahead.peek().is_some_and(|token| token.is_word(word))
    }

    fn comes_mark(&mut self, mark: &str) -> bool {
        self.ahead.peek().is_some_and(|token| token.is_mark(mark))
    }

    /// Whether something that could be a name comes next.
    fn comes_name(&mut self) -> bool {
        self.ahead.peek().is_some_and(|token| match token.kind {
            Kind::Word => !is_reserved(token.text),
            kind => kind == Kind::QuotedIdentifier,
        })
    }

    fn mark(&mut self, token: Token<'a>) {
        match token.text {
            "(" => self.open(),
            ")" => self.nesting.close(),
            "," => self.comma(),
            ";" => self.nesting.end_statement(),
            _ => self.nesting.level().expects = None,
        }
    }

    fn open(&mut self) {
        let listed = self.after("inherits");
        let names = listed || self.after("only");
        let level = self.nesting.level();
        let inside = level.expects.filter(|place| names || *place == Place::Read);
        // The table comes behind VACUUM (FULL); elsewhere, parentheses stand for it.
        if inside.is_some() || level.command != Command::Names {
            level.expects = None;
        }
        self.nesting.open(inside);
        if listed {
            self.nesting.level().list = inside;
        }
    }

    fn comma(&mut self) {
        let level = self.nesting.level();
        let with = std::mem::take(&mut level.with);
        if with == With::Defined {
            level.with = With::Name;
        } else {
            level.expects = level.list;
        }
    }

    /// A string is read if it is a program.
    fn string(&mut self, token: Token<'a>) {
        let level = self.nesting.level();
        level.expects = None;
        let program = level.command == Command::Do || level.object == Object::Routine;
        if program && self.depth < DEEPEST_PROGRAM {
            let inside = Self::new(inside(token.text), self.depth + 1);
            self.program = Some(Box::new(inside));
        }
    }

    fn word(&mut self, token: Token<'a>) -> Option<TableName<'a>> {
        self.with_clause(&token);
        if let Some(place) = self.nesting.level().expects {
            if self.is_name(&token) {
                return self.name(token, place);
            }
            if self.keeps_expecting(&token) {
                self.passed(token);
                return None;
            }
            self.no_name_here();
        }
        if token.kind == Kind::Word {
            self.keyword(token.text);
        }
        self.passed(token);
        None
    }

    /// Another word stands where a table could be.
    fn no_name_here(&mut self) {
        let level = self.nesting.level();
        level.expects = None;
        if level.command == Command::Grant {
            level.list = None;
        }
    }

    /// The name that begins with `first`, if it is one of a table.
    fn name(&mut self, first: Token<'a>, place: Place) -> Option<TableName<'a>> {
        let (mut schema, mut name) = (None, identifier(&first)?);
        self.passed(first);
        while let Some(dot) = self.ahead.next_if(|token| token.is_mark(".")) {
            self.passed(dot);
            let Some(part) = self.ahead.next_if(|token| identifier(token).is_some()) else {
                break;
            };
            self.passed(part);
            schema = Some(std::mem::replace(&mut name, identifier(&part)?));
        }
        self.nesting.level().expects = None;
        let elsewhere = place == Place::Read
            && (self.comes_mark("(") || schema.is_none() && self.nesting.is_with_name(&name));
        (!elsewhere).then_some(TableName { schema, name })
    }

    /// Follows a WITH to the names that it defines.
    fn with_clause(&mut self, token: &Token<'a>) {
        let level = self.nesting.level();
        if level.with == With::Outside && !token.is_word("with") {
            return;
        }
        level.with = match std::mem::take(&mut level.with) {
            With::Name if token.is_word("recursive") => {
                level.recursive = true;
                With::Name
            }
            With::Name => match identifier(token) {
                Some(name) => With::Named(name),
                None => With::Outside,
            },
            With::Named(name) if token.is_word("as") => With::As(name),
            With::As(name) if token.is_word("not") || token.is_word("materialized") => {
                With::As(name)
            }
            _ if token.is_word("with") => {
                level.recursive = false;
                With::Name
            }
            _ => With::Outside,
        };
        if let With::As(name) = &level.with
            && level.recursive
        {
            let name = name.clone();
            self.nesting.define(name);
        }
    }
}

/// A string without its quotes. Escapes stay: they do not matter for where names are.
fn inside(string: &str) -> &str {
    let Some(open) = string.find(['\'', '$']) else {
        return string;
    };
    let quote = match string[open..].strip_prefix('$') {
        Some(rest) => rest.find('$').map_or(1, |tag| tag + 2),
        None => 1,
    };
    let (delimiter, rest) = string[open..].split_at(quote);
    rest.strip_suffix(delimiter).unwrap_or(rest)
}

#[cfg(test)]
mod tests;
