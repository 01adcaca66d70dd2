//! From who a client is to a permit.

use super::Proxy;
use super::authenticate::Identity;
use super::connection::Arrival;
use super::dial::{Dial, Io};
use super::handshake::Client;
use super::refusal::Refusal;
use crate::admission::{Admittee, ConnectionInfo, Permit};

/// Lets a client in that has said who it is, if it has a session that is live.
pub(super) fn admit<S: Io, D: Dial>(
    proxy: &Proxy<D>,
    client: &Client<S>,
    identity: &Identity,
    arrival: Arrival,
) -> Result<Permit, Refusal> {
    let admittee = Admittee {
        connection: ConnectionInfo {
            id: arrival.id,
            session: identity.session,
            principal: identity.principal.clone(),
            target: identity.target.target.name.clone(),
            database: identity.database.clone(),
            peer: arrival.peer,
            application_name: text(client, "application_name"),
            opened_at: proxy.clock.now(),
        },
        replication: asks_for_replication(client),
    };
    proxy
        .admission
        .admit(admittee, &identity.target.target)
        .map_err(Refusal::Denied)
}

fn text<S>(client: &Client<S>, name: &str) -> String {
    let value = client.startup.parameter(name);
    value.map_or_else(String::new, |value| {
        String::from_utf8_lossy(value).into_owned()
    })
}

/// Anything but a clear no counts: PostgreSQL takes `database` and every spelling of yes.
fn asks_for_replication<S>(client: &Client<S>) -> bool {
    let names = &client.startup.parameters;
    names
        .iter()
        .filter(|(name, _)| name == "replication")
        .any(|(_, value)| !matches!(&value[..], b"false" | b"off" | b"no" | b"0"))
}
