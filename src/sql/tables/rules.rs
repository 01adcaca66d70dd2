//! Which words bring the name of a table, and which end the places where one may come.

use super::{Command, Kind, Object, Place, Tables, Token, is_reserved};

/// Words that may stand before the name: ONLY orders, IF NOT EXISTS orders.
const BEFORE_A_NAME: &[&str] = &[
    "only",
    "lateral",
    "table",
    "not",
    "concurrently",
    "full",
    "freeze",
    "verbose",
    "analyze",
    "analyse",
    "binary",
];

/// Words before UPDATE where it is no command: FOR UPDATE, ON UPDATE CASCADE, BEFORE UPDATE ON.
const NO_COMMAND_BEHIND: &[&str] = &["for", "key", "on", "before", "after", "of", "or"];

impl<'a> Tables<'a> {
    /// Whether `token`, where a table is expected, is its name.
    pub(super) fn is_name(&mut self, token: &Token<'a>) -> bool {
        if token.kind == Kind::QuotedIdentifier {
            return true;
        }
        if is_reserved(token.text) || self.is_option(token) {
            return false;
        }
        let grant = self.nesting.level().command == Command::Grant;
        !(grant && self.after("on") && is_grantable(token) && self.comes_name())
    }

    /// Words that could be names too: IF EXISTS, TEMP, and the ROWS of ROWS FROM.
    fn is_option(&mut self, token: &Token<'a>) -> bool {
        match Lower::of(token.text).word() {
            "if" => self.comes("not") || self.comes("exists"),
            "exists" => self.after("if") || self.after("not"),
            "temp" | "temporary" | "unlogged" | "local" | "global" => {
                self.after_any(&["into", "local", "global"]) && self.comes_name()
            }
            "rows" => self.comes("from"),
            _ => false,
        }
    }

    /// Whether behind `token`, which is no name, one is still expected.
    pub(super) fn keeps_expecting(&mut self, token: &Token<'a>) -> bool {
        let word = Lower::of(token.text);
        if word.word() == "table" {
            self.table();
        }
        BEFORE_A_NAME.contains(&word.word()) || self.is_option(token) && word.word() != "rows"
    }

    /// What a word that is not a table's name changes.
    pub(super) fn keyword(&mut self, text: &str) {
        let lower = Lower::of(text);
        let word = lower.word();
        if self.nesting.is_outermost() {
            self.command(word);
        }
        match word {
            "select" => self.select(),
            "perform" if self.depth > 0 => self.select(),
            "from" => self.from(),
            "join" => self.nesting.level().expects = Some(Place::Read),
            "into" => self.into(),
            "update" => self.update(),
            "delete" if self.comes("from") => self.nesting.level().using = true,
            "merge" if self.comes("into") => self.nesting.level().using = true,
            "using" => self.using(),
            "table" => self.table(),
            "references" => self.references(),
            "on" => self.on(),
            "to" => self.to(),
            "of" if self.after("partition") => self.one_target(true),
            "partition" if self.after_any(&["attach", "detach"]) => self.one_target(true),
            "inherits" if self.comes_mark("(") => self.one_target(true),
            "like" => self.one_target(self.after_mark("(") || self.after_mark(",")),
            "then" | "else" | "loop" | "begin" if self.depth > 0 => {
                self.nesting.level().command = Command::Unknown;
            }
            _ if ends_list(word) => self.nesting.level().list = None,
            _ => {}
        }
    }

    /// The first words of a statement say what it is.
    fn command(&mut self, word: &str) {
        let level = self.nesting.level();
        match level.command {
            Command::Unknown => self.first_word(word),
            Command::Create | Command::Alter | Command::Drop if level.object == Object::Unknown => {
                self.object(word);
            }
            _ => {}
        }
    }

    fn first_word(&mut self, word: &str) {
        let level = self.nesting.level();
        level.object = Object::Unknown;
        level.command = match word {
            "create" => Command::Create,
            "alter" => Command::Alter,
            "drop" | "comment" | "refresh" | "reindex" | "security" => Command::Drop,
            "grant" | "revoke" => Command::Grant,
            "do" => Command::Do,
            "import" => Command::Import,
            "vacuum" | "analyze" | "analyse" | "cluster" | "lock" | "truncate" | "copy" => {
                level.expects = Some(Place::Target);
                level.list = level.expects.filter(|_| word != "copy");
                Command::Names
            }
            _ => Command::Other,
        };
    }

    fn object(&mut self, word: &str) {
        let level = self.nesting.level();
        level.object = match word {
            "or" | "replace" | "temp" | "temporary" | "unlogged" | "local" | "global"
            | "unique" | "materialized" | "recursive" | "on" | "label" => return,
            "view" => {
                level.expects = Some(Place::Target);
                level.list = level.expects.filter(|_| level.command == Command::Drop);
                Object::View
            }
            "index" | "trigger" | "policy" | "constraint" => Object::OnTable,
            "rule" => Object::Rule,
            "publication" => Object::Publication,
            "statistics" => Object::Statistics,
            "function" | "procedure" => Object::Routine,
            _ => Object::Other,
        };
    }

    fn select(&mut self) {
        let level = self.nesting.level();
        // GRANT SELECT, and ALTER DEFAULT PRIVILEGES GRANT SELECT.
        level.query |= !matches!(level.command, Command::Grant | Command::Alter);
        level.list = None;
    }

    fn from(&mut self) {
        let distinct = self.after("distinct")
            && self.before[1].is_some_and(|token| token.is_word("is") || token.is_word("not"));
        let delete = self.after("delete");
        let level = self.nesting.level();
        if delete {
            level.query = true;
            level.expects = Some(Place::Target);
        } else if level.query && !distinct {
            level.expects = Some(Place::Read);
            level.list = Some(Place::Read);
        } else if level.object == Object::Statistics {
            level.expects = Some(Place::Target);
        } else if !distinct {
            level.list = None;
        }
    }

    fn into(&mut self) {
        // In a program, SELECT INTO names variables.
        let names = self.depth == 0 || self.after_any(&["insert", "merge"]);
        let import = self.nesting.level().command == Command::Import;
        self.one_target(names && !import);
    }

    fn update(&mut self) {
        let command = !self.after_any(NO_COMMAND_BEHIND) && !self.comes("set");
        let level = self.nesting.level();
        if command && level.command != Command::Grant {
            level.query = true;
            self.one_target(true);
        }
    }

    fn using(&mut self) {
        let level = self.nesting.level();
        if std::mem::take(&mut level.using) {
            level.expects = Some(Place::Read);
            level.list = Some(Place::Read);
        }
    }

    fn table(&mut self) {
        let level = self.nesting.level();
        level.expects = Some(Place::Target);
        let several = match level.command {
            Command::Create | Command::Alter => level.object == Object::Publication,
            _ => true,
        };
        level.list = level.expects.filter(|_| several);
    }

    fn references(&mut self) {
        let privilege = self.nesting.level().command == Command::Grant;
        self.one_target(!privilege);
    }

    fn on(&mut self) {
        let level = self.nesting.level();
        match (level.command, level.object) {
            (Command::Grant, _) => {
                level.expects = Some(Place::Target);
                level.list = Some(Place::Target);
            }
            (Command::Create | Command::Alter | Command::Drop, Object::OnTable)
            | (Command::Alter | Command::Drop, Object::Rule) => self.one_target(true),
            _ => {}
        }
    }

    fn to(&mut self) {
        let level = self.nesting.level();
        level.list = None;
        let rule = (level.command, level.object) == (Command::Create, Object::Rule);
        self.one_target(rule);
    }

    /// One table comes next, if `here` holds.
    fn one_target(&mut self, here: bool) {
        if here {
            self.nesting.level().expects = Some(Place::Target);
        }
    }
}

/// Behind the ON of GRANT: what is no table.
fn is_grantable(token: &Token<'_>) -> bool {
    matches!(
        Lower::of(token.text).word(),
        "schema"
            | "database"
            | "sequence"
            | "function"
            | "procedure"
            | "routine"
            | "language"
            | "type"
            | "domain"
            | "tablespace"
            | "parameter"
            | "large"
    )
}

/// Whether a comma behind `word` is no longer one between tables.
fn ends_list(word: &str) -> bool {
    matches!(
        word,
        "where"
            | "group"
            | "having"
            | "order"
            | "limit"
            | "offset"
            | "fetch"
            | "for"
            | "union"
            | "intersect"
            | "except"
            | "window"
            | "set"
            | "returning"
            | "insert"
    )
}

/// A short word in lower case, without an allocation; longer ones are no word that matters here.
struct Lower {
    bytes: [u8; 16],
    length: usize,
}

impl Lower {
    fn of(word: &str) -> Self {
        let mut lower = Self {
            bytes: [0; 16],
            length: 0,
        };
        if let Some(bytes) = lower.bytes.get_mut(..word.len()) {
            bytes.copy_from_slice(word.as_bytes());
            bytes.make_ascii_lowercase();
            lower.length = word.len();
        }
        lower
    }

    fn word(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}
