//! A log in a bucket, as shipping left it there.

use std::future::Future;
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::{Builder, Runtime};

use super::Source;
use crate::audit::ship::{Bucket, BucketSettings};
use crate::clock::Clock;

/// A bucket, or a folder in one. Credentials come from the environment, as the cloud's own tools
/// find them there.
pub struct InBucket {
    url: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Readers of logs are not async: the store's requests run beside them. `None` once dropped.
    runtime: Option<Runtime>,
}

impl InBucket {
    /// The log at `url`: `s3://bucket/prefix`, `gs://..`, `az://..`.
    ///
    /// # Errors
    /// If the URL or the environment is not enough to reach it.
    pub fn open(url: &str) -> io::Result<Self> {
        let settings = BucketSettings {
            url: url.to_owned(),
            options: Vec::new(),
            lock: None,
        };
        let bucket = Bucket::open(&settings, &Clock::system());
        let (store, prefix) = bucket
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.reason()))?
            .into_parts();
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all();
        Ok(Self {
            url: url.to_owned(),
            store,
            prefix,
            runtime: Some(runtime.build()?),
        })
    }

    /// Runs `request` to its end on the runtime beside; the caller's thread waits.
    fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let (done, result) = std::sync::mpsc::sync_channel(1);
        let runtime = self.runtime.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        runtime.spawn(async move { done.send(request.await) });
        let result = result.recv().map_err(io::Error::other)?;
        result.map_err(io::Error::from)
    }

    fn location(&self, file: &str) -> Path {
        self.prefix.clone().join(file)
    }

    fn fetch(&self, file: &str) -> io::Result<Bytes> {
        let (store, location) = (Arc::clone(&self.store), self.location(file));
        self.wait(async move { store.get(&location).await?.bytes().await })
    }
}

impl Drop for InBucket {
    fn drop(&mut self) {
        // A runtime that is dropped within another would panic; nothing runs in it any more.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Source for InBucket {
    fn name(&self) -> String {
        self.url.clone()
    }

    fn lags(&self) -> bool {
        true
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let (store, prefix) = (Arc::clone(&self.store), self.prefix.clone());
        let list = async move {
            let objects = store.list_with_delimiter(Some(&prefix)).await?.objects;
            let names = objects.iter().filter_map(|it| it.location.filename());
            Ok(names.map(str::to_owned).collect())
        };
        self.wait(list)
    }

    fn open(&self, file: &str) -> io::Result<Box<dyn Read + Send>> {
        // Sealed segments are small.
        Ok(Box::new(Cursor::new(self.fetch(file)?)))
    }

    fn read_range(&self, file: &str, range: Range<u64>) -> io::Result<Vec<u8>> {
        let (store, location) = (Arc::clone(&self.store), self.location(file));
        let bytes = self.wait(async move { store.get_range(&location, range).await })?;
        Ok(bytes.into())
    }
}
