//! The data plane. One connection's life is read top to bottom in `connection`; each phase has
//! a file of its own, and the value that a phase yields proves that it was passed.

mod admit;
mod asking;
mod authenticate;
mod buffers;
mod cancel;
mod closing;
mod connection;
mod denials;
mod dial;
mod ending;
mod greet;
mod handshake;
mod listener;
mod login;
mod notices;
mod pace;
mod quiet;
mod record;
mod refusal;
mod relay;
mod targets;
mod upstream;
mod values;
mod wish;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use self::asking::Waiting;
pub use self::cancel::Cancels;
pub use self::closing::CloseReason;
pub use self::connection::serve;
pub use self::denials::Denials;
pub use self::dial::{Dial, TcpDialer};
pub use self::listener::{Listener, Unauthenticated, listen};
pub use self::targets::{Endpoint, ProxyTarget, Targets};
use crate::admission::Admission;
use crate::asking::Desk;
use crate::audit::Recorder;
use crate::clock::Clock;
use crate::telemetry::Metrics;
use crate::tls::ServerTls;

/// What an operator decides about the data plane.
#[derive(Debug, Clone)]
pub struct Settings {
    /// With `db.example.com`, the TLS server name `orders-ro.db.example.com` names a target.
    pub sni_suffix: Option<String>,
    /// How long a client may take up to its first ReadyForQuery.
    pub handshake_timeout: Duration,
    /// How long an upstream may take to be ready.
    pub connect_timeout: Duration,
    /// Sockets of one address that may be open before they have authenticated.
    pub unauthenticated_per_address: u32,
    /// How long before its session's end a client is told, longest first.
    pub notices: Vec<Duration>,
}

/// All that connections share. Whoever holds it can serve one.
pub struct Proxy<D> {
    /// See [`Settings`].
    pub settings: Settings,
    /// What can be reached.
    pub targets: Targets,
    /// Who is let in.
    pub admission: Arc<Admission>,
    /// Where clients ask to be let in.
    pub desk: Arc<dyn Desk>,
    /// Who waits there.
    pub waiting: Waiting,
    /// Where everything is recorded.
    pub recorder: Recorder,
    /// What time it is.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The certificate shown to clients; `None`: TLS is off.
    pub tls: Option<Arc<ServerTls>>,
    /// Which denials are recorded each for itself.
    pub denials: Denials,
    /// Which connections a CancelRequest can name.
    pub cancels: Cancels,
    /// How upstreams are reached.
    pub dialer: D,
    /// Ends every connection when it is cancelled: a drain's grace is over.
    pub shutdown: CancellationToken,
}
