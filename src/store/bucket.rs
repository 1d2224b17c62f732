//! A bucket of S3, or of what speaks its protocol.

use std::fs::File;
use std::io::Read;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    Attribute, AttributeValue, Attributes, ClientOptions, GetOptions, GetRange, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, RetryConfig,
    WriteMultipart,
};
use tokio::runtime::Runtime;

use super::error::{StoreError, chain};
use super::file::RemoteFile;
use super::listing::{PageConnector, Unusable, UnusableObject, path_of};
use super::settings::S3Settings;
use super::waiting::{STALLED, runtime, unless_cancelled};
use crate::sync::{Cancellation, lock};

/// How long a request is tried again while the server cannot be reached.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests are tried again this often at most.
const MAX_RETRIES: usize = 6;
/// A transfer that broke off goes on where it was; as often as this without a single byte.
const MAX_RESUMPTIONS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Larger files are sent in parts of this size, which are in memory one after the other.
const PART_BYTES: usize = 16 << 20;
/// The name under which an object's BLAKE3 hash is kept with it.
const HASH_NAME: &str = "blake3";

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// From the bucket's root, whatever prefix was listed; never percent-encoded.
    pub key: String,
    /// Length of the content, without what the store keeps beside it.
    pub byte_size: u64,
    /// The store's mark of this content, which changes with it; `None` where it gives none.
    pub etag: Option<String>,
    /// When it was put there.
    pub modified: SystemTime,
}

impl From<ObjectMeta> for ObjectInfo {
    fn from(object: ObjectMeta) -> Self {
        Self {
            key: object.location.to_string(),
            byte_size: object.size,
            etag: object.e_tag,
            modified: object.last_modified.into(),
        }
    }
}

/// What a bucket has below a prefix.
#[derive(Debug, Default)]
pub struct Listing {
    /// Ordered by key.
    pub objects: Vec<ObjectInfo>,
    /// Those that can be neither read nor written here; without such as only stand for a folder.
    pub unusable: Vec<UnusableObject>,
}

/// A bucket; calls wait for the server.
pub struct Bucket {
    name: String,
    store: AmazonS3,
    runtime: Runtime,
    settings: S3Settings,
    cancellation: Cancellation,
    /// What the client has taken out of the list that is being read.
    unusable: Unusable,
    /// Held while a list is read.
    listing: Mutex<()>,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "s3://{}", self.name)
    }
}

impl Bucket {
    /// A bucket that is not asked anything yet.
    ///
    /// # Errors
    /// When the settings are none that requests can be made with.
    pub fn open(name: &str, settings: &S3Settings) -> Result<Self, StoreError> {
        let failed = |reason: String| StoreError::Failed {
            address: format!("s3://{name}"),
            reason: settings.redact(&reason),
        };
        // A role's variables are read from the environment where there are no keys.
        let mut builder = match &settings.keys {
            Some(keys) => {
                let builder = AmazonS3Builder::new()
                    .with_access_key_id(keys.id.reveal())
                    .with_secret_access_key(keys.secret.reveal());
                match &keys.token {
                    Some(token) => builder.with_token(token.reveal()),
                    None => builder,
                }
            }
            None => AmazonS3Builder::from_env(),
        };
        let unusable = Unusable::default();
        builder = builder
            .with_http_connector(PageConnector {
                unusable: Arc::clone(&unusable),
            })
            .with_bucket_name(name)
            .with_client_options(client_options())
            .with_region(&settings.region)
            .with_skip_signature(settings.is_anonymous)
            .with_retry(RetryConfig {
                max_retries: MAX_RETRIES,
                retry_timeout: RETRY_TIMEOUT,
                ..RetryConfig::default()
            });
        if let Some(endpoint) = &settings.endpoint {
            builder = builder
                .with_endpoint(endpoint)
                .with_allow_http(endpoint.starts_with("http://"))
                .with_virtual_hosted_style_request(false);
        }
        Ok(Self {
            name: name.into(),
            store: builder.build().map_err(|e| failed(chain(&e)))?,
            runtime: runtime().map_err(|e| failed(e.to_string()))?,
            settings: settings.clone(),
            cancellation: Cancellation::new(),
            unusable,
            listing: Mutex::new(()),
        })
    }

    /// The same bucket, whose calls end early when `cancellation` says so; but for deletions, by which
    /// whoever is called off tidies up.
    #[must_use]
    pub fn cancelled_by(mut self, cancellation: &Cancellation) -> Self {
        self.cancellation = cancellation.clone();
        self
    }

    fn block_on<R>(
        &self,
        work: impl Future<Output = Result<R, StoreError>>,
    ) -> Result<R, StoreError> {
        (self.runtime).block_on(unless_cancelled(&self.cancellation, work))
    }

    /// The address of an object.
    pub fn address(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    /// An object's size and mark; `None` where there is no such object.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub fn look(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        let path = self.path(key)?;
        self.block_on(async {
            match self.store.head(&path).await {
                Ok(object) => Ok(Some(object.into())),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(self.error(key, &error)),
            }
        })
    }

    /// Makes sure that the bucket is there, as far as the keys may ask.
    ///
    /// # Errors
    /// [`StoreError::NoBucket`] when the server says that there is none of that name; when it cannot be
    /// reached.
    pub fn find(&self) -> Result<(), StoreError> {
        let _alone = lock(&self.listing);
        lock(&self.unusable).clear();
        let first = self.block_on(async {
            let mut objects = self.store.list(None);
            let first = objects.next().await.transpose();
            first.map_err(|e| self.error("", &e))
        });
        match first {
            Err(StoreError::Missing { .. }) => Err(StoreError::NoBucket {
                address: self.address(""),
            }),
            // Who may not list may still write.
            Err(StoreError::Refused { .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The objects whose keys begin with a prefix that is empty or ends with `/`.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, or the prefix is none that can be asked for.
    pub fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let path = match prefix {
            "" => Path::default(),
            prefix => self.path(prefix.strip_suffix('/').unwrap_or(prefix))?,
        };
        // What is taken out of a list is of one list.
        let _alone = lock(&self.listing);
        lock(&self.unusable).clear();
        let mut objects = self.block_on(async {
            let mut stream = self.store.list(Some(&path));
            let mut objects = Vec::new();
            while let Some(object) = stream.next().await {
                let object = object.map_err(|e| self.error(prefix, &e))?;
                objects.push(ObjectInfo::from(object));
            }
            Ok::<_, StoreError>(objects)
        })?;
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        let mut unusable = std::mem::take(&mut *lock(&self.unusable));
        unusable.retain(|object| !object.is_folder());
        Ok(Listing { objects, unusable })
    }

    /// Reads an object, piece by piece; it must be the one that `file` tells of. Where the connection
    /// breaks off, reading goes on behind the last piece.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, the object is gone or another one, or `take`
    /// fails.
    pub fn fetch(
        &self,
        key: &str,
        file: &RemoteFile,
        take: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut offset = 0;
        let mut in_vain = 0;
        loop {
            let options = GetOptions {
                if_match: file.etag.clone(),
                range: (offset > 0).then_some(GetRange::Offset(offset)),
                ..GetOptions::default()
            };
            let began_at = offset;
            let read = self.read(key, options, &mut |bytes| {
                offset += bytes.len() as u64;
                take(bytes)
            });
            in_vain = if offset > began_at { 0 } else { in_vain + 1 };
            match read {
                // Without a mark, what comes then may be of another object.
                Err(StoreError::Failed { .. })
                    if offset > 0
                        && in_vain <= MAX_RESUMPTIONS
                        && file.etag.is_some()
                        && file.byte_size != Some(offset)
                        && self.cancellation.sleep(FIRST_PAUSE * 2_u32.pow(in_vain)) => {}
                done => return done,
            }
        }
    }

    /// An object's BLAKE3 hash in hex, and its bytes; reads it.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, or the object is gone.
    pub fn hash(&self, key: &str) -> Result<(String, u64), StoreError> {
        let mut hasher = blake3::Hasher::new();
        self.read(key, GetOptions::default(), &mut |bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        Ok((hasher.finalize().to_hex().to_string(), hasher.count()))
    }

    fn read(
        &self,
        key: &str,
        options: GetOptions,
        take: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let path = self.path(key)?;
        self.block_on(async {
            let found = self.store.get_opts(&path, options).await;
            let mut stream = found.map_err(|e| self.error(key, &e))?.into_stream();
            while let Some(bytes) = stream.next().await {
                take(&bytes.map_err(|e| self.error(key, &e))?)?;
            }
            Ok(())
        })
    }

    /// Puts a file there, with its BLAKE3 hash beside it. Nothing that is there is replaced.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, another object is there, or the file cannot be
    /// read.
    pub fn create(&self, key: &str, file: &FilePath, blake3: &str) -> Result<(), StoreError> {
        let mut attributes = Attributes::new();
        attributes.insert(
            Attribute::Metadata(HASH_NAME.into()),
            AttributeValue::from(blake3.to_owned()),
        );
        self.put(key, file, PutMode::Create, attributes)
            .or_else(|error| {
                // A request that is sent again after its answer was lost finds its own object.
                let is_ours = matches!(error, StoreError::Exists { .. })
                    && self.recorded_hash(key).is_ok_and(|hash| hash == blake3);
                if is_ours { Ok(()) } else { Err(error) }
            })
    }

    /// Puts a file there, in place of what is there.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, or the file cannot be read.
    pub fn replace(&self, key: &str, file: &FilePath) -> Result<(), StoreError> {
        self.put(key, file, PutMode::Overwrite, Attributes::new())
    }

    fn put(
        &self,
        key: &str,
        file: &FilePath,
        mode: PutMode,
        attributes: Attributes,
    ) -> Result<(), StoreError> {
        let path = self.path(key)?;
        let local = |e: std::io::Error| StoreError::local(file, &e);
        let mut source = File::open(file).map_err(local)?;
        let mut part = Vec::new();
        let mut read_part = |part: &mut Vec<u8>| {
            part.clear();
            let limit = PART_BYTES as u64;
            std::io::Read::by_ref(&mut source)
                .take(limit)
                .read_to_end(part)
                .map_err(local)
        };
        read_part(&mut part)?;
        self.block_on(async {
            if part.len() < PART_BYTES {
                let options = PutOptions {
                    mode,
                    attributes,
                    ..PutOptions::default()
                };
                let put = self.store.put_opts(&path, part.into(), options).await;
                return put.map(drop).map_err(|e| self.error(key, &e));
            }
            // Its name was never used before, or may be used again.
            let options = PutMultipartOptions {
                attributes,
                ..PutMultipartOptions::default()
            };
            let upload = self.store.put_multipart_opts(&path, options).await;
            let upload = upload.map_err(|e| self.error(key, &e))?;
            let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
            while !part.is_empty() {
                writer.write(&part);
                let room = writer.wait_for_capacity(1).await;
                room.map_err(|e| self.error(key, &e))?;
                read_part(&mut part)?;
            }
            let finished = writer.finish().await;
            finished.map(drop).map_err(|e| self.error(key, &e))
        })
    }

    fn recorded_hash(&self, key: &str) -> Result<String, StoreError> {
        let path = self.path(key)?;
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let found = self.block_on(async {
            let found = self.store.get_opts(&path, options).await;
            found.map_err(|e| self.error(key, &e))
        })?;
        let hash = found.attributes.get(&Attribute::Metadata(HASH_NAME.into()));
        Ok(hash
            .map(|hash| hash.as_ref().to_owned())
            .unwrap_or_default())
    }

    /// Gives an object another key, in place of what is there.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses. An object that is not there is no error.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let (source, target) = (self.path(from)?, self.path(to)?);
        let is_there = self.block_on(async {
            match self.store.copy(&source, &target).await {
                Ok(()) => Ok(true),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(self.error(from, &error)),
            }
        })?;
        match is_there {
            true => self.delete(from),
            false => Ok(()),
        }
    }

    /// Deletes an object. One that is not there is no error.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = self.path(key)?;
        match self.runtime.block_on(self.store.delete(&path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(key, &error)),
        }
    }

    fn path(&self, key: &str) -> Result<Path, StoreError> {
        path_of(key).ok_or_else(|| StoreError::unusable_key(&self.address(key)))
    }

    fn error(&self, key: &str, error: &object_store::Error) -> StoreError {
        let address = self.address(key);
        let reason = self.settings.redact(&chain(error));
        match error {
            object_store::Error::NotFound { .. } => StoreError::Missing { address },
            object_store::Error::AlreadyExists { .. } => StoreError::Exists { address },
            object_store::Error::Precondition { .. } => StoreError::Changed { address },
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. } => {
                StoreError::Refused { address, reason }
            }
            // Requests that list say no more than what the server answered.
            _ if reason.contains("403 Forbidden") || reason.contains("401 Unauthorized") => {
                StoreError::Refused { address, reason }
            }
            _ if reason.contains("NoSuchBucket") => StoreError::Missing { address },
            _ => StoreError::Failed { address, reason },
        }
    }
}

/// Large objects take their time, however fast the network is; one that stalls has broken down.
fn client_options() -> ClientOptions {
    ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(STALLED)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;
    use std::time::Instant;

    use super::*;
    use crate::secret::Secret;
    use crate::store::test_server::{Request, serve};
    use crate::store::{Address, S3Address, S3Keys};

    const CONTENT: &[u8] = b"frames of a video";

    /// Gives five bytes of the object, and hangs up.
    fn answer(request: &Request, mut stream: TcpStream, asked: &Mutex<Vec<String>>) {
        let range = request.header("range");
        let (offset, end) = range
            .trim_start_matches("bytes=")
            .split_once('-')
            .unwrap_or_default();
        let offset: usize = offset.parse().unwrap_or(0);
        // The client's own second try, which names the end, finds another object.
        let etag = if end.is_empty() { "e1" } else { "e2" };
        lock(asked).push(format!("{range} {}", request.header("if-match")));
        let rest = &CONTENT[offset..];
        let last = CONTENT.len() - 1;
        let (status, content_range) = match offset {
            0 => ("200 OK", String::new()),
            _ => (
                "206 Partial Content",
                format!("Content-Range: bytes {offset}-{last}/{}\r\n", CONTENT.len()),
            ),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nETag: \"{etag}\"\r\nLast-Modified: Thu, 26 Nov 2026 10:00:00 GMT\r\n{content_range}Content-Length: {}\r\nConnection: close\r\n\r\n",
            rest.len()
        );
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&rest[..rest.len().min(5)]);
    }

    fn bucket(endpoint: String) -> Bucket {
        let keys = S3Keys {
            id: Secret::new("id".into()),
            secret: Secret::new("secret".into()),
            token: None,
        };
        let settings = S3Settings {
            keys: Some(keys),
            region: "us-east-1".into(),
            endpoint: Some(endpoint),
            is_anonymous: false,
        };
        Bucket::open("clips", &settings).expect("settings that can be used")
    }

    fn video() -> RemoteFile {
        RemoteFile {
            address: Address::S3(S3Address {
                bucket: "clips".into(),
                key: "a.mp4".into(),
            }),
            byte_size: Some(CONTENT.len() as u64),
            etag: Some("\"e1\"".into()),
        }
    }

    #[test]
    fn a_transfer_that_breaks_off_goes_on_where_it_was_and_is_of_one_object() {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let bucket = bucket(serve(move |request, stream| answer(request, stream, &seen)));
        let mut taken = Vec::new();
        let read = bucket.fetch("a.mp4", &video(), &mut |bytes| {
            taken.extend_from_slice(bytes);
            Ok(())
        });
        read.expect("all of it comes in the end");
        assert_eq!(taken, CONTENT);
        let asked = lock(&asked);
        let resumed = asked.iter().filter(|asked| asked.contains("- "));
        assert_eq!(resumed.count(), 3, "{asked:?}");
        let is_of_one = |asked: &String| asked.ends_with("\"e1\"");
        assert!(asked.iter().all(is_of_one), "{asked:?}");
    }

    #[test]
    fn a_store_that_says_nothing_is_left_when_the_work_is_called_off() {
        let (tell, told) = std::sync::mpsc::channel();
        let endpoint = serve(move |_, stream| {
            let _ = tell.send(stream);
        });
        let cancellation = Cancellation::new();
        let bucket = bucket(endpoint).cancelled_by(&cancellation);
        std::thread::spawn(move || {
            // It is kept, and nothing is said on it.
            let _silent = told.recv();
            cancellation.cancel();
            told.recv()
        });
        let began = Instant::now();
        let left = bucket.fetch("a.mp4", &video(), &mut |_| Ok(()));
        assert!(matches!(left, Err(StoreError::Cancelled)), "{left:?}");
        assert!(began.elapsed() < STALLED / 2);
    }

    /// Two pages of a list, the first with keys that cannot be used.
    fn answer_list(request: &Request, mut stream: TcpStream) {
        let object = |key: &str, byte_size: usize| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-26T10:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>{byte_size}</Size></Contents>"
            )
        };
        let page = match request.path.contains("continuation-token") {
            false => [
                "<NextContinuationToken>2</NextContinuationToken>".into(),
                object("k/b.mp4", 1),
                object("k//c.mp4", 2),
                object("k/d.mp4/", 0),
            ],
            true => [
                object("k/a &amp; b.mp4", 3),
                object("k/e.mp4/", 4),
                object("k/../f.mp4", 5),
                String::new(),
            ],
        };
        let page = format!("<ListBucketResult>{}</ListBucketResult>", page.concat());
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            page.len()
        );
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(page.as_bytes());
    }

    #[test]
    fn keys_that_cannot_be_used_stop_no_list_and_are_told() {
        let bucket = bucket(serve(answer_list));
        for _ in 0..2 {
            let listing = bucket.list("k/").expect("a list");
            let objects = listing.objects.iter().map(|object| object.key.as_str());
            assert_eq!(objects.collect::<Vec<_>>(), ["k/a & b.mp4", "k/b.mp4"]);
            let unusable = listing.unusable.iter().map(|object| object.key.as_str());
            let unusable: Vec<_> = unusable.collect();
            assert_eq!(unusable, ["k//c.mp4", "k/e.mp4/", "k/../f.mp4"]);
        }
        let refused = bucket.look("k//c.mp4").expect_err("it is refused");
        assert!(!refused.is_passing(), "{refused}");
        assert!(
            refused.to_string().ends_with("s3://clips/k//c.mp4"),
            "{refused}"
        );
    }
}
