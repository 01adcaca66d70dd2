//! A connection to the other database: statements out, what became of them in.

use std::collections::HashMap;

use bytes::Bytes;

use super::login::{Io, Ready};
use super::wire::{self, Answer, Heard, Lost};
use crate::audit::Parameter;
use crate::audit::replay::Seen;
use crate::pg::frame::LARGE;
use crate::pg::startup::CancelKey;
use crate::pg::{Frame, Stream};

/// A connection.
pub(super) struct Client {
    stream: Stream<Io>,
    key: CancelKey,
    /// The state of the server's transaction: `I`, `T` or `E`.
    status: u8,
    /// What was prepared under which name.
    prepared: HashMap<Bytes, Bytes>,
}

/// A statement of the extended protocol.
pub(super) struct Extended<'a> {
    pub(super) name: &'a [u8],
    pub(super) sql: &'a [u8],
    /// The types that the text fixes of its parameters.
    pub(super) types: &'a [u32],
    pub(super) parameters: &'a [Parameter],
    pub(super) portal: &'a [u8],
    /// How many rows at most; 0 is all.
    pub(super) rows: u64,
    /// Whether the portal is to stay, for what goes on with it.
    pub(super) stays: bool,
}

impl Client {
    pub(super) fn new(ready: Ready) -> Self {
        Self {
            stream: ready.stream,
            key: ready.key,
            status: b'I',
            prepared: HashMap::new(),
        }
    }

    /// What a cancel names.
    pub(super) fn key(&self) -> CancelKey {
        self.key.clone()
    }

    /// The state of the server's transaction.
    pub(super) fn status(&self) -> u8 {
        self.status
    }

    /// Runs a text as it is.
    pub(super) async fn simple(&mut self, sql: &[u8]) -> Result<Seen, Lost> {
        self.stream.queue_bytes(&wire::query(sql)?);
        self.until_ready(None).await
    }

    /// Prepares, binds and executes.
    pub(super) async fn extended(&mut self, it: &Extended<'_>) -> Result<Seen, Lost> {
        self.prepare(it.name, (it.sql, it.types), it.parameters)?;
        self.stream
            .queue_bytes(&wire::bind(it.portal, it.name, it.parameters)?);
        self.go_on(it.portal, it.rows, it.stays).await
    }

    /// Executes a portal that is there.
    pub(super) async fn go_on(
        &mut self,
        portal: &[u8],
        rows: u64,
        stays: bool,
    ) -> Result<Seen, Lost> {
        self.stream.queue_bytes(&wire::execute(portal, rows)?);
        match stays {
            true => self.until_done().await,
            false => self.until_synced().await,
        }
    }

    /// Prepares and does not run it, or, with parameters, does not execute it.
    pub(super) async fn only_prepare(
        &mut self,
        name: &[u8],
        text: (&[u8], &[u32]),
        parameters: Option<&[Parameter]>,
    ) -> Result<Seen, Lost> {
        self.prepare(name, text, parameters.unwrap_or_default())?;
        if let Some(parameters) = parameters {
            self.stream.queue_bytes(&wire::bind(b"", name, parameters)?);
        }
        self.until_synced().await
    }

    /// Calls a function.
    pub(super) async fn call(&mut self, oid: u32, arguments: &[Parameter]) -> Result<Seen, Lost> {
        self.stream
            .queue_bytes(&wire::function_call(oid, arguments)?);
        self.until_ready(None).await
    }

    /// Ends the connection; whatever was not committed is rolled back.
    pub(super) async fn close(mut self) {
        if let Ok(terminate) = wire::message(b'X', b"") {
            self.stream.queue_bytes(&terminate);
        }
        self.stream.close().await;
    }

    /// Parses what is not prepared under its name already.
    fn prepare(
        &mut self,
        name: &[u8],
        (sql, types): (&[u8], &[u32]),
        parameters: &[Parameter],
    ) -> Result<(), Lost> {
        if !name.is_empty() {
            if self.prepared.get(name).is_some_and(|it| *it == sql) {
                return Ok(());
            }
            self.stream.queue_bytes(&wire::close(name)?);
            let [name, sql] = [name, sql].map(Bytes::copy_from_slice);
            self.prepared.insert(name, sql);
        }
        self.stream
            .queue_bytes(&wire::parse(name, sql, types, parameters)?);
        Ok(())
    }

    /// Forgets what was prepared: the next use prepares it again.
    pub(super) fn forget(&mut self) {
        self.prepared.clear();
    }

    async fn until_synced(&mut self) -> Result<Seen, Lost> {
        self.stream.queue_bytes(&wire::message(b'S', b"")?);
        let seen = self.until_ready(Some(b'S')).await?;
        // What failed may have failed in its Parse.
        if seen.sqlstate.is_some() {
            self.forget();
        }
        Ok(seen)
    }

    /// Waits for the end of a command without a Sync, which would end the portal, too.
    async fn until_done(&mut self) -> Result<Seen, Lost> {
        self.stream.queue_bytes(&wire::message(b'H', b"")?);
        self.stream.flush().await?;
        let mut answer = Answer::default();
        loop {
            let frame = self.frame().await?;
            match answer.take(frame.tag, &frame.body)? {
                Heard::Done if answer.seen.sqlstate.is_some() => break,
                Heard::Done => return Ok(answer.seen),
                Heard::WantsCopy => self.refuse_copy(None).await?,
                Heard::More | Heard::Ready(_) => {}
            }
        }
        self.until_synced().await?;
        Ok(answer.seen)
    }

    /// Sends what is queued, and waits until the server is ready again. `sync` is what was sent
    /// behind the statement, if a server that takes a COPY does not hear it.
    async fn until_ready(&mut self, sync: Option<u8>) -> Result<Seen, Lost> {
        self.stream.flush().await?;
        let mut answer = Answer::default();
        loop {
            let frame = self.frame().await?;
            match answer.take(frame.tag, &frame.body)? {
                Heard::Ready(status) => {
                    self.status = status;
                    return Ok(answer.seen);
                }
                Heard::WantsCopy => self.refuse_copy(sync).await?,
                Heard::More | Heard::Done => {}
            }
        }
    }

    async fn frame(&mut self) -> Result<Frame, Lost> {
        let max = usize::try_from(LARGE).unwrap_or(usize::MAX);
        Ok(self.stream.frame(max).await?)
    }

    async fn refuse_copy(&mut self, sync: Option<u8>) -> Result<(), Lost> {
        let fail = wire::message(b'f', b"what was copied is not recorded\0")?;
        self.stream.queue_bytes(&fail);
        if let Some(sync) = sync {
            self.stream.queue_bytes(&wire::message(sync, b"")?);
        }
        Ok(self.stream.flush().await?)
    }
}
