//! Ships the log elsewhere: sealed segments to a bucket, every record to live feeds.
//!
//! Everything is read from the files in the audit's folder, never from the recorder's queue: a slow
//! or dead receiver can neither hold up a connection nor lose a record. What got where is kept in a
//! small file per destination; after a crash the last of it is sent again. Nothing is dropped,
//! however long a destination is away; `local_limit` says when there is too much of it here.

mod bucket;
mod courier;
mod destination;
mod failure;
mod feed;
mod http;
mod mark;
mod monitor;
mod object_lock;
mod pace;
mod segments;
mod syslog;
mod unacknowledged;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Flow;
use crate::clock::Clock;
use crate::telemetry::Metrics;
pub use bucket::{Bucket, BucketError, BucketSettings};
use destination::Destination;
use feed::{Feed, Receiver};
pub use http::HttpSettings;
use mark::Mark;
use monitor::Monitor;
pub use object_lock::{LockMode, ObjectLock};
use segments::Segments;
pub use syslog::SyslogSettings;

/// What the bucket is called in metrics and logs; no feed has this name.
pub const BUCKET: &str = "bucket";

/// What is shipped where.
#[derive(Clone)]
pub struct Settings {
    /// The audit's folder.
    pub folder: PathBuf,
    /// The folder of the files that say how far each destination is.
    pub marks: PathBuf,
    /// Where sealed segments go.
    pub bucket: Option<BucketSettings>,
    /// Who gets every record.
    pub feeds: Vec<FeedSettings>,
    /// Bytes that may exist here and not in the bucket, or not at a required feed: beyond that no
    /// statement is forwarded.
    pub local_limit: Option<u64>,
}

/// A live feed.
#[derive(Clone)]
pub struct FeedSettings {
    /// What it is called in metrics and logs.
    pub name: String,
    /// Where it is, to tell whether it was moved.
    pub url: String,
    /// Whether it counts towards `local_limit`.
    pub required: bool,
    /// How it is spoken to.
    pub protocol: Protocol,
}

/// How a feed's receiver is spoken to.
#[derive(Clone)]
pub enum Protocol {
    /// POST of JSON Lines.
    Http(HttpSettings),
    /// RFC 5424.
    Syslog(SyslogSettings),
}

/// Shipping cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// The bucket's settings are wrong.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A file of ours cannot be read, or a feed's settings are wrong.
    #[error("shipping the audit to {destination}: {source}")]
    Destination {
        /// Which destination.
        destination: String,
        /// What is wrong.
        source: io::Error,
    },
}

/// Everything that ships, ready to run.
pub struct Shipping {
    segments: Option<Segments>,
    feeds: Vec<Feed>,
    monitor: Monitor,
}

/// What all destinations share.
struct Common<'a> {
    settings: &'a Settings,
    flow: &'a Arc<Flow>,
    clock: &'a Clock,
    metrics: &'a Arc<Metrics>,
}

impl Shipping {
    /// Prepares everything, and finds out whether there is room for new records; speaks to nobody
    /// yet. `flow` must know already how far the log is.
    ///
    /// # Errors
    /// [`ShipError`].
    pub fn open(
        settings: &Settings,
        flow: &Arc<Flow>,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ShipError> {
        let common = Common {
            settings,
            flow,
            clock,
            metrics,
        };
        let mut destinations = Vec::new();
        let segments = match &settings.bucket {
            Some(bucket) => Some(common.segments(bucket, &mut destinations)?),
            None => None,
        };
        let feeds = settings.feeds.iter();
        let feeds = feeds.map(|feed| common.feed(feed, &mut destinations));
        let feeds = feeds.collect::<Result<_, _>>()?;
        let monitor = Monitor {
            folder: settings.folder.clone(),
            flow: Arc::clone(flow),
            destinations,
            limit: settings.local_limit,
            metrics: Arc::clone(metrics),
        };
        monitor.look_now().map_err(failed("its destinations"))?;
        Ok(Self {
            segments,
            feeds,
            monitor,
        })
    }

    /// Ships until `stop`, and then what is left, for a moment.
    pub fn spawn(self, tasks: &TaskTracker, stop: &CancellationToken) {
        if let Some(segments) = self.segments {
            tasks.spawn(courier::run(segments, stop.clone()));
        }
        for feed in self.feeds {
            tasks.spawn(courier::run(feed, stop.clone()));
        }
        if !self.monitor.destinations.is_empty() {
            tasks.spawn(self.monitor.run(stop.clone()));
        }
    }
}

impl Common<'_> {
    fn destination(&self, name: &str, required: bool) -> Arc<Destination> {
        let metrics = self.metrics.ship(name);
        Destination::new(name, required, metrics, self.clock.clone())
    }

    fn mark(&self, name: &str, url: &str) -> Mark {
        Mark::new(&self.settings.marks, name, url)
    }

    fn segments(
        &self,
        settings: &BucketSettings,
        destinations: &mut Vec<Arc<Destination>>,
    ) -> Result<Segments, ShipError> {
        let destination = self.destination(BUCKET, true);
        destinations.push(Arc::clone(&destination));
        let bucket = Bucket::open(settings, self.clock)?;
        let mark = self.mark(BUCKET, &settings.url);
        let folder = self.settings.folder.clone();
        Segments::new(folder, Arc::clone(self.flow), bucket, mark, destination)
            .map_err(failed(BUCKET))
    }

    fn feed(
        &self,
        settings: &FeedSettings,
        destinations: &mut Vec<Arc<Destination>>,
    ) -> Result<Feed, ShipError> {
        let destination = self.destination(&settings.name, settings.required);
        destinations.push(Arc::clone(&destination));
        let receiver: Box<dyn Receiver> = match &settings.protocol {
            Protocol::Http(http) => {
                Box::new(http::Http::new(http, self.clock.clone()).map_err(failed(&settings.name))?)
            }
            Protocol::Syslog(syslog) => Box::new(syslog::Syslog::new(syslog.clone())),
        };
        let mark = self.mark(&settings.name, &settings.url);
        let folder = self.settings.folder.clone();
        Feed::new(folder, Arc::clone(self.flow), mark, receiver, destination)
            .map_err(failed(&settings.name))
    }
}

fn failed(destination: &str) -> impl FnOnce(io::Error) -> ShipError {
    let destination = destination.to_owned();
    move |source| ShipError::Destination {
        destination,
        source,
    }
}

#[cfg(test)]
mod tests;
