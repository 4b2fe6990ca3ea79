//! Changes of objects that were applied, told to the owners of these.
//!
//! All owners share one watch for each kind. It starts with the first owner that has objects of the
//! kind and ends with the last one. Watches ask for metadata alone, and keep of each object no more
//! than a digest: what matters is that something was changed by somebody else, not what. A change of
//! the status alone is none, where the kind counts its generations; nor is what the owner has
//! written itself.
//!
//! A watch that fails, as the permission is missing or the kind has gone, is tried again, less and
//! less often, and disturbs no other.

mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, StreamExt as _, stream};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use self::ledger::{Kind, Ledger};

/// An object that has applied others.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Owner {
    /// Its unique identifier.
    pub uid: String,
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// Which objects are watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// A selector that all objects fulfil which owners apply.
    pub selector: String,
    /// The kind of the owners.
    pub owner: OwnerKind,
}

/// A kind of owners. Objects name their owner as their controller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnerKind {
    /// Its group.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Whether owners are in namespaces, those of their objects.
    pub namespaced: bool,
}

/// The watches of all owners. Clones share them.
#[derive(Clone)]
pub struct Watches(Arc<Shared>);

struct Shared {
    client: Client,
    options: Options,
    ledger: Mutex<Ledger>,
    /// Tells that an owner waits to be handed out.
    woken: Notify,
    tasks: Mutex<BTreeMap<Kind, AbortOnDropHandle<()>>>,
}

impl Watches {
    /// Watches nothing yet.
    pub fn new(client: Client, options: Options) -> Self {
        Self(Arc::new(Shared {
            client,
            ledger: Mutex::new(Ledger::new(options.owner.clone())),
            options,
            woken: Notify::new(),
            tasks: Mutex::default(),
        }))
    }

    /// Returns the owners of whose objects some have changed. For one reader; an owner that waits
    /// already is not there twice.
    pub fn changes(&self) -> impl Stream<Item = Owner> + Send + use<> {
        stream::unfold(Arc::clone(&self.0), |shared| async move {
            loop {
                let next = shared.ledger().next();
                if let Some(owner) = next {
                    return Some((owner, shared));
                }
                // Who has been added since has left a permit.
                shared.woken.notified().await;
            }
        })
    }

    /// Begins a pass in which an owner writes objects of these kinds. They are watched from now on,
    /// beside those that it has had before. What changes of its objects during the pass is looked
    /// at when the pass ends.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, in which the watches run.
    pub fn begin(&self, owner: &Owner, kinds: &[ApiResource]) -> Pass {
        self.0.watch(owner, kinds);
        self.0.ledger().hold(owner);
        Pass {
            shared: Arc::clone(&self.0),
            owner: owner.clone(),
            ended: false,
        }
    }

    /// Forgets an owner, and ends the watches that nobody else needs.
    pub fn release(&self, owner_uid: &str) {
        self.0.keep(owner_uid, &BTreeSet::new());
    }

    /// Returns why objects of an owner are not watched at the moment, by kind.
    pub fn problems(&self, owner_uid: &str) -> Vec<(String, String)> {
        self.0.ledger().problems(owner_uid)
    }
}

/// A pass of an owner. Dropping it ends it as one that has written nothing.
pub struct Pass {
    shared: Arc<Shared>,
    owner: Owner,
    ended: bool,
}

impl Pass {
    /// Ends the pass. The owner has objects of these kinds alone, and has left these objects, by
    /// unique identifier and resource version, as it wants them.
    pub fn end<'a>(
        mut self,
        kinds: &[ApiResource],
        left: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        self.ended = true;
        self.shared.watch(&self.owner, kinds);
        self.shared
            .keep(&self.owner.uid, &kinds.iter().map(Kind::of).collect());
        self.shared.ledger().resume(&self.owner, left);
        self.shared.wake();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.ledger().resume(&self.owner, []);
            self.shared.wake();
        }
    }
}

impl Shared {
    fn watch(self: &Arc<Self>, owner: &Owner, kinds: &[ApiResource]) {
        for resource in kinds {
            let kind = Kind::of(resource);
            self.ledger().join(&kind, &owner.uid);
            self.tasks().entry(kind).or_insert_with(|| {
                let run = run(Arc::clone(self), resource.clone());
                AbortOnDropHandle::new(tokio::spawn(run))
            });
        }
    }

    /// Lets an owner have these kinds alone.
    fn keep(&self, owner_uid: &str, kinds: &BTreeSet<Kind>) {
        let mut tasks = self.tasks();
        for unused in self.ledger().leave(owner_uid, kinds) {
            tasks.remove(&unused);
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<Kind, AbortOnDropHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if self.ledger().has_next() {
            self.woken.notify_one();
        }
    }
}

/// Watches one kind until nobody needs it.
async fn run(shared: Arc<Shared>, resource: ApiResource) {
    let kind = Kind::of(&resource);
    let client = shared.client.clone();
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &resource);
    let config = Config::default().labels(&shared.options.selector);
    let mut events = pin!(watcher(api, config).default_backoff());
    // The task must not keep itself alive.
    let shared = {
        let weak = Arc::downgrade(&shared);
        drop(shared);
        weak
    };
    while let Some(event) = events.next().await {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let mut ledger = shared.ledger();
        match event {
            Ok(Event::Init) => ledger.listing(&kind),
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                ledger.seen(&kind, &object.metadata);
            }
            Ok(Event::InitDone) => ledger.listed(&kind),
            Ok(Event::Delete(object)) => ledger.gone(&object.metadata),
            Err(error) => {
                let error = describe(&error);
                tracing::warn!(kind = %resource.kind, group = %resource.group, %error, "cannot watch");
                ledger.failed(&kind, error);
            }
        }
        drop(ledger);
        shared.wake();
    }
}

fn describe(error: &kube::runtime::watcher::Error) -> String {
    use kube::runtime::watcher::Error;
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::WatchError(status) => status.message.clone(),
        _ => "the API server cannot be reached".to_owned(),
    }
}
