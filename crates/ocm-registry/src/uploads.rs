//! Uploads: whole, in chunks, and by mounting.

use std::ops::Deref;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};
use ocm_blob::BlobRef;
use ocm_digest::Digest;
use ocm_oci::{Ingest, Pushed, RepositoryName};

use crate::access::{Action, Rights};
use crate::failure::{Code, Failure, OrFail as _};
use crate::incoming::{Incoming, Passing};
use crate::query::Query;
use crate::range::ChunkRange;
use crate::registry::{Inner, created, insert};
use crate::route::UploadId;
use crate::sessions::{self, Owner, Session, Sessions, State, Turn};

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// From how many bytes on an upload is kept also where its first request is cut off by the end of
/// this process, in bytes. Less is sent again sooner than it is kept.
const WORTH_SAVING: u64 = 1024 * 1024;

/// How many repositories are asked for a blob that a client wants mounted from anywhere.
const MAX_MOUNT_SOURCES: usize = 256;

impl Inner {
    /// Answers the POST that starts an upload, unless it is a mount or holds the whole blob.
    pub(crate) async fn start_upload(
        &self,
        repository: RepositoryName,
        query: &Query,
        rights: &Rights,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Failure> {
        query.check_algorithm()?;
        if let Some(digest) = query.digest("mount")? {
            if self.mount(&repository, query, rights, &digest).await? {
                return Ok(stored(&repository, &digest));
            }
        } else if let Some(digest) = query.digest("digest")? {
            let incoming = self.incoming(headers, body, 0)?;
            let pushed = self.take_whole(&repository, digest, incoming).await?;
            return Ok(stored(&repository, &pushed.digest));
        }
        let session = self.visit(self.sessions.start(owner(&repository, rights))?);
        if session.is_shared {
            // The next request may come to another process.
            let started = self.begin(&session).await;
            started.inspect_err(|_| self.sessions.remove(session.id))?;
        }
        Ok(progress(StatusCode::ACCEPTED, &session))
    }

    pub(crate) async fn upload_status(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        rights: &Rights,
    ) -> Result<Response, Failure> {
        let session = self.session(&owner(repository, rights), id).await?;
        if session.is_shared
            && let Some(turn) = session.turn_unless_known().await?
        {
            self.find_out(&session, turn).await?;
        }
        Ok(progress(StatusCode::NO_CONTENT, &session))
    }

    pub(crate) async fn append_upload(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        rights: &Rights,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Failure> {
        let session = self.session(&owner(repository, rights), id).await?;
        let mut turn = self.turn(&session).await?;
        let incoming = self.next_chunk(&session, headers, body)?;
        self.append(&session, &mut turn, incoming).await?;
        turn.save().await?;
        Ok(progress(StatusCode::ACCEPTED, &session))
    }

    pub(crate) async fn finish_upload(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        rights: &Rights,
        query: &Query,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Failure> {
        let digest = query.digest("digest")?.ok_or_else(|| {
            let message = "an upload ends with the digest of the blob";
            Failure::bad(Code::DigestInvalid, message)
        })?;
        let session = self.session(&owner(repository, rights), id).await?;
        let mut turn = self.turn(&session).await?;
        let incoming = self.next_chunk(&session, headers, body)?;
        if turn.is_new() && self.store.ingest().is_none() {
            turn.close();
            self.sessions.remove(id);
            let pushed = self.take_whole(repository, digest, incoming).await?;
            return Ok(stored(repository, &pushed.digest));
        }
        self.append(&session, &mut turn, incoming).await?;
        let state = turn.close();
        self.sessions.remove(id);
        let State::Open(upload) = state else {
            return Err(Failure::no_such_upload());
        };
        let pushed = upload.finish(digest).await.or_fail(Code::BlobUnknown)?;
        Ok(stored(repository, &pushed.digest))
    }

    pub(crate) async fn cancel_upload(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        rights: &Rights,
    ) -> Result<Response, Failure> {
        let session = self.session(&owner(repository, rights), id).await?;
        let state = self.turn(&session).await?.close();
        self.sessions.remove(id);
        if let State::Open(upload) = state {
            upload.cancel().await.or_fail(Code::BlobUploadUnknown)?;
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    /// Mounts a blob; returns `false` if it is in no repository that may be looked at.
    async fn mount(
        &self,
        repository: &RepositoryName,
        query: &Query,
        rights: &Rights,
        digest: &Digest,
    ) -> Result<bool, Failure> {
        if rights.may(Action::Pull, repository) {
            let there = self.store.stat_blob(repository, digest).await;
            if there.or_fail(Code::BlobUnknown)?.is_some() {
                return Ok(true);
            }
        }
        let sources = match query.from() {
            Some(from) => from.into_iter().collect(),
            None => self.store.repositories().await.unwrap_or_default(),
        };
        let sources = sources.iter().filter(|from| rights.may(Action::Pull, from));
        for from in sources.take(MAX_MOUNT_SOURCES) {
            let mounted = self.store.mount_blob(repository, from, digest).await;
            match mounted {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error).or_fail(Code::BlobUnknown),
            }
        }
        Ok(false)
    }

    /// Stores a blob that comes in one request. It goes through no session and no buffer.
    async fn take_whole(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        mut incoming: Incoming,
    ) -> Result<Pushed, Failure> {
        let Some(ingest) = self.store.ingest() else {
            let blob: BlobRef = Arc::new(Passing::new(incoming, digest));
            let pushed = self.store.push_blob(repository, &blob).await;
            return pushed.or_fail(Code::BlobUnknown);
        };
        let id = sessions::new_id()?.to_string();
        let upload = ingest.begin(repository, &id).await;
        let mut upload = upload.or_fail(Code::BlobUnknown)?;
        while let Some(chunk) = incoming.next().await? {
            let written = upload.write(chunk).await;
            written.or_fail(Code::BlobUnknown)?;
        }
        upload.finish(digest).await.or_fail(Code::BlobUnknown)
    }

    /// Takes the body of a request that holds a blob, after so many bytes of it.
    fn incoming(
        &self,
        headers: &HeaderMap,
        body: Body,
        received: u64,
    ) -> Result<Incoming, Failure> {
        let mut incoming = Incoming::new(headers, body, self.options.body_idle)?;
        if let Some(limit) = self.options.max_blob {
            incoming.limit(limit.saturating_sub(received))?;
        }
        incoming.charge(self.quota.clone());
        Ok(incoming)
    }

    /// Takes the body of a request that continues an upload, and checks that it does.
    fn next_chunk(
        &self,
        session: &Session,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Incoming, Failure> {
        let mut incoming = self.incoming(headers, body, session.received())?;
        let Some(value) = headers.get(header::CONTENT_RANGE) else {
            return Ok(incoming);
        };
        let range = value.to_str().ok().and_then(ChunkRange::parse);
        let range = range.ok_or_else(|| {
            let message = "the content range is not of the form `<first>-<last>`";
            Failure::bad(Code::BlobUploadInvalid, message)
        })?;
        if range.start != session.received() {
            return Err(out_of_order(session, range));
        }
        incoming.expect(range.len)?;
        Ok(incoming)
    }

    async fn append(
        &self,
        session: &Session,
        turn: &mut Turn<'_>,
        incoming: Incoming,
    ) -> Result<(), Failure> {
        if turn.is_new() {
            let id = session.owner.name(session.id);
            let upload = self.ingest()?.begin(&session.owner.repository, &id).await;
            turn.open(upload.or_fail(Code::BlobUnknown)?);
            if incoming.announced().is_none_or(|size| size >= WORTH_SAVING) {
                turn.save().await?;
            }
        }
        let appended = turn.append(incoming).await;
        if turn.is_closed() {
            self.sessions.remove(session.id);
        } else if appended.is_err() {
            // What came before the failure is kept.
            turn.save().await?;
        }
        appended
    }

    /// Has the store know of an upload that is to come.
    async fn begin(&self, session: &Session) -> Result<(), Failure> {
        let id = session.owner.name(session.id);
        let mut turn = session.turn().await?;
        let upload = self.ingest()?.begin(&session.owner.repository, &id).await;
        turn.open(upload.or_fail(Code::BlobUnknown)?);
        turn.save().await
    }

    /// Returns an upload, which may have been until now with another process, or one before this.
    async fn session(&self, owner: &Owner, id: UploadId) -> Result<Visit<'_>, Failure> {
        if let Some(session) = self.sessions.find(owner, id) {
            return Ok(self.visit(session));
        }
        let ingest = self.store.ingest().ok_or_else(Failure::no_such_upload)?;
        let session = if ingest.is_shared() {
            self.sessions.take_part(id, owner.clone())?
        } else {
            let found = ingest.resume(&owner.repository, &owner.name(id)).await;
            let found = found.or_fail(Code::BlobUploadUnknown)?;
            let upload = found.ok_or_else(Failure::no_such_upload)?;
            self.sessions.resume(id, owner.clone(), upload)?
        };
        Ok(self.visit(session))
    }

    fn visit(&self, session: Arc<Session>) -> Visit<'_> {
        Visit {
            sessions: &self.sessions,
            session,
            is_shared: self.shared().is_some(),
        }
    }

    /// Waits for the right to write to an upload, and finds out how far it is.
    async fn turn<'a>(&self, session: &'a Session) -> Result<Turn<'a>, Failure> {
        let turn = session.turn().await?;
        self.find_out(session, turn).await
    }

    /// Asks the store how far an upload is, unless only this process goes on with it.
    async fn find_out<'a>(
        &self,
        session: &Session,
        mut turn: Turn<'a>,
    ) -> Result<Turn<'a>, Failure> {
        let Some(ingest) = self.shared() else {
            return Ok(turn);
        };
        turn.forget();
        let id = session.owner.name(session.id);
        let found = ingest.resume(&session.owner.repository, &id).await;
        if let Some(upload) = found.or_fail(Code::BlobUploadUnknown)? {
            turn.open(upload);
            return Ok(turn);
        }
        turn.close();
        self.sessions.remove(session.id);
        Err(Failure::no_such_upload())
    }

    /// Returns the store if other processes go on with its uploads.
    fn shared(&self) -> Option<&dyn Ingest> {
        self.store.ingest().filter(|ingest| ingest.is_shared())
    }

    fn ingest(&self) -> Result<&dyn Ingest, Failure> {
        self.store.ingest().ok_or_else(|| {
            Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                Code::Unsupported,
                "this registry takes blobs in one piece only",
            )
        })
    }
}

/// A request to an upload.
struct Visit<'a> {
    sessions: &'a Sessions,
    session: Arc<Session>,
    /// Whether the next request may come to another process, so that nothing is to stay here.
    is_shared: bool,
}

impl Deref for Visit<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if self.is_shared {
            self.sessions.leave(&self.session);
        }
    }
}

/// Returns who goes on with an upload to a repository.
fn owner(repository: &RepositoryName, rights: &Rights) -> Owner {
    Owner {
        repository: repository.clone(),
        user: rights.user().map(str::to_owned),
    }
}

fn stored(repository: &RepositoryName, digest: &Digest) -> Response {
    created(&format!("/v2/{repository}/blobs/{digest}"), digest)
}

/// Says how far an upload is and where it goes on.
fn progress(status: StatusCode, session: &Session) -> Response {
    let mut response = status.into_response();
    describe(response.headers_mut(), session);
    response
}

fn describe(headers: &mut HeaderMap, session: &Session) {
    let Session { id, owner, .. } = session;
    let repository = &owner.repository;
    let location = format!("/v2/{repository}/blobs/uploads/{id}");
    insert(headers, header::LOCATION, &location);
    insert(headers, UPLOAD_ID, &id.to_string());
    // The last byte, not the number of bytes: the form has no way to say that there are none.
    let last = session.received().saturating_sub(1);
    insert(headers, header::RANGE, &format!("0-{last}"));
}

fn out_of_order(session: &Session, range: ChunkRange) -> Failure {
    let message = format!(
        "the chunk starts at {}, the upload goes on at {}",
        range.start,
        session.received()
    );
    let mut failure = Failure::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        Code::BlobUploadInvalid,
        message,
    );
    describe(&mut failure.headers, session);
    failure
}
