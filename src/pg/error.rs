//! Errors and notices as PostgreSQL's clients expect them (manual section 55.8).

use bytes::BytesMut;
use pgwire::messages::Message;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};

use super::SqlState;

/// An ErrorResponse that ends the connection: severity FATAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    /// SQLSTATE.
    pub code: SqlState,
    /// One line for people.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl ErrorReply {
    /// An error without detail or hint.
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    /// With a detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The message's bytes.
    pub fn encode(&self) -> BytesMut {
        let detail = self.detail.as_deref();
        let fields = fields(
            "FATAL",
            self.code,
            &self.message,
            detail,
            self.hint.as_deref(),
        );
        encode(&ErrorResponse::new(fields))
    }
}

/// A NoticeResponse with severity NOTICE, which psql prints as it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// One line for people.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Notice {
    /// The message's bytes.
    pub fn encode(&self) -> BytesMut {
        let (detail, hint) = (self.detail.as_deref(), self.hint.as_deref());
        let fields = fields("NOTICE", SqlState::SUCCESS, &self.message, detail, hint);
        encode(&NoticeResponse::new(fields))
    }
}

fn fields(
    severity: &str,
    code: SqlState,
    message: &str,
    detail: Option<&str>,
    hint: Option<&str>,
) -> Vec<(u8, String)> {
    // A NUL would end the field early, and what follows would be read as another field.
    let field = |tag: u8, text: &str| (tag, text.replace('\0', "\u{fffd}"));
    let mut fields = vec![
        field(b'S', severity),
        field(b'V', severity),
        field(b'C', code.code()),
        field(b'M', message),
    ];
    fields.extend(detail.map(|text| field(b'D', text)));
    fields.extend(hint.map(|text| field(b'H', text)));
    fields
}

fn encode(message: &impl Message) -> BytesMut {
    let mut bytes = BytesMut::new();
    // pgwire's encoders write to memory and do not fail; should one, the client sees a bare close.
    if message.encode(&mut bytes).is_err() {
        bytes.clear();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_carries_severity_code_and_message() {
        let bytes = ErrorReply::new(SqlState::ADMIN_SHUTDOWN, "the end")
            .hint("ask")
            .encode();
        assert_eq!(&bytes[5..], b"SFATAL\0VFATAL\0C57P01\0Mthe end\0Hask\0\0");
    }

    #[test]
    fn text_from_strangers_cannot_add_a_field() {
        let bytes = ErrorReply::new(SqlState::IO_ERROR, "a\0Hb").encode();
        assert!(!bytes.windows(3).any(|w| w == b"\0Hb"));
    }
}
