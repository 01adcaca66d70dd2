//! A log in a bucket, as shipping left it there.

use std::future::Future;
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::{Builder, Handle, Runtime};

use super::Source;
use crate::audit::ship::{Bucket, BucketSettings};
use crate::clock::Clock;

/// Bytes of an object that are fetched at a time; most are smaller.
const PART: u64 = 16 * 1024 * 1024;

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

    fn requests(&self) -> io::Result<Handle> {
        let runtime = self.runtime.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(runtime.handle().clone())
    }

    fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        wait(&self.requests()?, request)
    }

    fn location(&self, file: &str) -> Path {
        self.prefix.clone().join(file)
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
        Ok(Box::new(Object::open(self, self.location(file))?))
    }

    fn read_range(&self, file: &str, range: Range<u64>) -> io::Result<Vec<u8>> {
        let (store, location) = (Arc::clone(&self.store), self.location(file));
        let bytes = self.wait(async move { store.get_range(&location, range).await })?;
        Ok(bytes.into())
    }
}

/// An object that is read from its beginning. One that is large comes a part at a time, as far as
/// somebody reads: nobody else's object is to take all memory.
struct Object {
    store: Arc<dyn ObjectStore>,
    location: Path,
    requests: Handle,
    size: u64,
    /// Where the next part begins.
    next: u64,
    part: Cursor<Bytes>,
}

impl Object {
    fn open(bucket: &InBucket, location: Path) -> io::Result<Self> {
        let (store, at) = (Arc::clone(&bucket.store), location.clone());
        let begin = async move {
            let object = store.get(&at).await?;
            let size = object.meta.size;
            let small = size <= PART;
            Ok((
                size,
                if small {
                    Some(object.bytes().await?)
                } else {
                    None
                },
            ))
        };
        let requests = bucket.requests()?;
        let (size, whole) = wait(&requests, begin)?;
        Ok(Self {
            store: Arc::clone(&bucket.store),
            location,
            requests,
            size,
            next: if whole.is_some() { size } else { 0 },
            part: Cursor::new(whole.unwrap_or_default()),
        })
    }

    fn fetch(&mut self) -> io::Result<()> {
        let end = self.size.min(self.next + PART);
        let (store, location, range) = (
            Arc::clone(&self.store),
            self.location.clone(),
            self.next..end,
        );
        let part = async move { store.get_range(&location, range).await };
        self.part = Cursor::new(wait(&self.requests, part)?);
        self.next = end;
        Ok(())
    }
}

impl Read for Object {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.part.read(bytes)?;
            if read > 0 || bytes.is_empty() || self.next >= self.size {
                return Ok(read);
            }
            self.fetch()?;
        }
    }
}

/// Runs `request` to its end beside; the caller's thread waits.
fn wait<T: Send + 'static>(
    requests: &Handle,
    request: impl Future<Output = object_store::Result<T>> + Send + 'static,
) -> io::Result<T> {
    let (done, result) = std::sync::mpsc::sync_channel(1);
    requests.spawn(async move { done.send(request.await) });
    let result = result.recv().map_err(io::Error::other)?;
    result.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::audit::archive::{Archive, LARGEST};

    fn bucket(folder: &std::path::Path) -> InBucket {
        InBucket::open(&format!("file://{}", folder.display())).unwrap()
    }

    #[test]
    fn an_object_in_parts_is_what_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 5, PART, PART + 5] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            fs::write(dir.path().join("object"), &bytes).unwrap();
            assert!(
                bucket(dir.path()).read("object").unwrap() == bytes,
                "{size}"
            );
        }
        let missing = bucket(dir.path()).open("missing").map(|_| ()).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn an_object_is_not_fetched_further_than_it_may_be_long() {
        let dir = tempfile::tempdir().unwrap();
        let head = File::create(dir.path().join("HEAD")).unwrap();
        // Holes only; more than there is memory.
        head.set_len(1 << 42).unwrap();
        assert!((LARGEST as u64) < 1 << 42);
        let archive = Archive::open(Box::new(bucket(dir.path()))).unwrap();
        let refused = archive.head_line().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
