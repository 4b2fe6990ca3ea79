//! One service that asks repositories for all reconcilers.
//!
//! Who wants something gets a [`Ticket`]: what several want at the same time is asked for once, and
//! what is known already is there at once. What was read is kept, within a bound of bytes. After a
//! while the next one who wants it has it looked at again, for which one request is enough where
//! nothing has changed; meanwhile, and where the registry does not answer, what is known still
//! counts.
//!
//! A registry that hangs takes the turns that are its own, and no others.

mod cache;
mod content;
mod content_error;
mod error;
mod flight;
mod key;
mod numbers;
mod place;
mod reachable;
mod turns;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ocm::blob::Bytes;
use ocm::model::{
    ComponentName, ComponentVersionId, Descriptor, DigestSpec, NormalisationAlgorithm, Version,
};
use ocm::repository::RepositoryRef;
use ocm::transfer::Resolver as _;
use ocm::{Ocm, Timestamp, Use, VerifyOptions};
use ocm_kube::metrics::Metrics;
use tokio::time::{Instant, timeout};

use self::cache::Cache;
use self::flight::Flights;
use self::key::{Key, KeyBuilder};
use self::numbers::Numbers;
use self::place::Places;
use self::turns::Turns;
use crate::keys::Verifying;

pub use self::content::{Pinned, WantedContent};
pub use self::content_error::ContentError;
pub use self::error::Error;
pub use self::flight::{Outcome, Ticket};
pub use self::place::Place;
pub use self::reachable::Unreachable;

/// What a descriptor needs beside its text: in memory it is larger.
const FACTOR: usize = 3;

/// How many bytes of versions are kept, and what one needs beside its text.
const LISTS: usize = 4 << 20;
const VERSION_SIZE: usize = 128;

/// How many bytes are kept of what resources are.
const PINS: usize = 4 << 20;

/// What the service may use.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many bytes of component descriptors are kept.
    pub cache_bytes: usize,
    /// How many bytes of content of resources are kept.
    pub content_bytes: usize,
    /// Of how many resources the content is kept.
    pub contents: usize,
    /// How long what was read counts without being looked at again.
    pub fresh_for: Duration,
    /// How long an outcome, also a failure, is there for those who were told to come back for it,
    /// and for who asks the same meanwhile.
    pub kept_for: Duration,
    /// How many requests of one configuration to one registry are worked on at a time.
    pub turns: usize,
    /// How long one of them may take.
    pub time_limit: Duration,
    /// The directory below which archives may be read; without it none may.
    pub archives: Option<PathBuf>,
    /// Tells the time, as of which certificates are judged.
    pub clock: fn() -> Timestamp,
    /// Where numbers about the work go.
    pub metrics: Metrics,
}

impl Options {
    /// Returns the usual bounds.
    pub fn new(clock: fn() -> Timestamp) -> Self {
        Self {
            cache_bytes: 24 << 20,
            content_bytes: 16 << 20,
            contents: 1000,
            fresh_for: Duration::from_mins(30),
            kept_for: Duration::from_secs(3),
            turns: 10,
            time_limit: Duration::from_mins(2),
            archives: None,
            clock,
            metrics: Metrics::default(),
        }
    }
}

/// A component version that somebody wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where it is, and who reads it with which configuration.
    pub place: Place,
    /// Which one.
    pub id: ComponentVersionId,
    /// The signatures that must hold: all of them.
    pub verifying: Vec<Verifying>,
    /// The digest that a reference states for it.
    pub digest: Option<DigestSpec>,
}

/// A component version that was read and verified.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its descriptor.
    pub descriptor: Arc<Descriptor>,
    /// The digest of the descriptor, normalised by `jsonNormalisation/v4alpha1`.
    pub digest: DigestSpec,
    /// What its signatures do not cover, if that is something.
    pub not_digestible: Option<Arc<str>>,
    /// The repository that has it.
    pub repository: RepositoryRef,
    /// The session that reads there. The repository finds no credentials without it.
    pub session: Ocm,
    /// Why it could not be looked at again. What was read before counts on.
    pub stale: Option<Arc<Error>>,
    stored: ocm::digest::Digest,
}

/// The versions of a component that a repository has.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The versions.
    pub versions: Arc<[Version]>,
    /// Why they could not be listed again. Those of before count on.
    pub stale: Option<Arc<Error>>,
}

/// The service. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Resolutions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    numbers: Numbers,
    places: Places,
    turns: Turns,
    cache: Cache<Resolved>,
    pins: Cache<Pinned>,
    contents: Cache<Bytes>,
    components: Flights<Resolved>,
    pinning: Flights<Pinned>,
    reading: Flights<Bytes>,
    versions: Flights<Listed>,
    lists: Cache<Arc<[Version]>>,
    reached: Flights<()>,
}

impl Resolutions {
    /// Starts with nothing.
    pub fn new(options: Options) -> Self {
        let numbers = Numbers::new(&options.metrics);
        let contents = Cache::with_number(options.content_bytes, options.contents);
        Self(Arc::new(Inner {
            places: Places::new(options.archives.clone()),
            turns: Turns::new(options.turns),
            cache: Cache::new(options.cache_bytes),
            pins: Cache::new(PINS),
            contents: contents.counted(numbers.contents().clone()),
            components: Flights::new(options.kept_for),
            pinning: Flights::new(options.kept_for),
            reading: Flights::new(options.kept_for),
            versions: Flights::new(options.kept_for),
            lists: Cache::new(LISTS),
            reached: Flights::new(options.kept_for),
            numbers,
            options,
        }))
    }

    /// Reads and verifies a component version.
    pub fn component_version(&self, wanted: &Wanted) -> Ticket<Resolved> {
        let key = wanted.key();
        if let Some(known) = self.0.cache.fresh(&key, self.0.options.fresh_for) {
            self.0.numbers.hit(wanted);
            return Ticket::there(Ok(known));
        }
        let (inner, wanted) = (Arc::clone(&self.0), wanted.clone());
        self.0.components.join(key, async move {
            inner.numbers.missed(&wanted);
            let what = wanted.id.to_string();
            let work = async {
                let started = Instant::now();
                let resolved = inner.resolve(&wanted, key).await;
                inner.numbers.took(&wanted, started.elapsed());
                resolved
            };
            inner.in_turn(&wanted.place, what, work).await
        })
    }

    /// Lists the versions of a component. While they cannot be listed, those of before count on.
    pub fn versions(&self, place: &Place, component: &ComponentName) -> Ticket<Listed> {
        let mut key = KeyBuilder::new("versions");
        place.add_to(&mut key);
        key.add(component.as_str());
        let (inner, place, component) = (Arc::clone(&self.0), place.clone(), component.clone());
        let key = key.finish();
        self.0.versions.join(key, async move {
            let what = component.to_string();
            let work = inner.list(&place, &component);
            let outcome = inner.in_turn(&place, what, work).await;
            inner.listed(key, outcome)
        })
    }

    /// Opens a repository for reading or writing, with the session of its configuration.
    ///
    /// # Errors
    ///
    /// There is no repository, or it may not be opened.
    pub async fn open(&self, place: &Place, usage: Use) -> Result<(Ocm, RepositoryRef), Error> {
        let session = self.0.places.session(&place.config);
        let repository = self.0.places.open(&session, place, usage).await?;
        Ok((session, repository))
    }

    /// Asks whether a repository answers.
    pub fn reach(&self, place: &Place) -> Ticket<()> {
        let mut key = KeyBuilder::new("reach");
        place.add_to(&mut key);
        let (inner, place) = (Arc::clone(&self.0), place.clone());
        self.0.reached.join(key.finish(), async move {
            let what = place.repository.to_string();
            let work = async {
                inner.places.check(&place.repository).await?;
                let session = inner.places.session(&place.config);
                let reached = session.reach(&place.repository).await;
                reached.map_err(|source| Error::repository(&place.repository, source))
            };
            inner.in_turn(&place, what, work).await
        })
    }
}

impl Inner {
    /// Does something when it is the turn of its registry, and not for ever.
    async fn in_turn<T>(
        &self,
        place: &Place,
        what: String,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Outcome<T> {
        let limit = self.options.time_limit;
        self.in_turn_for(place, what, limit, work).await
    }

    /// Does something when it is the turn of its registry, in so much time.
    async fn in_turn_for<T>(
        &self,
        place: &Place,
        what: String,
        limit: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Outcome<T> {
        let waiting = self.numbers.waiting();
        let _turn = self.turns.take(&place.config.hash, &place.host()).await;
        drop(waiting);
        let _working = self.numbers.working();
        match timeout(limit, work).await {
            Ok(outcome) => outcome.map_err(Arc::new),
            Err(_) => Err(Arc::new(Error::Late { what, limit })),
        }
    }

    async fn resolve(&self, wanted: &Wanted, key: Key) -> Result<Resolved, Error> {
        if let Some(known) = self.cache.fresh(&key, self.options.fresh_for) {
            return Ok(known);
        }
        let known = self.cache.known(&key);
        if let Some(known) = &known {
            match self.is_unchanged(wanted, known).await {
                Ok(true) => {
                    // Keys and certificates may have expired since.
                    self.verify(wanted, &known.session, &known.descriptor)
                        .await?;
                    self.cache.confirm(&key);
                    return Ok(known.clone());
                }
                Ok(false) => {}
                Err(error) if error.is_transient() => {
                    return self.stale(wanted, known, error).await;
                }
                Err(error) => {
                    self.cache.forget(&key);
                    return Err(error);
                }
            }
        }
        let (resolved, size) = match (self.read(wanted).await, &known) {
            (Ok(read), _) => read,
            (Err(error), Some(known)) if error.is_transient() => {
                return self.stale(wanted, known, error).await;
            }
            (Err(error), _) => {
                if !error.is_transient() {
                    self.cache.forget(&key);
                }
                return Err(error);
            }
        };
        self.cache
            .put(key, resolved.clone(), size.saturating_mul(FACTOR));
        Ok(resolved)
    }

    /// Returns what was read before, as nothing can be read now. Keys and certificates may have
    /// expired since.
    async fn stale(
        &self,
        wanted: &Wanted,
        known: &Resolved,
        error: Error,
    ) -> Result<Resolved, Error> {
        self.verify(wanted, &known.session, &known.descriptor)
            .await?;
        let stale = Some(Arc::new(error));
        Ok(Resolved {
            stale,
            ..known.clone()
        })
    }

    /// Tells whether what is stored is still what was read. A registry that does not answer has half
    /// of the time, so that what was read before is of use.
    async fn is_unchanged(&self, wanted: &Wanted, known: &Resolved) -> Result<bool, Error> {
        let limit = self.options.time_limit / 2;
        let asked = timeout(limit, known.repository.stored_digest(&wanted.id)).await;
        let stored = asked.map_err(|_| Error::Late {
            what: wanted.id.to_string(),
            limit,
        })?;
        let stored = stored.map_err(|source| Error::read(&wanted.id, source))?;
        Ok(stored == Some(known.stored))
    }

    /// Reads a component version, and returns it with its size in bytes.
    async fn read(&self, wanted: &Wanted) -> Result<(Resolved, usize), Error> {
        let id = &wanted.id;
        let session = self.places.session(&wanted.place.config);
        let base = self.places.open(&session, &wanted.place, Use::Read).await?;
        let configured = |source| Error::repository(&wanted.place.repository, source);
        let resolvers = session.resolvers(&base).await.map_err(configured)?;
        // Where the configuration says, and else in the repository.
        let elsewhere = resolvers.repository(id).await;
        let elsewhere = elsewhere.map_err(|source| Error::read(id, source))?;
        let repository = elsewhere.unwrap_or(base);
        let stored = repository.component_version(id).await;
        let stored = stored.map_err(|source| Error::read(id, source))?;
        self.verify(wanted, &session, &stored.descriptor).await?;
        let size = stored.descriptor.write_json().len();
        let normalised = stored
            .descriptor
            .normalise(NormalisationAlgorithm::JsonV4Alpha1);
        let not_digestible = stored.descriptor.check_digestible().err();
        let resolved = Resolved {
            digest: normalised.digest_spec(ocm::digest::HashAlgorithm::Sha256),
            not_digestible: not_digestible.map(|error| error.to_string().into()),
            descriptor: Arc::new(stored.descriptor),
            repository,
            session,
            stale: None,
            stored: stored.stored_digest,
        };
        Ok((resolved, size))
    }

    /// Checks the digest that a reference states, and each signature that must hold.
    ///
    /// Signatures are looked at also where something is not covered by them: who has changed
    /// what is covered must not get by with that.
    async fn verify(
        &self,
        wanted: &Wanted,
        session: &Ocm,
        descriptor: &Descriptor,
    ) -> Result<(), Error> {
        let id = &wanted.id;
        if let Some(stated) = &wanted.digest {
            check_digest(id, descriptor, stated)?;
        }
        for Verifying { signature, key } in &wanted.verifying {
            if descriptor.signature(signature).is_none() {
                return Err(Error::NoSignature {
                    signature: signature.clone(),
                    id: id.clone(),
                });
            }
            let options = VerifyOptions {
                signatures: vec![signature.clone()],
                ..VerifyOptions::with_key(key.clone(), (self.options.clock)())
            };
            let verified = session.verify_signatures(descriptor, &options).await;
            verified.map_err(|source| Error::Signature {
                signature: signature.clone(),
                source: Box::new(source),
            })?;
        }
        Ok(())
    }

    /// Keeps a list. Where there is none for now, the one before counts on.
    fn listed(&self, key: Key, outcome: Outcome<Arc<[Version]>>) -> Outcome<Listed> {
        match outcome {
            Ok(versions) => {
                let size = versions.iter().map(|it| it.as_str().len() + VERSION_SIZE);
                self.lists.put(key, Arc::clone(&versions), size.sum());
                Ok(Listed {
                    versions,
                    stale: None,
                })
            }
            Err(error) if error.is_transient() => match self.lists.known(&key) {
                Some(versions) => Ok(Listed {
                    versions,
                    stale: Some(error),
                }),
                None => Err(error),
            },
            Err(error) => {
                self.lists.forget(&key);
                Err(error)
            }
        }
    }

    async fn list(&self, place: &Place, name: &ComponentName) -> Result<Arc<[Version]>, Error> {
        let session = self.places.session(&place.config);
        let base = self.places.open(&session, place, Use::Read).await?;
        let configured = |source| Error::repository(&place.repository, source);
        let resolvers = session.resolvers(&base).await.map_err(configured)?;
        let elsewhere = ocm::constructor::build::Resolver::repositories(&resolvers, name).await;
        let elsewhere = elsewhere.map_err(|source| Error::list(name, source))?;
        for repository in elsewhere {
            match repository.versions(name).await {
                Ok(versions) if !versions.is_empty() => return Ok(versions.into()),
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(source) => return Err(Error::list(name, source)),
            }
        }
        let versions = base.versions(name).await;
        Ok(versions.map_err(|source| Error::list(name, source))?.into())
    }
}

/// Compares the digest of a descriptor with the one that is stated for it.
fn check_digest(
    id: &ComponentVersionId,
    descriptor: &Descriptor,
    stated: &DigestSpec,
) -> Result<(), Error> {
    let unknown = || Error::UnknownDigest {
        id: id.clone(),
        normalisation: stated.normalisation_algorithm.clone(),
        hash: stated.hash_algorithm.clone(),
    };
    let normalisation = stated.normalisation_algorithm.parse();
    let normalisation: NormalisationAlgorithm = normalisation.map_err(|_| unknown())?;
    let hash = stated.algorithm().ok_or_else(unknown)?;
    let candidates = descriptor.normalise_candidates(normalisation);
    let mut digests = candidates.iter().map(|it| it.digest(hash).to_hex());
    if digests.any(|digest| digest.eq_ignore_ascii_case(&stated.value)) {
        return Ok(());
    }
    Err(Error::Digest {
        id: id.clone(),
        stated: stated.value.clone(),
        computed: descriptor.normalise(normalisation).digest(hash).to_hex(),
    })
}

impl Wanted {
    /// Names what is wanted by everything that the answer depends on.
    fn key(&self) -> Key {
        let mut key = KeyBuilder::new("component version");
        self.place.add_to(&mut key);
        key.add(self.id.name.as_str());
        key.add(self.id.version.as_str());
        let mut verifying: Vec<_> = self.verifying.iter().collect();
        verifying.sort_by(|a, b| {
            let (left, right) = (a.key.bytes.expose(), b.key.bytes.expose());
            (&a.signature, left).cmp(&(&b.signature, right))
        });
        key.count(verifying.len());
        for Verifying { signature, key: it } in verifying {
            key.add(signature);
            key.add(it.bytes.expose());
        }
        let digest = self.digest.iter();
        key.count(digest.len());
        for digest in digest {
            key.add(&digest.hash_algorithm);
            key.add(&digest.normalisation_algorithm);
            key.add(&digest.value);
        }
        key.finish()
    }
}

#[cfg(test)]
mod tests;
