//! Which resource of the API server a kind is.
//!
//! One [`Mapping`] is shared by everything in a process. It asks for one version of one group at a
//! time, once for all who wait, and remembers the answer. A kind that is missing makes it ask
//! again, though not more often than every [`PAUSE`], so that objects of a kind that never comes
//! cost next to nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResourceList};
use kube::Client;
use kube::core::{ApiResource, GroupVersionKind};
use thiserror::Error as ThisError;
use tokio::time::{Instant, sleep};

use crate::api_error::ApiError;

/// How long an unknown kind is believed to be unknown.
pub const PAUSE: Duration = Duration::from_secs(2);

/// How long a known kind is believed to be as it was. A definition that is replaced by another one
/// of the same name is noticed earlier by whom it fails: see [`Mapping::forget`].
const TRUSTED: Duration = Duration::from_mins(10);

/// Finds resources. Clones share what they know.
#[derive(Clone)]
pub struct Mapping {
    client: Client,
    groups: Arc<Mutex<BTreeMap<GroupVersion, Arc<Group>>>>,
}

/// A kind as the API server serves it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mapped {
    /// How it is addressed.
    pub resource: ApiResource,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

/// A group and its version, such as `apps` and `v1`; the core group is empty.
type GroupVersion = (String, String);

/// What is known of a version of a group. Whoever asks the API server holds the lock.
#[derive(Default)]
struct Group(tokio::sync::Mutex<Option<Known>>);

struct Known {
    kinds: BTreeMap<String, Mapped>,
    /// When the API server was asked.
    since: Instant,
}

impl Mapping {
    /// Knows nothing yet.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            groups: Arc::default(),
        }
    }

    /// Returns what a kind is served as, or `None` where it is unknown.
    ///
    /// # Errors
    ///
    /// The API server cannot be asked.
    pub async fn find(&self, kind: &GroupVersionKind) -> Result<Option<Mapped>, Error> {
        let group = self.group(&kind.group, &kind.version);
        let mut known = group.0.lock().await;
        if let Some(known) = &*known {
            let found = known.kinds.get(&kind.kind);
            let trusted = if found.is_some() { TRUSTED } else { PAUSE };
            if known.since.elapsed() < trusted {
                return Ok(found.cloned());
            }
        }
        let kinds = self.ask(&kind.group, &kind.version).await?;
        let found = kinds.get(&kind.kind).cloned();
        *known = Some(Known {
            kinds,
            since: Instant::now(),
        });
        Ok(found)
    }

    /// Returns what a kind is served as in the version that the API server prefers, or in another
    /// one if it is only there.
    ///
    /// # Errors
    ///
    /// The API server cannot be asked.
    pub async fn find_any_version(&self, group: &str, kind: &str) -> Result<Option<Mapped>, Error> {
        for version in self.versions(group).await? {
            let kind = GroupVersionKind::gvk(group, &version, kind);
            if let Some(found) = self.find(&kind).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Waits until a kind is served that has just been defined. The API server publishes kinds a
    /// moment after their definition is established.
    ///
    /// # Errors
    ///
    /// The API server cannot be asked, or the kind is not there in time.
    pub async fn await_kind(
        &self,
        kind: &GroupVersionKind,
        patience: Duration,
    ) -> Result<Mapped, Error> {
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_millis(10);
        loop {
            self.forget(&kind.group, &kind.version);
            match self.find(kind).await {
                Ok(Some(found)) => return Ok(found),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Ok(None) if Instant::now() >= deadline => {
                    return Err(Error::NotServed {
                        kind: display(kind),
                    });
                }
                Ok(None) | Err(_) => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    /// Forgets a version of a group, of which something known has turned out to be wrong.
    pub fn forget(&self, group: &str, version: &str) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.remove(&(group.to_owned(), version.to_owned()));
    }

    fn group(&self, group: &str, version: &str) -> Arc<Group> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (group.to_owned(), version.to_owned());
        // Manifests may name any number of groups that are not there.
        if groups.len() >= MAX_GROUPS && !groups.contains_key(&key) {
            groups.clear();
        }
        Arc::clone(groups.entry(key).or_default())
    }

    /// The versions of a group, the preferred one first.
    async fn versions(&self, group: &str) -> Result<Vec<String>, Error> {
        if group.is_empty() {
            return Ok(vec!["v1".to_owned()]);
        }
        let answer: Option<APIGroup> = self.get(&format!("/apis/{group}"), group).await?;
        let Some(answer) = answer else {
            return Ok(Vec::new());
        };
        let preferred = answer.preferred_version.map(|it| it.version);
        let others = answer.versions.into_iter().map(|it| it.version);
        let others: Vec<_> = others.filter(|it| Some(it) != preferred.as_ref()).collect();
        Ok(preferred.into_iter().chain(others).collect())
    }

    async fn ask(&self, group: &str, version: &str) -> Result<BTreeMap<String, Mapped>, Error> {
        let (path, api_version) = if group.is_empty() {
            (format!("/api/{version}"), version.to_owned())
        } else {
            (
                format!("/apis/{group}/{version}"),
                format!("{group}/{version}"),
            )
        };
        let answer: Option<APIResourceList> = self.get(&path, &api_version).await?;
        let resources = answer.map(|it| it.resources).unwrap_or_default();
        let resources = resources.into_iter().filter(|it| !it.name.contains('/'));
        let mapped = resources.map(|it| {
            let resource = ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: api_version.clone(),
                kind: it.kind.clone(),
                plural: it.name,
            };
            let namespaced = it.namespaced;
            let mapped = Mapped {
                resource,
                namespaced,
            };
            (it.kind, mapped)
        });
        Ok(mapped.collect())
    }

    /// Asks for a document of the discovery; `None` if there is none.
    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        asked: &str,
    ) -> Result<Option<T>, Error> {
        let failed = |source: ApiError| Error::Discovery {
            asked: asked.to_owned(),
            source,
        };
        let request = http::Request::get(path).body(Vec::new());
        let request = request.map_err(|error| failed(kube::Error::HttpError(error).into()))?;
        match self.client.request(request).await.map_err(ApiError::from) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

/// How many versions of groups are remembered.
const MAX_GROUPS: usize = 1024;

/// Writes a kind as `v1 ConfigMap`, `apps/v1 Deployment`.
pub fn display(kind: &GroupVersionKind) -> String {
    format!("{} {}", kind.api_version(), kind.kind)
}

/// Why a kind could not be looked up.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The API server cannot be asked.
    #[error("cannot look up the kinds of `{asked}`")]
    Discovery {
        /// The group and its version.
        asked: String,
        /// What came instead.
        source: ApiError,
    },
    /// A kind did not come in time.
    #[error("the API server does not serve {kind}")]
    NotServed {
        /// The kind.
        kind: String,
    },
}

#[cfg(test)]
mod tests {
    use kube::Config;

    use super::*;

    #[tokio::test]
    async fn what_is_known_stays_known_however_much_that_is_and_has_a_bound() {
        // Nobody is asked anything.
        let config = Config::new("http://localhost:1".parse().expect("an address"));
        let mapping = Mapping::new(Client::try_from(config).expect("a client"));
        let names: Vec<_> = (0..MAX_GROUPS).map(|it| format!("{it}.acme.org")).collect();
        for name in &names {
            mapping.group(name, "v1");
        }
        let known = |mapping: &Mapping| mapping.groups.lock().expect("groups").len();
        let first = mapping.group(&names[0], "v1");
        assert!(Arc::ptr_eq(&first, &mapping.group(&names[0], "v1")));
        assert_eq!(known(&mapping), MAX_GROUPS);
        mapping.group("one.more", "v1");
        assert_eq!(known(&mapping), 1);
    }
}
