//! Where the clients of connections came from, which only the records of their beginnings say.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::super::Event;
use super::super::archive::Archive;
use super::super::search::{Events, Found, Manner, Query, search};
use super::super::statement::Statement;
use super::ocsf::Client;
use crate::access::ConnectionId;

/// Connections that are remembered.
const KEPT: usize = 100_000;

/// The clients of connections, as far as they are known.
pub struct Clients<'a> {
    archive: &'a Archive,
    manner: Manner,
    known: HashMap<ConnectionId, Option<Client>>,
}

impl<'a> Clients<'a> {
    /// None yet; those that are asked for are looked up in `archive`.
    pub fn new(archive: &'a Archive, without_index: bool) -> Self {
        let manner = Manner {
            newest_first: false,
            without_index,
            workers: 1,
        };
        Self {
            archive,
            manner,
            known: HashMap::new(),
        }
    }

    /// Takes note of the client that an event tells of.
    pub fn note(&mut self, event: &Event) {
        if let (Some(client), Some(origin)) = (Client::told_by(event), event.origin()) {
            self.keep(origin.connection, Some(client));
        }
    }

    /// The client of a statement's connection; `None` if the log does not have its beginning.
    pub fn of(&mut self, statement: &Statement) -> Option<&Client> {
        let connection = statement.origin.connection;
        if !self.known.contains_key(&connection) {
            let client = self.look_up(statement);
            self.keep(connection, client);
        }
        self.known.get(&connection)?.as_ref()
    }

    fn keep(&mut self, connection: ConnectionId, client: Option<Client>) {
        if self.known.len() >= KEPT {
            self.known.clear();
        }
        self.known.insert(connection, client);
    }

    /// An exporter writes what it is given: that a log cannot be read, the search says that gave it.
    fn look_up(&self, statement: &Statement) -> Option<Client> {
        let query = Query {
            session: Some(statement.origin.session),
            connection: Some(statement.origin.connection),
            events: Events::Only,
            ..Query::default()
        };
        let mut client = None;
        let mut take = |found: Found| match found {
            Found::Event(record) if client.is_none() => {
                client = Client::told_by(&record.event);
                match client {
                    Some(_) => ControlFlow::Break(()),
                    None => ControlFlow::Continue(()),
                }
            }
            _ => ControlFlow::Continue(()),
        };
        search(self.archive, &query, self.manner, &mut take).ok()?;
        client
    }
}
