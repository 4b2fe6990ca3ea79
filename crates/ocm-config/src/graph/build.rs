//! From `credentials.config.ocm.software` to the graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CredentialGraph, Indirect, Node, Plugins, Store, StoreKind};
use crate::config::Config;
use crate::credentials::{Bases, Credentials, is_known_type};
use crate::docker::DockerRepository;
use crate::document::{Error, Warning};
use crate::environment::Environment;
use crate::identity::ConsumerIdentity;
use crate::location::Location;
use crate::node::Node as Part;
use crate::typed;

/// The type of the entries that say something about credentials.
const TYPE: &str = "credentials.config.ocm.software";

/// The variable that keeps Docker's configuration out unless it is configured.
const NO_DEFAULT: &str = "OCM_DISABLE_AUTO_CONFIG";

pub(super) fn build(config: &Config, env: &Environment, plugins: &Plugins) -> CredentialGraph {
    let mut builder = Builder {
        plugins,
        drafts: Vec::new(),
        index: BTreeMap::new(),
        stores: Vec::new(),
        warnings: Vec::new(),
    };
    for (rank, document) in config.documents().iter().rev().enumerate() {
        let bases = Arc::new(Bases::new(env, document.origin()));
        let base = Base { rank, bases };
        for entry in document
            .entries()
            .iter()
            .filter(|entry| entry.name() == TYPE)
        {
            builder.each(&entry.node(), "consumers", |builder, part| {
                builder.consumer(part, &base)
            });
            builder.each(&entry.node(), "repositories", |builder, part| {
                builder.repository(part, &base)
            });
        }
    }
    if !builder.has_default_store() && !env.is_on(NO_DEFAULT) {
        builder.stores.push(Store {
            kind: StoreKind::Docker(DockerRepository::Default),
            configured: None,
        });
    }
    CredentialGraph {
        nodes: builder.drafts.into_iter().map(Draft::finish).collect(),
        stores: builder.stores,
        env: env.clone(),
        warnings: builder.warnings,
    }
}

struct Builder<'a> {
    plugins: &'a Plugins,
    drafts: Vec<Draft>,
    index: BTreeMap<ConsumerIdentity, usize>,
    stores: Vec<Store>,
    warnings: Vec<Warning>,
}

/// The document that something stands in.
struct Base {
    /// How many stronger documents there are.
    rank: usize,
    bases: Arc<Bases>,
}

/// A consumer before all documents are read.
struct Draft {
    identity: ConsumerIdentity,
    location: Location,
    /// What each document says, the strongest first.
    stated: Vec<(usize, Stated)>,
}

/// The credentials of one consumer in one document.
#[derive(Clone, Default)]
struct Stated {
    direct: Option<Credentials>,
    indirect: Vec<Indirect>,
}

impl Builder<'_> {
    /// Reads the elements of a list, and leaves out with a warning what is malformed.
    fn each(
        &mut self,
        node: &Part<'_>,
        list: &str,
        read: impl Fn(&mut Self, &Part<'_>) -> Result<(), Error>,
    ) {
        let parts = node.items(list).unwrap_or_else(|error| {
            self.skip(&error);
            Vec::new()
        });
        for part in parts {
            if let Err(error) = read(self, &part) {
                self.skip(&error);
            }
        }
    }

    fn skip(&mut self, error: &Error) {
        self.warnings.push(Warning::Skipped {
            reason: error.to_string(),
        });
    }

    fn consumer(&mut self, part: &Part<'_>, base: &Base) -> Result<(), Error> {
        let mut identities = part.items("identities")?;
        identities.extend(part.get("identity"));
        if identities.is_empty() {
            return Err(part.missing("identity"));
        }
        let stated = self.credentials(part, base)?;
        for identity in identities {
            let location = identity.source.locate(&identity.place);
            let draft = self.draft(read_identity(&identity)?, location);
            match draft.stated.last_mut() {
                Some((rank, own)) if *rank == base.rank => own.add(stated.clone()),
                _ => draft.stated.push((base.rank, stated.clone())),
            }
        }
        Ok(())
    }

    /// Returns the consumer with an identity, a new one if need be.
    fn draft(&mut self, identity: ConsumerIdentity, location: Location) -> &mut Draft {
        let next = self.drafts.len();
        let index = *self.index.entry(identity.clone()).or_insert(next);
        if index == next {
            self.drafts.push(Draft {
                identity,
                location,
                stated: Vec::new(),
            });
        }
        &mut self.drafts[index]
    }

    /// Reads the credentials of a consumer, without those of unknown types.
    fn credentials(&mut self, part: &Part<'_>, base: &Base) -> Result<Stated, Error> {
        let mut stated = Stated::default();
        for item in part.items("credentials")? {
            item.object()?;
            let kind = item.require("type")?.text()?;
            if let Some(plugin) = self.plugins.plugin(kind) {
                stated.indirect.push(Indirect {
                    plugin: Arc::clone(plugin),
                    spec: item.value.clone(),
                    bases: Arc::clone(&base.bases),
                });
            } else if is_known_type(kind) || self.plugins.has_credential_type(kind) {
                let credentials = Credentials::from_value(item.value)
                    .ok_or_else(|| item.invalid("`properties` is not an object"))?;
                stated.add_direct(credentials.with_bases(Arc::clone(&base.bases)));
            } else {
                self.warnings.push(Warning::UnknownCredentialType {
                    at: item.source.locate(&item.place),
                    kind: kind.to_owned(),
                });
            }
        }
        Ok(stated)
    }

    fn repository(&mut self, part: &Part<'_>, base: &Base) -> Result<(), Error> {
        let spec = part.require("repository")?;
        spec.object()?;
        let kind = spec.require("type")?.text()?;
        let at = spec.source.locate(&spec.place);
        let Some(kind) = self.store(&spec, kind, base)? else {
            let kind = kind.to_owned();
            self.warnings
                .push(Warning::UnknownRepositoryType { at, kind });
            return Ok(());
        };
        self.stores.push(Store {
            kind,
            configured: Some(at),
        });
        Ok(())
    }

    fn store(&self, spec: &Part<'_>, kind: &str, base: &Base) -> Result<Option<StoreKind>, Error> {
        if let Some(store) = self.plugins.store(kind) {
            return Ok(Some(StoreKind::Foreign {
                store: Arc::clone(store),
                spec: spec.value.clone(),
            }));
        }
        if typed::name(kind) != DockerRepository::TYPE {
            return Ok(None);
        }
        let docker = DockerRepository::read(spec, Arc::clone(&base.bases))?;
        Ok(Some(StoreKind::Docker(docker)))
    }

    fn has_default_store(&self) -> bool {
        self.stores
            .iter()
            .any(|store| matches!(&store.kind, StoreKind::Docker(DockerRepository::Default)))
    }
}

impl Draft {
    /// Puts together what the documents say.
    ///
    /// Properties are merged, those of stronger documents win. Otherwise the strongest document
    /// that says anything counts alone.
    fn finish(self) -> Node {
        let said = self.stated.into_iter().map(|(_, stated)| stated);
        let mut said = said.filter(|stated| stated.direct.is_some() || !stated.indirect.is_empty());
        let Stated {
            mut direct,
            indirect,
        } = said.next().unwrap_or_default();
        for weaker in said.filter_map(|stated| stated.direct) {
            direct = direct.map(|own| {
                if own.is_untyped() && weaker.is_untyped() {
                    weaker.overridden_by(own)
                } else {
                    own
                }
            });
        }
        Node {
            identity: self.identity,
            location: self.location,
            direct,
            indirect,
        }
    }
}

impl Stated {
    fn add(&mut self, further: Self) {
        self.indirect.extend(further.indirect);
        if let Some(direct) = further.direct {
            self.add_direct(direct);
        }
    }

    /// Takes further credentials in: typed ones beat untyped ones, the first typed ones count, and
    /// of untyped ones the last value of a property.
    fn add_direct(&mut self, further: Credentials) {
        self.direct = Some(match self.direct.take() {
            Some(own) if !own.is_untyped() => own,
            Some(own) if further.is_untyped() => own.overridden_by(further),
            _ => further,
        });
    }
}

fn read_identity(part: &Part<'_>) -> Result<ConsumerIdentity, Error> {
    let kind = part.require("type")?.text()?;
    let mut identity = ConsumerIdentity::new(kind);
    for (name, _) in part.object()? {
        if let Some(value) = part.get(name).filter(|_| name != "type") {
            identity = identity.with(name, value.scalar()?);
        }
    }
    Ok(identity)
}
