//! A buffered stream for the phases before the relay: whole packets and frames, bounded.

use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frame::{self, HEADER};
use super::reader::Malformed;
use super::startup::{self, Packet};

/// Why a stream cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The peer has gone.
    #[error("the peer closed the connection")]
    Closed,
    /// The network failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What came is not PostgreSQL's protocol, or too long.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// A tagged message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its tag.
    pub tag: u8,
    /// What follows its header.
    pub body: Bytes,
}

/// A stream with the bytes that were read and not used yet, and those that wait to be written.
#[derive(Debug)]
pub struct Stream<S> {
    io: S,
    read: BytesMut,
    write: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// Nothing read yet.
    pub fn new(io: S) -> Self {
        Self {
            io,
            read: BytesMut::new(),
            write: BytesMut::new(),
        }
    }

    /// Takes the stream apart: the socket, and what was read from it and not used.
    pub fn into_parts(self) -> (S, BytesMut) {
        (self.io, self.read)
    }

    /// The socket.
    pub fn io(&self) -> &S {
        &self.io
    }

    /// Whether bytes were read that nobody has used.
    pub fn has_unread(&self) -> bool {
        !self.read.is_empty()
    }

    /// The next byte, left where it is.
    ///
    /// # Errors
    /// [`StreamError`]
    pub async fn peek(&mut self) -> Result<u8, StreamError> {
        loop {
            if let Some(&byte) = self.read.first() {
                return Ok(byte);
            }
            self.fill(startup::MAX_PACKET).await?;
        }
    }

    /// The next byte: a server's answer to SSLRequest.
    ///
    /// # Errors
    /// [`StreamError`]
    pub async fn byte(&mut self) -> Result<u8, StreamError> {
        let byte = self.peek().await?;
        self.read.advance(1);
        Ok(byte)
    }

    /// The next startup packet.
    ///
    /// # Errors
    /// [`StreamError`]; a length out of bounds is refused before its body is read.
    pub async fn packet(&mut self) -> Result<Packet, StreamError> {
        loop {
            if let Some(&prefix) = self.read.first_chunk::<4>() {
                let len = startup::body_len(prefix)?;
                if self.read.len() >= 4 + len {
                    self.read.advance(4);
                    let body = self.read.split_to(len).freeze();
                    return Ok(startup::packet_from(&body)?);
                }
            }
            self.fill(startup::MAX_PACKET).await?;
        }
    }

    /// The next frame, with a body of at most `max` bytes.
    ///
    /// # Errors
    /// [`StreamError`]; a length out of bounds is refused before its body is read.
    pub async fn frame(&mut self, max: usize) -> Result<Frame, StreamError> {
        loop {
            if let Some(header) = frame::header(&self.read).map_err(|_| Malformed)? {
                let len = usize::try_from(header.body).map_err(|_| Malformed)?;
                if len > max {
                    return Err(Malformed.into());
                }
                if self.read.len() >= HEADER + len {
                    self.read.advance(HEADER);
                    return Ok(Frame {
                        tag: header.tag,
                        body: self.read.split_to(len).freeze(),
                    });
                }
            }
            self.fill(HEADER + max).await?;
        }
    }

    /// Queues a message of pgwire's.
    ///
    /// # Errors
    /// [`Malformed`] if pgwire cannot encode it.
    pub fn queue(&mut self, message: &impl Message) -> Result<(), Malformed> {
        message.encode(&mut self.write).map_err(|_| Malformed)
    }

    /// Queues bytes.
    pub fn queue_bytes(&mut self, bytes: &[u8]) {
        self.write.extend_from_slice(bytes);
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// [`StreamError::Io`]
    pub async fn flush(&mut self) -> Result<(), StreamError> {
        self.io.write_all_buf(&mut self.write).await?;
        Ok(self.io.flush().await?)
    }

    /// Says goodbye and closes our side; errors no longer matter.
    pub async fn close(&mut self) {
        let _ = self.flush().await;
        let _ = self.io.shutdown().await;
    }

    /// Reads once, holding at most `limit` bytes.
    async fn fill(&mut self, limit: usize) -> Result<(), StreamError> {
        let room = limit.saturating_sub(self.read.len()).clamp(1, 4096);
        self.read.reserve(room);
        let mut limited = (&mut self.io).take(room as u64);
        match limited.read_buf(&mut self.read).await? {
            0 => Err(StreamError::Closed),
            _ => Ok(()),
        }
    }
}
