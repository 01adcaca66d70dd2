//! Where in a text its reader is: parentheses, the command at each level, the names of WITH.

use std::borrow::Cow;
use std::collections::HashMap;

/// Where the name of a table comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Where a parenthesis makes it a function, and a name of WITH goes before a table.
    Read,
    /// Where it is a table, and a parenthesis begins its columns.
    Target,
}

/// The statement at a level, as far as it tells where names come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Command {
    /// Its first word is still to come.
    #[default]
    Unknown,
    Create,
    Alter,
    /// Also COMMENT, REFRESH and REINDEX.
    Drop,
    /// Also REVOKE.
    Grant,
    /// VACUUM, ANALYZE, CLUSTER, LOCK, TRUNCATE, COPY: names follow the first word.
    Names,
    /// DO, whose strings are programs.
    Do,
    /// IMPORT FOREIGN SCHEMA, whose INTO names a schema.
    Import,
    Other,
}

/// What CREATE, ALTER and DROP are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Object {
    #[default]
    Unknown,
    View,
    /// Index, trigger, policy or constraint: ON names its table.
    OnTable,
    Rule,
    Publication,
    Statistics,
    /// Function or procedure: its strings are programs.
    Routine,
    Other,
}

/// How far the reader is in `WITH name (columns) AS MATERIALIZED (query), ..`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum With<'a> {
    #[default]
    Outside,
    /// A name comes next.
    Name,
    Named(Cow<'a, str>),
    /// The query comes next.
    As(Cow<'a, str>),
    /// A comma may come next.
    Defined,
}

/// What is known between two parentheses, or outside of all.
#[derive(Debug, Default)]
pub(super) struct Level<'a> {
    pub(super) command: Command,
    pub(super) object: Object,
    pub(super) expects: Option<Place>,
    /// What a comma makes expected.
    pub(super) list: Option<Place>,
    /// FROM names tables: SELECT, UPDATE or DELETE has come.
    pub(super) query: bool,
    /// The next USING names tables: DELETE or MERGE has come, no USING yet.
    pub(super) using: bool,
    /// WITH RECURSIVE: a name holds in its own query.
    pub(super) recursive: bool,
    pub(super) with: With<'a>,
    /// The name of WITH that this level is the query of.
    defines: Option<Cow<'a, str>>,
}

/// All levels, the current one last, and the names of WITH that hold there.
#[derive(Debug)]
pub(super) struct Nesting<'a> {
    outer: Vec<Level<'a>>,
    current: Level<'a>,
    names: Names<'a>,
}

impl<'a> Nesting<'a> {
    pub(super) fn new() -> Self {
        Self {
            outer: Vec::new(),
            current: Level::default(),
            names: Names::default(),
        }
    }

    pub(super) fn level(&mut self) -> &mut Level<'a> {
        &mut self.current
    }

    /// Whether no parenthesis is open.
    pub(super) fn is_outermost(&self) -> bool {
        self.outer.is_empty()
    }

    /// Whether `name` is one of WITH here.
    pub(super) fn is_with_name(&self, name: &str) -> bool {
        self.names.holds.contains_key(name)
    }

    /// A parenthesis that opens, in which `expects` comes first.
    pub(super) fn open(&mut self, expects: Option<Place>) {
        let defines = match std::mem::take(&mut self.current.with) {
            With::As(name) => Some(name),
            other => {
                self.current.with = other;
                None
            }
        };
        let inner = Level {
            expects,
            defines,
            ..Level::default()
        };
        self.outer.push(std::mem::replace(&mut self.current, inner));
    }

    /// One that closes, if one is open.
    pub(super) fn close(&mut self) {
        let Some(outer) = self.outer.pop() else {
            return;
        };
        self.names.forget(self.outer.len() + 1);
        let inner = std::mem::replace(&mut self.current, outer);
        if let Some(name) = inner.defines {
            self.current.with = With::Defined;
            self.define(name);
        }
    }

    /// From here on `name` is one of WITH, until its level ends.
    pub(super) fn define(&mut self, name: Cow<'a, str>) {
        self.names.note(self.outer.len(), name);
    }

    /// The statement ends.
    pub(super) fn end_statement(&mut self) {
        self.names.forget(self.outer.len());
        self.current = Level {
            defines: self.current.defines.take(),
            ..Level::default()
        };
    }
}

/// The names of WITH that hold, with the depth of the level that each belongs to.
#[derive(Debug, Default)]
struct Names<'a> {
    in_order: Vec<(usize, Cow<'a, str>)>,
    /// How often each is in the list.
    holds: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Names<'a> {
    fn note(&mut self, depth: usize, name: Cow<'a, str>) {
        *self.holds.entry(name.clone()).or_default() += 1;
        self.in_order.push((depth, name));
    }

    /// Drops the names of levels at `depth` and deeper.
    fn forget(&mut self, depth: usize) {
        while let Some((_, name)) = self.in_order.pop_if(|(at, _)| *at >= depth) {
            let Some(count) = self.holds.get_mut(&name) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                self.holds.remove(&name);
            }
        }
    }
}
