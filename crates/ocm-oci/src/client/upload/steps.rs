//! Uploads in steps, which go on where they were cut (OCI distribution specification, "Pushing a
//! blob in chunks").

use futures::StreamExt as _;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use ocm_blob::{BlobRef, ByteStream};
use ocm_digest::Digest;
use tokio::time::timeout;
use url::Url;

use crate::client::RegistryClient;
use crate::client::body::Outgoing;
use crate::client::checks::WORTH_ASKING;
use crate::client::exchange::Call;
use crate::client::remembered::{Entry, LARGE};
use crate::client::reply::Reply;
use crate::client::retry::Failure;
use crate::client::scope::Scopes;
use crate::client::transport::silence;
use crate::client::upload::{MAX_ANSWER, location_of, pushed, with_query};
use crate::error::Error;
use crate::name::RepositoryName;
use crate::store::{Outcome, Pushed};

/// What the registry must have got since the last failure for the attempts to be counted anew.
const PROGRESS: u64 = 1024 * 1024;

impl RegistryClient {
    /// Begins an upload, or goes on with one, and ends it.
    pub(super) async fn upload_in_steps(
        &self,
        repository: &RepositoryName,
        blob: BlobRef,
    ) -> Result<Pushed, Error> {
        let scopes = Scopes::push(&self.inner.endpoint.path_of(repository));
        let memory = self.remembered(repository, &blob).await;
        let session = memory.as_ref().and_then(|memory| {
            let (start, known) = (self.inner.endpoint.uploads(repository), memory.location()?);
            self.inner.endpoint.follow(&start, known).ok()
        });
        let is_worth_asking =
            blob.digest().is_some() && blob.size().is_some_and(|size| size >= WORTH_ASKING);
        let checked_by = if is_worth_asking && self.checks_content(repository, &scopes).await {
            CheckedBy::Registry
        } else {
            CheckedBy::Client
        };
        let upload = Upload {
            client: self,
            checked_by,
            repository,
            begun_by: match session {
                Some(_) => Process::Earlier,
                None => Process::This,
            },
            memory,
            session,
            what: format!("upload to {}/{repository}", self.inner.endpoint.host()),
            scopes,
            outgoing: Outgoing::new(blob.digest()),
            blob,
            acknowledged: 0,
            has_gained: false,
            has_renewed: false,
            at_once: false,
        };
        upload.run().await
    }

    /// Opens what is remembered of the upload of a large blob.
    async fn remembered(&self, repository: &RepositoryName, blob: &BlobRef) -> Option<Entry> {
        let (digest, size) = (blob.digest()?, blob.size()?);
        let uploads = self.inner.uploads.clone().filter(|_| size >= LARGE)?;
        let endpoint = &self.inner.endpoint;
        let (registry, repository) = (
            endpoint.location(),
            endpoint.path_of(repository).into_owned(),
        );
        let open = move || uploads.open(&registry, &repository, digest);
        tokio::task::spawn_blocking(open).await.ok().flatten()
    }
}

/// A blob that is being sent.
struct Upload<'a> {
    client: &'a RegistryClient,
    repository: &'a RepositoryName,
    blob: BlobRef,
    what: String,
    scopes: Scopes,
    outgoing: Outgoing,
    checked_by: CheckedBy,
    /// Where the registry takes the content.
    session: Option<Url>,
    /// What the next process is told, if this one does not come to an end.
    memory: Option<Entry>,
    begun_by: Process,
    /// How much the registry had when it was asked last.
    acknowledged: u64,
    /// Whether it has got enough since then to be patient again.
    has_gained: bool,
    has_renewed: bool,
    /// Whether the next attempt needs no delay.
    at_once: bool,
}

/// Who finds out whether content is what its digest says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum CheckedBy {
    Client,
    Registry,
}

/// Who has begun an upload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Process {
    This,
    Earlier,
}

impl Upload<'_> {
    async fn run(mut self) -> Result<Pushed, Error> {
        let client = self.client;
        let _turn = client.inner.slots.upload().await;
        let mut backoff = client.inner.retry.start();
        let mut is_repeated = self.begun_by == Process::Earlier;
        loop {
            let failure = match self.attempt(is_repeated).await {
                Ok(pushed) => {
                    if let Some(memory) = self.memory.take() {
                        memory.forget();
                    }
                    return Ok(pushed);
                }
                Err(failure) => failure,
            };
            is_repeated = true;
            if std::mem::take(&mut self.at_once) {
                continue;
            }
            let is_refused = !failure.is_final && !failure.error.is_transient();
            if self.begun_by == Process::Earlier && is_refused {
                // What the other process has sent may be wrong.
                self.abandon().await;
                continue;
            }
            if std::mem::take(&mut self.has_gained) {
                backoff.progress();
            }
            if let Err(error) = client.pause(&mut backoff, failure).await {
                // The next process may have more luck with what a registry has that is away now.
                if self.memory.is_none() || !error.is_transient() {
                    self.abandon().await;
                }
                return Err(error);
            }
        }
    }

    /// Does what is left to do.
    async fn attempt(&mut self, is_repeated: bool) -> Result<Pushed, Failure> {
        let mut offset = 0;
        if is_repeated {
            // The answer may have been lost after the registry had everything.
            if let Some(pushed) = self.find().await? {
                return Ok(pushed);
            }
            offset = self.ask_offset().await?;
        }
        let location = match &self.session {
            Some(location) => location.clone(),
            None => self.begin().await?,
        };
        match (self.digest(), self.size()) {
            (Some(digest), Some(size)) if offset == size && size > 0 => {
                self.close(digest, size).await
            }
            (Some(digest), Some(size)) if offset == 0 && self.blob.size().is_some() => {
                let url = with_query(location, digest);
                let reply = self.send(Method::PUT, url, 0).await?;
                self.finished(&reply, digest, size)
            }
            _ => {
                let reply = self.send(Method::PATCH, location, offset).await?;
                self.take_session(&reply)?;
                let (digest, size) = self.sent_whole()?;
                self.close(digest, size).await
            }
        }
    }

    /// Starts an upload.
    async fn begin(&mut self) -> Result<Url, Failure> {
        let url = self.client.inner.endpoint.uploads(self.repository);
        let call = self.call(Method::POST, url);
        let reply = self.client.try_call(&call, MAX_ANSWER).await?;
        match reply.status.as_u16() {
            200..300 => {}
            405 | 501 => {
                return Err(Error::ReadOnly {
                    store: self.client.inner.endpoint.location(),
                }
                .into());
            }
            _ => return Err(reply.into_failure(&self.what)),
        }
        self.acknowledged = 0;
        self.begun_by = Process::This;
        self.take_session(&reply)?;
        let missing = || Error::malformed(&self.what, "the answer has no location");
        Ok(self.session.clone().ok_or_else(missing)?)
    }

    /// Sends the content from an offset on.
    async fn send(&mut self, method: Method, url: Url, offset: u64) -> Result<Reply, Failure> {
        let content = self.open(offset).await?;
        let call = self.call(method.clone(), url.clone());
        let proof = self.client.proof(&call).await?;
        let mut headers = self.content_headers(&method, offset);
        if let Some(proof) = &proof {
            headers.insert(AUTHORIZATION, proof.value.clone());
        }
        self.client.inner.truce.over().await;
        let http = &self.client.inner.http;
        let body = self.outgoing.body(content, offset, self.blob.size());
        let answer = http.send_stream(method, url, headers, body, &self.what);
        let answer = self.outgoing.watch(&http.timeouts, answer).await;
        if let Some(error) = self.outgoing.take_error() {
            return Err(Failure::last(Error::blob("read", &self.what, error)));
        }
        let response = answer.map_err(|time| silence(&self.what, time))??;
        let mut reply = Reply::read(http, response, MAX_ANSWER, &self.what).await?;
        reply.with_credentials = proof.as_ref().is_some_and(|proof| proof.with_credentials);
        if reply.status == StatusCode::UNAUTHORIZED && !self.has_renewed {
            self.has_renewed = true;
            let better = self
                .client
                .renew(&call, &reply.url, &reply.headers, proof.as_ref());
            self.at_once = better.await?.is_some();
        }
        self.accept(reply).await
    }

    /// Ends an upload whose content the registry has.
    async fn close(&mut self, digest: Digest, size: u64) -> Result<Pushed, Failure> {
        let location = self.session.clone().ok_or_else(|| self.lost())?;
        let call = self.call(Method::PUT, with_query(location, digest));
        let reply = self.client.try_call(&call, MAX_ANSWER).await?;
        let reply = self.accept(reply).await?;
        self.finished(&reply, digest, size)
    }

    /// Tells an answer that goes on from one that does not.
    async fn accept(&mut self, reply: Reply) -> Result<Reply, Failure> {
        if reply.refuses_digest() && self.checked_by == CheckedBy::Registry {
            self.check_here().await?;
        }
        match reply.status.as_u16() {
            200..300 => Ok(reply),
            404 | 416 => {
                self.session = None;
                Err(self.lost().into())
            }
            _ => Err(reply.into_failure(&self.what)),
        }
    }

    fn finished(&self, reply: &Reply, digest: Digest, size: u64) -> Result<Pushed, Failure> {
        // What says that it goes on is no answer to the end of an upload: it may be the one to an
        // earlier request.
        if reply.status == StatusCode::ACCEPTED {
            return Err(self.lost().into());
        }
        let what = self.client.name_blob(self.repository, &digest);
        Ok(pushed(reply, &what, digest, size)?)
    }

    /// Returns the blob if an earlier attempt has finished it.
    async fn find(&self) -> Result<Option<Pushed>, Failure> {
        let (Some(digest), Some(size)) = (self.digest(), self.size()) else {
            return Ok(None);
        };
        let scopes = self.scopes.clone();
        let call = self
            .client
            .blob_call(Method::HEAD, self.repository, &digest, scopes);
        let reply = self.client.try_call(&call, 0).await?;
        Ok(reply
            .status
            .is_success()
            .then_some(Pushed::new(digest, size, Outcome::Copied)))
    }

    /// Asks how much of the content the registry has. An upload that it does not know any more, or
    /// that has gained nothing, is forgotten.
    async fn ask_offset(&mut self) -> Result<u64, Failure> {
        let Some(location) = self.session.clone() else {
            return Ok(0);
        };
        let call = self.call(Method::GET, location);
        let reply = self.client.try_call(&call, MAX_ANSWER).await?;
        let got = acknowledged(reply.header(RANGE.as_str()));
        let fits = |got: &u64| self.size().is_none_or(|size| *got <= size);
        let Some(offset) = got.filter(fits).filter(|_| reply.status.is_success()) else {
            self.abandon().await;
            return Ok(0);
        };
        self.take_session(&reply)?;
        self.has_gained = offset >= self.acknowledged.saturating_add(PROGRESS);
        self.acknowledged = offset;
        Ok(offset)
    }

    /// Tells the registry to drop what it has, which does not matter enough to be an error.
    async fn abandon(&mut self) {
        self.begun_by = Process::This;
        if let Some(memory) = &mut self.memory {
            memory.keep(None);
        }
        if let Some(location) = self.session.take() {
            let call = self.call(Method::DELETE, location);
            let deletion = self.client.try_call(&call, MAX_ANSWER);
            let _ = timeout(self.client.inner.http.timeouts.connect, deletion).await;
        }
    }

    /// Reads the content and checks it, to find out who is to blame for what the registry has got.
    async fn check_here(&self) -> Result<(), Failure> {
        let mut content = self.read(self.blob.open().await)?;
        while let Some(chunk) = content.next().await {
            self.read(chunk)?;
        }
        Ok(())
    }

    async fn open(&self, offset: u64) -> Result<ByteStream, Failure> {
        let opened = match offset {
            0 => match self.checked_by {
                CheckedBy::Client => self.blob.open().await,
                CheckedBy::Registry => self.blob.open_unchecked().await,
            },
            _ => self.blob.open_at(offset).await,
        };
        self.read(opened)
    }

    /// Says of an error that it is in the content.
    fn read<T>(&self, result: Result<T, ocm_blob::Error>) -> Result<T, Failure> {
        result.map_err(|source| Failure::last(Error::blob("read", &self.what, source)))
    }

    fn content_headers(&self, method: &Method, offset: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let media_type = HeaderValue::from_static("application/octet-stream");
        headers.insert(CONTENT_TYPE, media_type);
        if let Some(size) = self.blob.size() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(size - offset));
            if *method == Method::PATCH
                && let Ok(range) = HeaderValue::try_from(format!("{offset}-{}", size - 1))
            {
                headers.insert(CONTENT_RANGE, range);
            }
        }
        headers
    }

    fn take_session(&mut self, reply: &Reply) -> Result<(), Error> {
        if let Some(location) = location_of(&self.client.inner.endpoint, reply)? {
            if let Some(memory) = &mut self.memory {
                memory.keep(Some(&location));
            }
            self.session = Some(location);
        }
        Ok(())
    }

    /// Returns digest and size of content that has passed to its end.
    fn sent_whole(&self) -> Result<(Digest, u64), Error> {
        match (self.digest(), self.size()) {
            (Some(digest), Some(size)) => Ok((digest, size)),
            // The registry answered before it had everything.
            _ => Err(self.lost()),
        }
    }

    fn digest(&self) -> Option<Digest> {
        self.blob.digest().or(self.outgoing.digest())
    }

    fn size(&self) -> Option<u64> {
        self.blob.size().or(self.outgoing.size())
    }

    fn call(&self, method: Method, url: Url) -> Call {
        let path = self.client.inner.endpoint.path_of(self.repository);
        Call::new(method, url, &path, self.scopes.clone(), self.what.clone())
    }

    fn lost(&self) -> Error {
        Error::Remote {
            what: self.what.clone(),
            reason: "the registry does not know the upload any more".to_owned(),
            status: None,
            transient: true,
            source: None,
        }
    }
}

/// Reads how many bytes a registry has: `0-99` is a hundred. `0-0` is one or, at registries that
/// cannot say none, none; since it is not known which, it counts as nothing to go on from.
fn acknowledged(range: Option<&str>) -> Option<u64> {
    let range = range?.trim();
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let (start, end) = range.split_once('-')?;
    let end: u64 = end.trim().parse().ok()?;
    (start.trim() == "0" && end > 0).then(|| end.checked_add(1))?
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_registry_has_is_read() {
        assert_eq!(acknowledged(Some("0-99")), Some(100));
        assert_eq!(acknowledged(Some("bytes=0-99")), Some(100));
        for range in [
            "0-0",
            "1-99",
            "",
            "0",
            "0-",
            "0-x",
            "0-18446744073709551615",
        ] {
            assert_eq!(acknowledged(Some(range)), None, "{range}");
        }
        assert_eq!(acknowledged(None), None);
    }
}
