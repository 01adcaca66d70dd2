//! A place for objects that are written once: a bucket, or a local folder.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{
    ClientConfigKey, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, PutPayload,
    RetryConfig, WriteMultipart,
};
use reqwest::Url;
use tokio::io::AsyncReadExt;

use super::failure::Failure;
use super::object_lock::{self, ObjectLock};
use crate::clock::Clock;
use crate::secret::Secret;

/// Objects above this go in parts; below it they are put whole, which no store does by halves.
const WHOLE: u64 = 32 * 1024 * 1024;
/// The size of a part.
const PART: usize = 8 * 1024 * 1024;
/// Parts under way at a time.
const PARTS: usize = 2;
/// How long one request may take: a whole object on a slow line.
const TIMEOUT: &str = "300 seconds";

/// Where sealed segments go.
#[derive(Debug, Clone)]
pub struct BucketSettings {
    /// `s3://bucket/prefix`, `gs://..`, `az://..` or `file:///..`.
    pub url: String,
    /// The store's own options, by object_store's names.
    pub options: Vec<(String, Secret)>,
    /// How long nobody may delete or replace what was put.
    pub lock: Option<ObjectLock>,
}

/// A bucket cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[error("audit.ship.url {url}: {reason}")]
pub struct BucketError {
    url: String,
    reason: String,
}

/// A place for objects that are written once.
#[derive(Debug, Clone)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Location,
}

impl Bucket {
    /// The place that the settings name; nothing is asked of it yet. Credentials that the options
    /// lack come from the environment, as the cloud's own tools find them there.
    ///
    /// # Errors
    /// [`BucketError`]: what is wrong with URL or options.
    pub fn open(settings: &BucketSettings, clock: &Clock) -> Result<Self, BucketError> {
        let fail = |reason: String| BucketError {
            url: settings.url.clone(),
            reason,
        };
        let url: Url = settings
            .url
            .parse()
            .map_err(|_| fail("is not a URL".into()))?;
        let (scheme, prefix) =
            ObjectStoreScheme::parse(&url).map_err(|error| fail(error.to_string()))?;
        if scheme == ObjectStoreScheme::Local {
            return local(&url).map_err(fail);
        }
        let store = build(&scheme, settings, clock).map_err(fail)?;
        Ok(Self { store, prefix })
    }

    /// The store itself and the place in it, for whoever reads what was shipped.
    pub fn into_parts(self) -> (Arc<dyn ObjectStore>, Location) {
        (self.store, self.prefix)
    }

    /// Puts a file there, whole, as `name`. It is fine if the same is there already.
    pub(super) async fn create(&self, name: &str, file: &Path) -> Result<(), Failure> {
        let location = self.prefix.clone().join(name);
        let bytes = tokio::fs::metadata(file).await.map_err(reading())?.len();
        let put = match bytes {
            0..=WHOLE => self.create_whole(&location, file).await,
            _ => self.create_in_parts(&location, file).await,
        };
        match put? {
            Put::Done => Ok(()),
            Put::Exists => self.compare(&location, file).await,
        }
    }

    /// Puts `bytes` there as `name`, whatever is there now.
    pub(super) async fn replace(&self, name: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        let location = self.prefix.clone().join(name);
        self.store.put(&location, bytes.into()).await?;
        Ok(())
    }

    async fn create_whole(&self, location: &Location, file: &Path) -> Result<Put, Failure> {
        let payload: Bytes = tokio::fs::read(file).await.map_err(reading())?.into();
        let put = |payload: Bytes, mode: PutMode| {
            let payload = PutPayload::from(payload);
            async move { self.store.put_opts(location, payload, mode.into()).await }
        };
        match put(payload.clone(), PutMode::Create).await {
            Ok(_) => Ok(Put::Done),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Put::Exists),
            // The operator said that this store has no conditional writes.
            Err(object_store::Error::NotImplemented { .. }) => {
                if self.exists(location).await? {
                    return Ok(Put::Exists);
                }
                put(payload, PutMode::Overwrite).await?;
                Ok(Put::Done)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// No store takes "only if it is not there" for an upload in parts, so it is asked before. One
    /// writer holds the folder, so nobody comes between.
    async fn create_in_parts(&self, location: &Location, file: &Path) -> Result<Put, Failure> {
        if self.exists(location).await? {
            return Ok(Put::Exists);
        }
        let mut file = tokio::fs::File::open(file).await.map_err(reading())?;
        let upload = self.store.put_multipart(location).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut buffer = vec![0; PART];
        loop {
            upload.wait_for_capacity(PARTS).await?;
            match file.read(&mut buffer).await.map_err(reading())? {
                0 => break,
                read => upload.write(&buffer[..read]),
            }
        }
        upload.finish().await?;
        Ok(Put::Done)
    }

    async fn exists(&self, location: &Location) -> Result<bool, Failure> {
        match self.store.head(location).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Fine if the object is what the file is.
    async fn compare(&self, location: &Location, file: &Path) -> Result<(), Failure> {
        let conflict = || Failure::Conflict(location.to_string());
        let there = self.store.get(location).await?;
        let mut file = tokio::fs::File::open(file).await.map_err(reading())?;
        let mut stream = there.into_stream();
        let mut here = Vec::new();
        while let Some(there) = stream.next().await {
            let there = there?;
            here.resize(there.len(), 0);
            match file.read_exact(&mut here).await {
                Ok(_) if here == there => {}
                _ => return Err(conflict()),
            }
        }
        match file.read(&mut [0]).await.map_err(reading())? {
            0 => Ok(()),
            _ => Err(conflict()),
        }
    }
}

enum Put {
    Done,
    Exists,
}

/// Names what failed when a file of the log cannot be read.
fn reading() -> impl FnOnce(std::io::Error) -> Failure {
    Failure::local("reading the audit folder")
}

/// A folder, made if need be (mode 0700), whose files are synced to the disk.
fn local(url: &Url) -> Result<Bucket, String> {
    let path = url
        .to_file_path()
        .map_err(|()| "write file:///an/absolute/path".to_owned())?;
    let mut folder = DirBuilder::new();
    folder.recursive(true).mode(0o700);
    folder.create(&path).map_err(|error| error.to_string())?;
    let store = LocalFileSystem::new_with_prefix(&path).map_err(|error| error.to_string())?;
    Ok(Bucket {
        store: Arc::new(store.with_fsync(true)),
        prefix: Location::default(),
    })
}

/// A client of the cloud that `scheme` is about.
fn build(
    scheme: &ObjectStoreScheme,
    settings: &BucketSettings,
    clock: &Clock,
) -> Result<Arc<dyn ObjectStore>, String> {
    let retry = RetryConfig {
        max_retries: 2,
        ..RetryConfig::default()
    };
    // What is asked for last wins: the environment, our defaults, the operator's options.
    macro_rules! configured {
        ($builder:ty, $key:ty) => {{
            let builder = <$builder>::from_env()
                .with_url(&settings.url)
                .with_retry(retry)
                .with_config(<$key>::Client(ClientConfigKey::Timeout), TIMEOUT);
            let mut options = settings.options.iter();
            options.try_fold(builder, |builder, (key, value)| {
                let key = key.parse().map_err(|_| format!("unknown option {key}"))?;
                Ok::<_, String>(builder.with_config(key, value.expose()))
            })?
        }};
    }
    let said = |error: object_store::Error| error.to_string();
    Ok(match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let builder = configured!(AmazonS3Builder, AmazonS3ConfigKey);
            match settings.lock {
                Some(lock) => {
                    Arc::new(object_lock::build(builder, lock, clock.clone()).map_err(said)?)
                }
                None => Arc::new(builder.build().map_err(said)?),
            }
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = configured!(GoogleCloudStorageBuilder, GoogleConfigKey);
            Arc::new(builder.build().map_err(said)?)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = configured!(MicrosoftAzureBuilder, AzureConfigKey);
            Arc::new(builder.build().map_err(said)?)
        }
        _ => return Err("write s3://, gs://, az:// or file:///".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_large_file_goes_in_parts_and_is_not_overwritten_either() {
        let here = tempfile::tempdir().unwrap();
        let there = tempfile::tempdir().unwrap();
        let settings = BucketSettings {
            url: format!("file://{}", there.path().display()),
            options: Vec::new(),
            lock: None,
        };
        let bucket = Bucket::open(&settings, &Clock::system()).unwrap();
        let file = here.path().join("large");
        let bytes: Vec<u8> = (0..=WHOLE).map(|n| (n % 251) as u8).collect();
        std::fs::write(&file, &bytes).unwrap();
        bucket.create("x", &file).await.unwrap();
        assert!(std::fs::read(there.path().join("x")).unwrap() == bytes);
        bucket.create("x", &file).await.unwrap();
        let flipped = [&[!bytes[0]], &bytes[1..]].concat();
        let longer = [&bytes[..], b"x"].concat();
        let shorter = bytes[..5].to_vec();
        for changed in [flipped, longer, shorter] {
            std::fs::write(&file, &changed).unwrap();
            let refused = bucket.create("x", &file).await.unwrap_err();
            assert!(matches!(refused, Failure::Conflict(_)), "{refused}");
        }
    }
}
