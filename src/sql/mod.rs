//! SQL seen as text: for colouring, for searching, for statistics. It decides nothing: what a
//! statement may do is the database's business.
//!
//! [`lex`] cuts a text into tokens as PostgreSQL does, [`tables()`] says which tables it names,
//! [`command()`] what kind of statement it is. All of them take any text, whole or not, SQL or not:
//! they do not fail, and their work grows with its length alone.

pub mod command;
mod keyword;
pub mod lex;
mod name;
mod nesting;
pub mod tables;

pub use command::command;
pub use keyword::is_keyword;
pub use lex::{Kind, Token, tokens};
pub use name::{InvalidName, TableName, WantedTable};
pub use tables::{names, tables};
