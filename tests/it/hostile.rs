//! Peers that do not keep to the protocol: each costs a connection, and no more than that.

mod answers;
mod client;
mod upstream;
mod volume;
