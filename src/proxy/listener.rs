//! Accepts clients: never blocked by one of them, and never out of file descriptors for good.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Proxy;
use super::connection::serve;
use super::dial::{TcpDialer, tune};

/// How long to wait when the system has no more sockets to give.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    /// Where it listens; the port is the real one if 0 was asked for.
    pub address: SocketAddr,
}

/// Binds a listener.
///
/// # Errors
/// What the system says.
pub async fn listen(address: SocketAddr) -> io::Result<Listener> {
    let socket = TcpListener::bind(address).await?;
    let address = socket.local_addr()?;
    Ok(Listener { socket, address })
}

/// The sockets that have not authenticated yet, counted by address.
struct Doorstep {
    by_address: DashMap<IpAddr, Arc<AtomicU32>>,
    limit: u32,
    gauge: IntGauge,
}

/// One place on the doorstep; dropping it gives it back.
pub struct Unauthenticated {
    doorstep: Option<(Arc<Doorstep>, IpAddr)>,
}

impl Unauthenticated {
    /// A place that nobody counts.
    pub fn uncounted() -> Self {
        Self { doorstep: None }
    }
}

impl Doorstep {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Unauthenticated> {
        let count = Arc::clone(&self.by_address.entry(address).or_default());
        let entered = count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
            (waiting < self.limit).then_some(waiting + 1)
        });
        entered.ok()?;
        self.gauge.inc();
        Some(Unauthenticated {
            doorstep: Some((Arc::clone(self), address)),
        })
    }
}

impl Drop for Unauthenticated {
    fn drop(&mut self) {
        let Some((doorstep, address)) = self.doorstep.take() else {
            return;
        };
        doorstep.gauge.dec();
        if let Some(count) = doorstep.by_address.get(&address) {
            count.fetch_sub(1, Ordering::AcqRel);
        }
        let unused = |_: &IpAddr, count: &Arc<AtomicU32>| {
            Arc::strong_count(count) == 1 && count.load(Ordering::Acquire) == 0
        };
        doorstep.by_address.remove_if(&address, unused);
    }
}

impl Listener {
    /// Accepts until `stop`, and serves each client in a task of its own.
    pub async fn run(
        self,
        proxy: Arc<Proxy<TcpDialer>>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) {
        let doorstep = Arc::new(Doorstep {
            by_address: DashMap::new(),
            limit: proxy.settings.unauthenticated_per_address,
            gauge: proxy.metrics.unauthenticated().clone(),
        });
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => admit_to_doorstep(&proxy, &doorstep, &tasks, socket, peer),
                Err(error) => {
                    // Out of descriptors, mostly: wait for some to be given back.
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

fn admit_to_doorstep(
    proxy: &Arc<Proxy<TcpDialer>>,
    doorstep: &Arc<Doorstep>,
    tasks: &TaskTracker,
    socket: TcpStream,
    peer: SocketAddr,
) {
    let Some(place) = doorstep.enter(peer.ip()) else {
        proxy.metrics.denied("too_many_unauthenticated");
        return;
    };
    if let Err(error) = tune(&socket) {
        tracing::debug!(%error, %peer, "the client is gone already");
        return;
    }
    tasks.spawn(serve(Arc::clone(proxy), socket, peer, place));
}
