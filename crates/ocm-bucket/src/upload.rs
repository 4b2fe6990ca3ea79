//! Blobs on their way in.
//!
//! Bytes are hashed as they pass and held until they fill a part, which is then sent while the next
//! one fills. A blob that fits in one part is written in one request.
//!
//! Between two requests of a client an upload is nothing but what the bucket has: its parts, what
//! does not fill one yet (the tail, an object of its own), and a document that names them together
//! with the state of the hash. So any process goes on with it, and none reads again what has passed.
//! Parts that were sent after the document was written do not count: whoever goes on overwrites them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ocm_digest::{Digest, Digester, HashAlgorithm};
use ocm_oci::{Error, Outcome, Pushed, RepositoryName};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::client::Condition;
use crate::hash::Hash;
use crate::layout::{self, JSON, OCTETS, Stored};
use crate::store::{Inner, random};

/// How many parts have the same size; after that they double. S3 takes 10,000 parts.
const SAME_SIZE: usize = 2500;

/// How far an upload is, in the bucket.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct State {
    repository: RepositoryName,
    size: u64,
    /// SHA-256 of what has come, as it goes on.
    hash: String,
    /// What the parts are sent to, if there are some.
    multipart: Option<Multipart>,
    /// The tags of the parts.
    parts: Vec<String>,
    /// What does not fill a part.
    tail: Option<Stored>,
}

/// An object that is to be made of parts.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Multipart {
    /// How the server calls it.
    upload: String,
    /// The name below `data/`. No other upload has it, nor the same one in another process: whoever
    /// writes the same object as somebody else would change bytes that have been verified.
    data: String,
}

/// An upload, or what a process knows of it.
#[derive(Debug)]
pub(crate) struct Upload {
    store: Arc<Inner>,
    repository: RepositoryName,
    id: String,
    size: u64,
    hash: Hash,
    multipart: Option<Multipart>,
    parts: Vec<String>,
    /// The part that is under way.
    sending: JoinSet<Result<String, Error>>,
    buffer: BytesMut,
    /// What the buffer begins with, as long as it has not been read.
    tail: Option<Stored>,
    saved: Option<Saved>,
    /// Whether another process has gone on with it, whose parts and documents these are now.
    is_lost: bool,
}

/// What the bucket knows of an upload.
#[derive(Clone, Debug)]
struct Saved {
    /// The tag of the document.
    version: String,
    tail: Option<Stored>,
}

impl Upload {
    /// Starts an upload, of which nobody else knows.
    pub(crate) fn new(store: &Arc<Inner>, repository: &RepositoryName) -> Result<Self, Error> {
        Ok(Self::named(store, repository, random()?))
    }

    /// Starts an upload with a name that nobody has had.
    pub(crate) fn named(store: &Arc<Inner>, repository: &RepositoryName, id: String) -> Self {
        Self {
            store: Arc::clone(store),
            repository: repository.clone(),
            id,
            size: 0,
            hash: Hash::default(),
            multipart: None,
            parts: Vec::new(),
            sending: JoinSet::new(),
            buffer: BytesMut::new(),
            tail: None,
            saved: None,
            is_lost: false,
        }
    }

    /// Goes on with an upload of a repository, wherever it has been until now.
    pub(crate) async fn resume(
        store: &Arc<Inner>,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<Self>, Error> {
        let found = Self::read(store, id).await?;
        Ok(found.filter(|upload| upload.repository == *repository))
    }

    /// Reads what the bucket knows of an upload.
    pub(crate) async fn read(store: &Arc<Inner>, id: &str) -> Result<Option<Self>, Error> {
        let key = layout::upload(id);
        let Some(object) = store.client.get(&key, layout::LIMIT).await? else {
            return Ok(None);
        };
        let what = store.client.what(&key);
        let state: State = layout::from_json(what.clone(), &object.bytes)?;
        let hash = Hash::from_text(&state.hash)
            .ok_or_else(|| Error::malformed(what, "the state of the hash is none"))?;
        let mut upload = Self::named(store, &state.repository, id.to_owned());
        upload.size = state.size;
        upload.hash = hash;
        upload.multipart = state.multipart;
        upload.parts = state.parts;
        upload.tail.clone_from(&state.tail);
        upload.saved = Some(Saved {
            version: object.tag,
            tail: state.tail,
        });
        Ok(Some(upload))
    }

    /// Returns the tag of the document that the bucket has, as it was read or written last.
    pub(crate) fn version(&self) -> Option<&str> {
        self.saved.as_ref().map(|saved| &*saved.version)
    }

    /// Returns the names of the bytes that it may still become.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let tail = self.tail.as_ref().map(|tail| tail.data.clone());
        let parts = self.multipart.as_ref().map(|parts| parts.data.clone());
        tail.into_iter().chain(parts)
    }

    /// Returns the number of bytes that have come.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Takes bytes. What it does not hold on to has been sent.
    pub(crate) async fn append(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.read_tail().await?;
        while !bytes.is_empty() {
            let room = self.part_size()? - self.buffer.len();
            let (fitting, rest) = bytes.split_at(room.min(bytes.len()));
            self.hash.update(fitting);
            self.buffer.extend_from_slice(fitting);
            self.size += fitting.len() as u64;
            bytes = rest;
            if fitting.len() == room {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    /// Has the bucket know everything that has come, so that another process can go on.
    pub(crate) async fn save(&mut self) -> Result<(), Error> {
        self.sent().await?;
        let tail = if self.buffer.is_empty() {
            self.tail.clone()
        } else {
            // A name of its own, so that the old one is whole until nobody asks for it.
            let bytes = Bytes::copy_from_slice(&self.buffer);
            Some(self.put_data(bytes).await?)
        };
        let state = State {
            repository: self.repository.clone(),
            size: self.size,
            hash: self.hash.to_text(),
            multipart: self.multipart.clone(),
            parts: self.parts.clone(),
            tail: tail.clone(),
        };
        let version = self.put_state(&state).await?;
        let before = self.saved.replace(Saved {
            version,
            tail: tail.clone(),
        });
        let before = before.and_then(|before| before.tail);
        if let Some(old) = before.filter(|old| Some(old) != tail.as_ref()) {
            let key = layout::data(&old.data);
            // It has been saved, so that this is no reason to give the upload up.
            if let Err(error) = self.store.client.delete(&key).await {
                tracing::warn!(%error, "what an upload has replaced stays until garbage is collected");
            }
        }
        Ok(())
    }

    /// Makes what has come a blob, under the digest that it must have, or whatever it has.
    pub(crate) async fn store(mut self, expected: Option<Digest>) -> Result<Pushed, Error> {
        let stored = self.try_store(expected).await;
        // What failed in between can be tried again with what the bucket knows.
        let may_go_on = stored.as_ref().is_err_and(Error::is_transient);
        if !may_go_on && let Err(error) = self.discard().await {
            tracing::warn!(%error, "what an upload needed stays until garbage is collected");
        }
        stored
    }

    /// Forgets what has come, here and in the bucket; not there if another process has gone on with
    /// it, or has made it a blob.
    pub(crate) async fn discard(&mut self) -> Result<(), Error> {
        self.sending.shutdown().await;
        if self.is_lost {
            return Ok(());
        }
        let client = &self.store.client;
        // The document goes first: it must not name what is not there.
        if let Some(saved) = self.saved.take() {
            let key = layout::upload(&self.id);
            if !client.delete_if(&key, &saved.version).await? {
                self.is_lost = true;
                self.multipart = None;
                return Ok(());
            }
            if let Some(tail) = saved.tail {
                client.delete(&layout::data(&tail.data)).await?;
            }
        }
        if let Some(multipart) = self.multipart.take() {
            let key = layout::data(&multipart.data);
            client.abort(&key, &multipart.upload).await?;
        }
        Ok(())
    }

    async fn try_store(&mut self, expected: Option<Digest>) -> Result<Pushed, Error> {
        let own = self.hash.digest().ok_or_else(|| {
            Error::malformed(format!("upload to {}", self.repository), "it has no hash")
        })?;
        let digest = expected.unwrap_or(own);
        let is_checked = digest.algorithm() == own.algorithm();
        if is_checked {
            self.check(digest, own)?;
        }
        let pushed = |outcome| Pushed::new(digest, self.size, outcome);
        let (existed, copied) = (pushed(Outcome::Existed), pushed(Outcome::Copied));
        if is_checked {
            if self
                .store
                .linked(&self.repository, &digest)
                .await?
                .is_some()
            {
                return Ok(existed);
            }
            if let Some(stored) = self.elsewhere(&digest).await? {
                self.store.link(&self.repository, &digest, &stored).await?;
                return Ok(copied);
            }
        }
        let (stored, is_own) = self.write().await?;
        if !(is_checked && is_own) {
            let actual = self.hash_again(&stored, digest.algorithm()).await;
            let checked = actual.and_then(|actual| self.check(digest, actual));
            if let Err(error) = checked {
                if is_own {
                    let key = layout::data(&stored.data);
                    self.store.client.delete(&key).await?;
                }
                return Err(error);
            }
        }
        let key = layout::blob(&digest);
        futures::try_join!(
            self.store.write(&key, &stored),
            self.store.link(&self.repository, &digest, &stored)
        )?;
        Ok(copied)
    }

    fn check(&self, expected: Digest, actual: Digest) -> Result<(), Error> {
        if actual == expected {
            return Ok(());
        }
        Err(Error::DigestMismatch {
            what: format!("upload to {}", self.repository),
            expected,
            actual,
        })
    }

    /// Looks whether another repository has the same bytes.
    async fn elsewhere(&self, digest: &Digest) -> Result<Option<Stored>, Error> {
        let found: Option<Stored> = self.store.document(&layout::blob(digest)).await?;
        let Some(stored) = found.filter(|stored| stored.size == self.size) else {
            return Ok(None);
        };
        let head = self.store.client.head(&layout::data(&stored.data)).await?;
        Ok(head
            .is_some_and(|head| head.size == stored.size)
            .then_some(stored))
    }

    /// Writes what has come as one object. Returns where it is, and whether nobody else can have
    /// written it.
    ///
    /// A tail is written again under another name, also where it is all there is: whoever else knows
    /// the document of this upload removes what it names.
    async fn write(&mut self) -> Result<(Stored, bool), Error> {
        self.read_tail().await?;
        if self.multipart.is_none() {
            let bytes = self.buffer.split().freeze();
            return Ok((self.put_data(bytes).await?, true));
        }
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        self.sent().await?;
        let client = &self.store.client;
        let Some(multipart) = &self.multipart else {
            return Err(self.given_up());
        };
        let key = layout::data(&multipart.data);
        let tags = self.parts.iter().map(String::as_str);
        let is_own = client.complete(&key, &multipart.upload, tags).await?;
        let stored = Stored {
            data: multipart.data.clone(),
            size: self.size,
        };
        self.multipart = None;
        let head = client.head(&key).await?;
        if head.is_none_or(|head| head.size != self.size) {
            let reason = "the server has made another size of its parts";
            return Err(Error::malformed(client.what(&key), reason));
        }
        Ok((stored, is_own))
    }

    /// Reads an object to learn its digest.
    async fn hash_again(&self, stored: &Stored, algorithm: HashAlgorithm) -> Result<Digest, Error> {
        let key = layout::data(&stored.data);
        let mut digester = Digester::new(algorithm);
        let mut content = crate::blob::read(&self.store, &key, stored.size);
        while let Some(chunk) = content.next().await? {
            digester.update(&chunk);
        }
        Ok(digester.finish())
    }

    /// Writes bytes under a name of their own.
    async fn put_data(&self, bytes: Bytes) -> Result<Stored, Error> {
        let stored = Stored {
            data: self.new_name()?,
            size: bytes.len() as u64,
        };
        let key = layout::data(&stored.data);
        let always = &Condition::Always;
        let written = self.store.client.put(&key, OCTETS, bytes, always).await?;
        let what = || format!("bucket of {}", self.store.client.what(&key));
        written.ok_or_else(|| Error::not_found(what()))?;
        Ok(stored)
    }

    fn new_name(&self) -> Result<String, Error> {
        Ok(format!("{}-{}", self.id, random()?))
    }

    /// Writes the document, unless another process has done so since it was read.
    async fn put_state(&mut self, state: &State) -> Result<String, Error> {
        let store = &self.store;
        let condition = match &self.saved {
            _ if !store.has_conditional_writes().await? => Condition::Always,
            None => Condition::Absent,
            Some(saved) => Condition::Is(saved.version.clone()),
        };
        let key = layout::upload(&self.id);
        let json = layout::to_json(state)?;
        let written = store.client.put(&key, JSON, json.clone(), &condition);
        if let Some(version) = written.await? {
            return Ok(version);
        }
        // The answer to an attempt that had worked may have been lost.
        match store.client.get(&key, layout::LIMIT).await? {
            Some(now) if now.bytes == json => Ok(now.tag),
            _ => {
                self.is_lost = true;
                Err(Error::Changed {
                    what: format!("upload {} to {}", self.id, self.repository),
                })
            }
        }
    }

    /// Brings the tail back into memory.
    async fn read_tail(&mut self) -> Result<(), Error> {
        let Some(tail) = &self.tail else {
            return Ok(());
        };
        let key = layout::data(&tail.data);
        let client = &self.store.client;
        let object = client.get(&key, tail.size).await?;
        let object = object.filter(|object| object.bytes.len() as u64 == tail.size);
        let object = object.ok_or_else(|| Error::not_found(client.what(&key)))?;
        self.buffer.extend_from_slice(&object.bytes);
        self.tail = None;
        Ok(())
    }

    /// Returns the size of the next part.
    fn part_size(&self) -> Result<usize, Error> {
        let sent = self.parts.len() + self.sending.len();
        let doubled = sent / SAME_SIZE;
        if doubled >= 4 {
            let reason = "it has more parts than S3 takes";
            return Err(Error::malformed(
                format!("upload to {}", self.repository),
                reason,
            ));
        }
        Ok(self.store.part_size << doubled)
    }

    /// Sends what the buffer holds as a part, once the one before has been sent.
    async fn send_part(&mut self) -> Result<(), Error> {
        self.sent().await?;
        let multipart = if let Some(multipart) = &self.multipart {
            multipart.clone()
        } else {
            let data = self.new_name()?;
            let upload = self.store.client.start(&layout::data(&data)).await?;
            self.multipart.insert(Multipart { upload, data }).clone()
        };
        let number = self.parts.len() + 1;
        let bytes = self.buffer.split().freeze();
        let client = self.store.client.clone();
        self.sending.spawn(async move {
            let key = layout::data(&multipart.data);
            client
                .put_part(&key, &multipart.upload, number, bytes)
                .await
        });
        Ok(())
    }

    /// Waits for the part that is under way.
    async fn sent(&mut self) -> Result<(), Error> {
        match self.sending.join_next().await {
            None => Ok(()),
            Some(Ok(part)) => {
                self.parts.push(part?);
                Ok(())
            }
            Some(Err(error)) => match error.try_into_panic() {
                Ok(payload) => std::panic::resume_unwind(payload),
                Err(_) => Err(self.given_up()),
            },
        }
    }

    fn given_up(&self) -> Error {
        Error::Remote {
            what: format!("upload to {}", self.repository),
            reason: "it was given up".to_owned(),
            status: None,
            transient: false,
            source: None,
        }
    }
}

impl Drop for Upload {
    /// Removes the parts of an upload of which the bucket does not know. What a process leaves that
    /// is killed goes when garbage is collected.
    fn drop(&mut self) {
        if self.saved.is_some() {
            return;
        }
        let (Some(multipart), Ok(runtime)) = (self.multipart.take(), Handle::try_current()) else {
            return;
        };
        let client = self.store.client.clone();
        runtime.spawn(async move {
            let key = layout::data(&multipart.data);
            if let Err(error) = client.abort(&key, &multipart.upload).await {
                tracing::warn!(%error, "parts of an upload stay until garbage is collected");
            }
        });
    }
}
