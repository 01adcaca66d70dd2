//! Server-sent events, as they come.

use std::time::Duration;

use reqwest::Response;

use super::api::Api;
use super::error::CliError;
use crate::http::types::EventView;

/// Longer than the server is silent.
const SILENCE: Duration = Duration::from_secs(45);
/// Bytes of one event at most.
const LONGEST: usize = 1 << 20;

/// The events of a server.
pub(super) struct Stream<'a> {
    api: &'a Api,
    response: Response,
    bytes: Vec<u8>,
    /// The id of the last event.
    pub(super) mark: Option<String>,
}

impl<'a> Stream<'a> {
    /// Listens, from behind the event with the id `since`.
    pub(super) async fn open(api: &'a Api, since: Option<String>) -> Result<Self, CliError> {
        Ok(Self {
            response: api.events(since.as_deref()).await?,
            api,
            bytes: Vec::new(),
            mark: since,
        })
    }

    /// The next event; `None` if the server has ended it.
    pub(super) async fn next(&mut self) -> Result<Option<EventView>, CliError> {
        loop {
            while let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.bytes.drain(..end + 2).collect();
                if let Some(event) = self.read(&String::from_utf8_lossy(&event))? {
                    return Ok(Some(event));
                }
            }
            let more = tokio::time::timeout(SILENCE, self.response.chunk()).await;
            let more = more.map_err(|_| self.api.silent())?;
            match more.map_err(|error| self.api.failed(&error))? {
                Some(chunk) if self.bytes.len() + chunk.len() <= LONGEST => {
                    self.bytes.extend_from_slice(&chunk);
                }
                Some(_) => return Err(self.api.not_hallpass("an event never ends")),
                None => return Ok(None),
            }
        }
    }

    /// What an event says; a comment says nothing, it only shows that the server is there.
    fn read(&mut self, event: &str) -> Result<Option<EventView>, CliError> {
        let field = |name: &str| {
            let value = event.lines().find_map(|line| line.strip_prefix(name));
            value.map(|value| value.strip_prefix(' ').unwrap_or(value))
        };
        let Some(data) = field("data:") else {
            return Ok(None);
        };
        let view = serde_json::from_str(data);
        let view = view.map_err(|error| self.api.not_hallpass(&error.to_string()))?;
        self.mark = field("id:").map(str::to_owned).or(self.mark.take());
        Ok(Some(view))
    }
}
