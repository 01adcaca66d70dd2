//! Auditors read the audit; that they do is recorded before they see anything of it.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::access::{Caller, SessionId};
use crate::audit::archive::Archive;
use crate::audit::reader::ReadError;
use crate::audit::search::{Coverage, Found, Manner, Query, Taker, search};
use crate::audit::session::session_records;
use crate::audit::source::Directory;
use crate::audit::{Event, Head, PublicKey, Record};
use crate::policy::Action;

use super::{Control, Error, to_the_end};

/// What a caller is told who is no auditor.
const READ: &str = "only auditors may read the audit";
/// Bytes of what one reading gives, as JSON, about.
const BYTES: usize = 16 * 1024 * 1024;
/// How often a reading begins anew because a segment was deleted under it.
const TRIES: usize = 3;

/// Some of what was looked for.
#[derive(Debug)]
pub struct Page<T> {
    /// It, in order.
    pub items: Vec<T>,
    /// Whether there is more of it.
    pub more: bool,
}

/// In which order, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the oldest on, not from the newest back.
    pub oldest_first: bool,
    /// At most so many.
    pub limit: usize,
}

impl Control {
    /// What of the log `query` looks for. `asked` says it in the caller's words, for the record.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for all but auditors; [`Error::AuditUnavailable`] if it cannot be
    /// recorded; [`Error::AuditUnreadable`].
    pub async fn search_audit(
        self: &Arc<Self>,
        caller: &Caller,
        asked: &str,
        query: Query,
        limits: Limits,
    ) -> Result<Page<Found>, Error> {
        self.begin_reading(caller, asked).await?;
        let manner = Manner {
            newest_first: !limits.oldest_first,
            without_index: false,
            // As many readers as there may be, and no more.
            workers: 1,
        };
        self.read(move |archive, gone| {
            let mut taking = Taking::new(limits.limit, gone);
            search(archive, &query, manner, &mut taking)?;
            Ok(taking.page)
        })
        .await
    }

    /// The records that are about a session and behind the record `after`.
    ///
    /// # Errors
    /// As [`Control::search_audit`]; [`Error::NotFound`] if the log has none of the session.
    pub async fn session_records(
        self: &Arc<Self>,
        caller: &Caller,
        asked: &str,
        (session, after): (SessionId, u64),
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        self.begin_reading(caller, asked).await?;
        let read = move |archive: &Archive, gone: &CancellationToken| {
            let mut taking = Taking::new(limit, gone);
            for record in session_records(archive, session, after) {
                if taking.take(record?).is_break() {
                    break;
                }
            }
            Ok(taking.page)
        };
        let page = self.read(read).await?;
        match page.items.is_empty() && after == 0 {
            true => Err(Error::NotFound("session in the audit")),
            false => Ok(page),
        }
    }

    /// The log's last record, and the key that signs it.
    ///
    /// # Errors
    /// As [`Control::search_audit`].
    pub async fn audit_head(
        self: &Arc<Self>,
        caller: &Caller,
        asked: &str,
    ) -> Result<(Head, PublicKey), Error> {
        self.begin_reading(caller, asked).await?;
        let io = |source| ReadError::Io {
            file: "the last segment".to_owned(),
            source,
        };
        let read = move |archive: &Archive, _: &CancellationToken| archive.head().map_err(io);
        Ok((self.read(read).await?, self.audit_key))
    }

    /// Records who reads what, or who wanted to and may not.
    async fn begin_reading(self: &Arc<Self>, caller: &Caller, asked: &str) -> Result<(), Error> {
        let refused = !self.may_overall(caller, Action::ReadAudit);
        let event = Event::AuditRead {
            by: caller.name.clone(),
            query: asked.to_owned(),
            refused,
        };
        let control = Arc::clone(self);
        let recorded = to_the_end(async move { Ok(control.recorder.record(&event).await?) }).await;
        match refused {
            true => Err(Error::Forbidden(READ.to_owned())),
            false => recorded,
        }
    }

    /// Reads the log where that holds up nobody else, and no longer than the caller waits for it.
    async fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&Archive, &CancellationToken) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Error> {
        let readers = Arc::clone(&self.readers).acquire_owned();
        let permit = readers.await.map_err(|_| Error::Interrupted)?;
        let gone = CancellationToken::new();
        let _until_dropped = gone.clone().drop_guard();
        let folder = Directory(self.audit_folder.clone());
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut tries = 1;
            loop {
                let archive = Archive::open(Box::new(folder.clone())).map_err(unlisted)?;
                match work(&archive, &gone) {
                    // Retention was faster: what is there now can be read.
                    Err(error) if is_gone(&error) && tries < TRIES => tries += 1,
                    result => return result,
                }
            }
        });
        let read = read.await.map_err(|_| Error::Interrupted)?;
        read.map_err(Error::AuditUnreadable)
    }
}

fn unlisted(source: io::Error) -> ReadError {
    let file = "the audit's folder".to_owned();
    ReadError::Io { file, source }
}

fn is_gone(error: &ReadError) -> bool {
    matches!(error, ReadError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// Takes what is found until that is enough, or nobody waits for it any more.
struct Taking<'a, T> {
    page: Page<T>,
    limit: usize,
    bytes: usize,
    gone: &'a CancellationToken,
}

impl<'a, T: serde::Serialize> Taking<'a, T> {
    fn new(limit: usize, gone: &'a CancellationToken) -> Self {
        let page = Page {
            items: Vec::new(),
            more: false,
        };
        Self {
            page,
            limit,
            bytes: 0,
            gone,
        }
    }

    fn take(&mut self, item: T) -> ControlFlow<()> {
        if self.page.items.len() >= self.limit || self.bytes >= BYTES {
            self.page.more = true;
            return ControlFlow::Break(());
        }
        self.bytes += serde_json::to_vec(&item).map_or(0, |json| json.len());
        self.page.items.push(item);
        self.go_on()
    }

    fn go_on(&self) -> ControlFlow<()> {
        match self.gone.is_cancelled() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Taker for Taking<'_, Found> {
    fn found(&mut self, found: Found) -> ControlFlow<()> {
        self.take(found)
    }

    fn read(&mut self, _: Coverage) -> ControlFlow<()> {
        self.go_on()
    }
}
