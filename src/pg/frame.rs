//! Frames: a tag, a length that counts itself, and that many bytes.

/// Bytes of a frame's header: tag and length.
pub const HEADER: usize = 5;

/// PostgreSQL's limit for the length of messages that carry little (`PQ_SMALL_MESSAGE_LIMIT`).
pub const SMALL: u64 = 10_000;
/// PostgreSQL's limit for the length of messages that carry data (`PQ_LARGE_MESSAGE_LIMIT`,
/// 1 GiB - 2).
pub const LARGE: u64 = 0x3fff_fffe;

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The message's tag.
    pub tag: u8,
    /// Bytes that follow the header.
    pub body: u64,
}

/// The stream cannot be cut into frames; nothing more of it may be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A tag that the protocol does not have, or not here. Unknown means unrecorded.
    #[error("unexpected message type 0x{0:02x}")]
    UnexpectedMessage(u8),
    /// A length below 4, or above what PostgreSQL takes for this message.
    #[error("invalid message length {len} of message type 0x{tag:02x}")]
    Length {
        /// The message's tag.
        tag: u8,
        /// The length that was claimed.
        len: i64,
    },
}

/// The header at the start of `bytes`, if it is there whole.
///
/// # Errors
/// [`FrameError::Length`] if the length is below 4 (which includes the negative ones).
pub fn header(bytes: &[u8]) -> Result<Option<Header>, FrameError> {
    let Some(&[tag, a, b, c, d]) = bytes.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let len = i64::from(i32::from_be_bytes([a, b, c, d]));
    match u64::try_from(len.saturating_sub(4)) {
        Ok(body) => Ok(Some(Header { tag, body })),
        Err(_) => Err(FrameError::Length { tag, len }),
    }
}

/// The header of a frontend message after login, within PostgreSQL's own limits
/// (`SocketBackend` in `postgres.c`).
///
/// # Errors
/// [`FrameError`] for a tag that a client does not send there, or a length past its limit.
pub fn frontend_header(bytes: &[u8]) -> Result<Option<Header>, FrameError> {
    let Some(header) = header(bytes)? else {
        // Refuse an unknown tag without waiting for its length.
        return match bytes.first() {
            Some(&tag) => frontend_limit(tag).map(|_| None),
            None => Ok(None),
        };
    };
    let len = header.body.saturating_add(4);
    if len <= frontend_limit(header.tag)? {
        Ok(Some(header))
    } else {
        Err(FrameError::Length {
            tag: header.tag,
            len: i64::try_from(len).unwrap_or(i64::MAX),
        })
    }
}

fn frontend_limit(tag: u8) -> Result<u64, FrameError> {
    match tag {
        b'Q' | b'P' | b'B' | b'F' | b'd' => Ok(LARGE),
        b'E' | b'D' | b'C' | b'H' | b'S' | b'X' | b'c' | b'f' => Ok(SMALL),
        tag => Err(FrameError::UnexpectedMessage(tag)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(tag: u8, len: i32) -> Vec<u8> {
        [&[tag][..], &len.to_be_bytes()].concat()
    }

    #[test]
    fn a_length_below_four_or_negative_is_refused() {
        for len in [3, 0, -1, i32::MIN] {
            let refused = frontend_header(&bytes(b'Q', len));
            assert_eq!(
                refused,
                Err(FrameError::Length {
                    tag: b'Q',
                    len: len.into()
                })
            );
        }
    }

    #[test]
    fn a_length_past_postgresqls_limit_is_refused() {
        assert!(frontend_header(&bytes(b'Q', 0x3fff_fffe)).is_ok());
        assert!(frontend_header(&bytes(b'Q', 0x3fff_ffff)).is_err());
        assert!(frontend_header(&bytes(b'Q', i32::MAX)).is_err());
        assert!(frontend_header(&bytes(b'E', 10_000)).is_ok());
        assert!(frontend_header(&bytes(b'E', 10_001)).is_err());
    }

    #[test]
    fn an_unknown_message_is_refused_at_its_first_byte() {
        assert_eq!(
            frontend_header(b"z"),
            Err(FrameError::UnexpectedMessage(b'z'))
        );
        assert_eq!(frontend_header(b"Q\0"), Ok(None));
    }
}
