//! Where component versions are, and with which configuration they are read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ocm::model::{RepositorySpec, json};
use ocm::repository::RepositoryRef;
use ocm::{Environment, Ocm, Use};

use super::error::Error;
use super::key::KeyBuilder;
use crate::config::Loaded;

/// How many sessions are kept, with their connections and tokens.
const SESSIONS: usize = 128;

/// A repository, and the configuration with which it is read. Who has the same configuration has
/// the same credentials, and may see the same.
#[derive(Clone, Debug)]
pub struct Place {
    /// The configuration.
    pub config: Loaded,
    /// The repository.
    pub repository: RepositorySpec,
}

impl Place {
    /// Returns the host that is asked.
    pub(super) fn host(&self) -> String {
        match &self.repository {
            RepositorySpec::Oci(oci) => oci.base_url.authority(),
            other => other.to_string(),
        }
    }

    pub(super) fn add_to(&self, key: &mut KeyBuilder) {
        key.add(&self.config.hash);
        key.add(json::canonical(&self.repository.to_spec().into_json()));
    }
}

/// The sessions of configurations, and which repositories may be opened at all.
#[derive(Debug)]
pub(super) struct Places {
    archives: Option<PathBuf>,
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    sessions: BTreeMap<String, (u64, Ocm)>,
    uses: u64,
}

impl Places {
    pub(super) fn new(archives: Option<PathBuf>) -> Self {
        Self {
            archives,
            sessions: Mutex::default(),
        }
    }

    /// Returns the session of a configuration. It sees nothing of the machine.
    pub(super) fn session(&self, config: &Loaded) -> Ocm {
        let mut state = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        state.uses += 1;
        let now = state.uses;
        if let Some((used, session)) = state.sessions.get_mut(&config.hash) {
            *used = now;
            return session.clone();
        }
        if state.sessions.len() >= SESSIONS {
            let oldest = state.sessions.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(hash, _)| hash.clone()) {
                state.sessions.remove(&oldest);
            }
        }
        let documents = Arc::unwrap_or_clone(Arc::clone(&config.config));
        let session = Ocm::with_documents(Environment::default(), documents);
        let entry = (now, session.clone());
        state.sessions.insert(config.hash.clone(), entry);
        session
    }

    /// Opens a repository.
    pub(super) async fn open(
        &self,
        session: &Ocm,
        place: &Place,
        usage: Use,
    ) -> Result<RepositoryRef, Error> {
        self.check(&place.repository).await?;
        let opened = session.open(&place.repository, usage).await;
        opened.map_err(|source| Error::repository(&place.repository, source))
    }

    /// Checks that an archive is where archives may be: who can make an object must not be able to
    /// look around on the machine.
    pub(super) async fn check(&self, repository: &RepositorySpec) -> Result<(), Error> {
        let path = match repository {
            RepositorySpec::Ctf(ctf) => &ctf.path,
            RepositorySpec::ComponentArchive(archive) => &archive.path,
            _ => return Ok(()),
        };
        let refused = || Error::Archive { path: path.clone() };
        let allowed = self.archives.as_ref().ok_or_else(refused)?;
        let allowed = tokio::fs::canonicalize(allowed).await;
        let path = tokio::fs::canonicalize(Path::new(path)).await;
        match (allowed, path) {
            (Ok(allowed), Ok(path)) if path.starts_with(&allowed) => Ok(()),
            _ => Err(refused()),
        }
    }
}
