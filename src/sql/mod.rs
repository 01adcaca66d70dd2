//! SQL seen as text: for colouring, for searching, for statistics. It decides nothing: what a
//! statement may do is the database's business.
//!
//! [`lex`] cuts a text into tokens as PostgreSQL does. It takes any text, whole or not, SQL or not:
//! it does not fail, and its work grows with its length alone.

mod keyword;
pub mod lex;

pub use keyword::is_keyword;
pub use lex::{Kind, Token, tokens};
