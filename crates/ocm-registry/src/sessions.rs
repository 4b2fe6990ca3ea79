//! Uploads between their requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use ocm_digest::Digest;
use ocm_oci::{BlobUpload, RepositoryName};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::failure::{Chain, Code, Failure, OrFail as _};
use crate::incoming::{Cut, Incoming};
use crate::route::UploadId;

/// The open uploads of a registry: so many at most, and none that nobody asks for any more.
#[derive(Debug)]
pub(crate) struct Sessions {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    idle: Duration,
    open: Mutex<BTreeMap<UploadId, Arc<Session>>>,
    sweeping: AtomicBool,
}

/// Whose an upload is; nobody else finds it, whatever the repositories that they may write to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Owner {
    pub(crate) repository: RepositoryName,
    /// Who has proved to have started it, if anybody had to.
    pub(crate) user: Option<String>,
}

impl Owner {
    /// Returns the name that a store, which knows no users, has for an upload.
    pub(crate) fn name(&self, id: UploadId) -> String {
        match &self.user {
            Some(user) => format!("{id}-{}", &Digest::sha256(user).to_hex()[..16]),
            None => id.to_string(),
        }
    }
}

impl Sessions {
    pub(crate) fn new(limit: usize, idle: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                limit,
                idle,
                open: Mutex::default(),
                sweeping: AtomicBool::new(false),
            }),
        }
    }

    /// Opens an upload.
    pub(crate) fn start(&self, owner: Owner) -> Result<Arc<Session>, Failure> {
        self.open(Session::new(new_id()?, owner, State::New))
    }

    /// Takes an upload in that the store has kept.
    pub(crate) fn resume(
        &self,
        id: UploadId,
        owner: Owner,
        upload: Box<dyn BlobUpload>,
    ) -> Result<Arc<Session>, Failure> {
        let received = upload.size();
        let session = Session::new(id, owner, State::Open(upload));
        session.received.store(received, Ordering::Release);
        self.open(session)
    }

    /// Takes an upload in of which the store knows everything, if it is one.
    pub(crate) fn take_part(&self, id: UploadId, owner: Owner) -> Result<Arc<Session>, Failure> {
        self.open(Session::new(id, owner, State::Stored))
    }

    /// Adds an upload, unless it has been added meanwhile.
    fn open(&self, session: Session) -> Result<Arc<Session>, Failure> {
        let session = Arc::new(session);
        {
            let mut open = self.shared.open();
            if open.len() >= self.shared.limit {
                open.retain(|_, session| !session.is_idle(self.shared.idle));
            }
            if open.len() >= self.shared.limit {
                return Err(Failure::too_many("too many uploads are open"));
            }
            let there = open
                .entry(session.id)
                .or_insert_with(|| Arc::clone(&session));
            if !Arc::ptr_eq(there, &session) {
                let there = Arc::clone(there);
                return if there.owner == session.owner {
                    Ok(there)
                } else {
                    Err(Failure::no_such_upload())
                };
            }
        }
        self.shared.sweep_in_time();
        Ok(session)
    }

    /// Returns an open upload, if it is here.
    pub(crate) fn find(&self, owner: &Owner, id: UploadId) -> Option<Arc<Session>> {
        let mut open = self.shared.open();
        let session = open.get(&id)?;
        if session.is_idle(self.shared.idle) {
            // The store may still have it, and knows nobody then who is at it.
            open.remove(&id);
            return None;
        }
        (session.owner == *owner).then(|| Arc::clone(session))
    }

    /// Forgets an upload of which the store knows everything, once its last request is answered.
    pub(crate) fn leave(&self, session: &Arc<Session>) {
        let mut open = self.shared.open();
        // One is in the map, and one is `session`.
        if Arc::strong_count(session) <= 2 {
            open.remove(&session.id);
        }
    }

    /// Forgets an upload.
    pub(crate) fn remove(&self, id: UploadId) {
        self.shared.open().remove(&id);
    }
}

/// Makes a name for an upload that nobody can guess.
pub(crate) fn new_id() -> Result<UploadId, Failure> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "the system has no random numbers");
        Failure::internal()
    })?;
    Ok(UploadId::from_random(u128::from_ne_bytes(random)))
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, BTreeMap<UploadId, Arc<Session>>> {
        // Each change is one insertion or removal, so the map is whole even where a holder panicked.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that idle uploads go also when no request comes any more. One task does so, as
    /// long as uploads are open.
    fn sweep_in_time(self: &Arc<Self>) {
        if self.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::downgrade(self);
        tokio::spawn(sweep(shared, self.idle));
    }
}

async fn sweep(shared: Weak<Shared>, idle: Duration) {
    loop {
        sleep(idle).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let mut open = shared.open();
        open.retain(|id, session| {
            let keep = !session.is_idle(idle);
            if !keep {
                tracing::info!(%id, repository = %session.owner.repository, "an upload was given up");
            }
            keep
        });
        if open.is_empty() {
            // Under the lock of the map, so that no upload starts in between.
            shared.sweeping.store(false, Ordering::Release);
            return;
        }
    }
}

/// An upload between its requests.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: UploadId,
    pub(crate) owner: Owner,
    received: AtomicU64,
    touched: Mutex<Instant>,
    state: tokio::sync::Mutex<State>,
    /// The number of requests that have wanted to write.
    turns: watch::Sender<u64>,
    /// Whether `received` is what the store has, as long as a request is at it.
    known: watch::Sender<bool>,
}

/// How far an upload is.
#[derive(Debug)]
pub(crate) enum State {
    /// Nothing has arrived.
    New,
    /// Some has arrived.
    Open(Box<dyn BlobUpload>),
    /// How far it is only the store knows: other processes may have gone on with it.
    Stored,
    /// It has been finished, or given up.
    Closed,
}

impl Session {
    fn new(id: UploadId, owner: Owner, state: State) -> Self {
        Self {
            id,
            owner,
            received: AtomicU64::new(0),
            touched: Mutex::new(Instant::now()),
            state: tokio::sync::Mutex::new(state),
            turns: watch::Sender::new(0),
            known: watch::Sender::new(false),
        }
    }

    /// Returns the number of bytes that have been stored.
    pub(crate) fn received(&self) -> u64 {
        self.touch();
        self.received.load(Ordering::Acquire)
    }

    /// Waits for the right to write, and breaks off the request that has it.
    ///
    /// A client sends one request at a time; when it sends another, it has given up the one
    /// before, whose connection may not have noticed.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>, Failure> {
        let watch = self.turns.subscribe();
        let mut number = 0;
        self.turns.send_modify(|turns| {
            *turns += 1;
            number = *turns;
        });
        let state = self.state.lock().await;
        self.granted(state, number, watch)
    }

    /// Waits until it is known how far an upload is of which the store knows everything, or until
    /// nobody is at it; then whoever asks has the right to find out. Breaks nothing off.
    pub(crate) async fn turn_unless_known(&self) -> Result<Option<Turn<'_>>, Failure> {
        let (watch, mut known) = (self.turns.subscribe(), self.known.subscribe());
        let number = *watch.borrow();
        tokio::select! {
            biased;
            state = self.state.lock() => self.granted(state, number, watch).map(Some),
            _ = known.wait_for(|known| *known) => Ok(None),
        }
    }

    fn granted<'a>(
        &'a self,
        state: tokio::sync::MutexGuard<'a, State>,
        number: u64,
        watch: watch::Receiver<u64>,
    ) -> Result<Turn<'a>, Failure> {
        self.touch();
        if matches!(*state, State::Closed) {
            return Err(Failure::no_such_upload());
        }
        Ok(Turn {
            session: self,
            state,
            number,
            watch,
        })
    }

    fn touch(&self) {
        *self.last_touch() = Instant::now();
    }

    fn last_touch(&self) -> MutexGuard<'_, Instant> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether no request has asked for this upload for so long, and none is at it.
    fn is_idle(&self, idle: Duration) -> bool {
        self.last_touch().elapsed() >= idle && self.state.try_lock().is_ok()
    }
}

/// The right to write to an upload.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    session: &'a Session,
    state: tokio::sync::MutexGuard<'a, State>,
    number: u64,
    watch: watch::Receiver<u64>,
}

impl Turn<'_> {
    /// Returns whether nothing has arrived.
    pub(crate) fn is_new(&self) -> bool {
        matches!(*self.state, State::New)
    }

    /// Returns whether the store has given the upload up.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.state, State::Closed)
    }

    /// Sets what takes the bytes.
    pub(crate) fn open(&mut self, upload: Box<dyn BlobUpload>) {
        self.session
            .received
            .store(upload.size(), Ordering::Release);
        *self.state = State::Open(upload);
        self.session.known.send_replace(true);
    }

    /// Takes the word of the store alone for how far the upload is, which is to be asked now.
    pub(crate) fn forget(&mut self) {
        self.session.known.send_replace(false);
        *self.state = State::Stored;
    }

    /// Has the store keep what has arrived.
    pub(crate) async fn save(&mut self) -> Result<(), Failure> {
        let State::Open(upload) = &mut *self.state else {
            return Ok(());
        };
        let saved = upload.save().await;
        if saved.is_err() {
            self.abandon().await;
        }
        saved.or_fail(Code::BlobUploadUnknown)
    }

    /// Gives the upload up, so that it takes no space any more.
    async fn abandon(&mut self) {
        let state = std::mem::replace(&mut *self.state, State::Closed);
        if let State::Open(upload) = state
            && let Err(error) = upload.cancel().await
        {
            let (id, error) = (self.session.id, Chain(&error));
            tracing::warn!(%id, %error, "an upload that was given up may take space");
        }
    }

    /// Ends the upload and returns it as it was.
    pub(crate) fn close(mut self) -> State {
        std::mem::replace(&mut *self.state, State::Closed)
    }

    /// Stores the bytes of a request as they come. What came before a failure is kept.
    pub(crate) async fn append(&mut self, mut incoming: Incoming) -> Result<(), Failure> {
        loop {
            match self.next(&mut incoming).await {
                Ok(Some(chunk)) => self.write(chunk).await?,
                Ok(None) => return Ok(()),
                Err(cut) => {
                    if matches!(cut, Cut::Limit { .. } | Cut::Quota) {
                        // It can never be finished, and takes the space that is missing.
                        self.abandon().await;
                    }
                    return Err(cut.into());
                }
            }
        }
    }

    async fn next(&mut self, incoming: &mut Incoming) -> Result<Option<Bytes>, Cut> {
        let number = self.number;
        tokio::select! {
            biased;
            _ = self.watch.wait_for(|turns| *turns > number) => Err(Cut::TakenOver),
            chunk = incoming.next() => chunk,
        }
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Failure> {
        let State::Open(upload) = &mut *self.state else {
            return Err(Failure::no_such_upload());
        };
        let written = upload.write(chunk).await;
        self.session
            .received
            .store(upload.size(), Ordering::Release);
        self.session.touch();
        if written.is_err() {
            // Of an upload that was not written nobody knows how far it is, and the space that it
            // takes may be what is missing.
            self.abandon().await;
        }
        written.or_fail(Code::BlobUploadUnknown)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures::{StreamExt as _, stream};
    use http::HeaderMap;
    use ocm_oci::{Ingest as _, MemoryStore};
    use tokio::time::advance;

    use super::*;

    const IDLE: Duration = Duration::from_mins(1);

    fn name() -> RepositoryName {
        "a".parse().unwrap()
    }

    fn owner() -> Owner {
        Owner {
            repository: name(),
            user: Some("alice".to_owned()),
        }
    }

    fn count(sessions: &Sessions) -> usize {
        sessions.shared.open().len()
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_upload_is_forgotten() {
        let sessions = Sessions::new(10, IDLE);
        let session = sessions.start(owner()).unwrap();
        advance(IDLE / 2).await;
        assert!(sessions.find(&owner(), session.id).is_some());
        session.received();
        advance(IDLE * 3 / 4).await;
        assert!(sessions.find(&owner(), session.id).is_some());
        advance(IDLE / 4).await;
        assert!(sessions.find(&owner(), session.id).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn idle_uploads_go_without_a_request() {
        let sessions = Sessions::new(10, IDLE);
        for _ in 0..2 {
            sessions.start(owner()).unwrap();
            sleep(IDLE * 3).await;
            assert_eq!(count(&sessions), 0);
            assert!(!sessions.shared.sweeping.load(Ordering::Acquire));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_is_written_to_is_not_idle() {
        let sessions = Sessions::new(10, IDLE);
        let session = sessions.start(owner()).unwrap();
        let turn = session.turn().await.unwrap();
        sleep(IDLE * 3).await;
        assert_eq!(count(&sessions), 1);
        drop(turn);
        sleep(IDLE * 3).await;
        assert_eq!(count(&sessions), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_uploads_is_bounded() {
        let sessions = Sessions::new(2, IDLE);
        let first = sessions.start(owner()).unwrap();
        sessions.start(owner()).unwrap();
        let refused = sessions.start(owner()).unwrap_err();
        assert_eq!(refused.status, 429);
        sessions.remove(first.id);
        sessions.start(owner()).unwrap();
        advance(IDLE).await;
        sessions.start(owner()).unwrap();
    }

    #[tokio::test]
    async fn an_upload_belongs_to_its_repository_and_to_who_started_it() {
        let sessions = Sessions::new(2, IDLE);
        let session = sessions.start(owner()).unwrap();
        let elsewhere = Owner {
            repository: "b".parse().unwrap(),
            ..owner()
        };
        let by_bob = Owner {
            user: Some("bob".to_owned()),
            ..owner()
        };
        let by_nobody = Owner {
            user: None,
            ..owner()
        };
        for other in [elsewhere, by_bob, by_nobody] {
            assert!(sessions.find(&other, session.id).is_none());
            assert!(sessions.take_part(session.id, other).is_err());
        }
        let same = sessions.take_part(session.id, owner()).unwrap();
        assert!(Arc::ptr_eq(&same, &session));
    }

    #[tokio::test]
    async fn a_second_request_takes_over_and_finds_what_the_first_stored() {
        let sessions = Sessions::new(2, IDLE);
        let session = sessions.start(owner()).unwrap();
        let mut first = session.turn().await.unwrap();
        first.open(MemoryStore::new().begin(&name(), "id").await.unwrap());
        let stalled = stream::iter([Ok::<_, std::io::Error>("abc")]).chain(stream::pending());
        let body = Body::from_stream(stalled);
        let stalled = Incoming::new(&HeaderMap::new(), body, IDLE).unwrap();
        let append = async {
            let failure = first.append(stalled).await.unwrap_err();
            drop(first);
            failure
        };
        let second = async {
            while session.received() < 3 {
                tokio::task::yield_now().await;
            }
            let turn = session.turn().await.unwrap();
            match turn.close() {
                State::Open(upload) => upload.size(),
                other => panic!("{other:?}"),
            }
        };
        let (failure, size) = tokio::join!(append, second);
        assert_eq!((failure.status.as_u16(), size), (409, 3));
        assert!(session.turn().await.is_err());
    }
}
