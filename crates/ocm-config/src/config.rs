//! All documents together: the configuration as commands see it.

use std::path::PathBuf;

use crate::document::{self, ConfigDocument, ConfigEntry, Warning};
use crate::environment::Environment;
use crate::limited;
use crate::location::Origin;
use crate::node::Node;
use crate::search;
use crate::settings::{
    FilesystemConfig, HttpConfig, PrefixResolver, Resolver, SigningConfig, TransferConfig,
};

/// Every document that was found, from weakest to strongest.
///
/// The sections are read when they are asked for, so that a mistake in one of them hurts only who
/// needs it. A list starts with the entries of the strongest document; of single values the
/// strongest wins.
#[derive(Clone, Debug, Default)]
pub struct Config {
    documents: Vec<ConfigDocument>,
    warnings: Vec<Warning>,
}

impl Config {
    /// Puts documents together, the strongest last.
    pub fn new(documents: impl IntoIterator<Item = ConfigDocument>) -> Self {
        let documents: Vec<_> = documents.into_iter().collect();
        let warnings = documents
            .iter()
            .flat_map(ConfigDocument::warnings)
            .cloned()
            .collect();
        Self {
            documents,
            warnings,
        }
    }

    /// Reads the files that [`search::candidates`] finds.
    ///
    /// # Errors
    ///
    /// When a file that somebody named is not there, or any is malformed. A file that was merely
    /// found and cannot be opened is left out with a warning.
    pub async fn load(explicit: &[PathBuf], env: &Environment) -> Result<Self, LoadError> {
        let mut documents = Vec::new();
        let mut skipped = Vec::new();
        for candidate in search::candidates(explicit, env) {
            let origin = Origin::file(candidate.path.clone());
            match limited::read_text_if_there(&candidate.path).await {
                Ok(Some(text)) => documents.push(ConfigDocument::parse(&text, origin)?),
                Ok(None) if candidate.required => {
                    return Err(LoadError::NotFound {
                        path: candidate.path,
                    });
                }
                Ok(None) => {}
                Err(limited::Error::Read { source, .. }) if !candidate.required => {
                    skipped.push(Warning::Unreadable {
                        origin,
                        reason: source.to_string(),
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut config = Self::new(documents);
        config.warnings.extend(skipped);
        Ok(config)
    }

    /// The documents, the strongest last.
    pub fn documents(&self) -> &[ConfigDocument] {
        &self.documents
    }

    /// What was accepted although it looks like a mistake.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns the entries of a type, in any version of it, from weakest to strongest.
    pub fn entries(&self, name: &str) -> impl Iterator<Item = &ConfigEntry> {
        self.documents
            .iter()
            .flat_map(ConfigDocument::entries)
            .filter(move |entry| entry.name() == name)
    }

    /// Returns the entries of a type, the strongest document first, in each as they are written.
    fn entries_strongest_first(&self, name: &str) -> impl Iterator<Item = &ConfigEntry> {
        self.documents
            .iter()
            .rev()
            .flat_map(ConfigDocument::entries)
            .filter(move |entry| entry.name() == name)
    }

    /// Reads `filesystem.config.ocm.software`.
    ///
    /// # Errors
    ///
    /// When an entry is malformed.
    pub fn filesystem(&self) -> Result<FilesystemConfig, document::Error> {
        self.merged(
            FilesystemConfig::TYPE,
            FilesystemConfig::read,
            FilesystemConfig::overridden_by,
        )
    }

    /// Reads `http.config.ocm.software`.
    ///
    /// # Errors
    ///
    /// When an entry is malformed.
    pub fn http(&self) -> Result<HttpConfig, document::Error> {
        self.merged(
            HttpConfig::TYPE,
            HttpConfig::read,
            HttpConfig::overridden_by,
        )
    }

    /// Reads `transfer.config.ocm.software`.
    ///
    /// # Errors
    ///
    /// When an entry is malformed.
    pub fn transfer(&self) -> Result<TransferConfig, document::Error> {
        self.merged(
            TransferConfig::TYPE,
            TransferConfig::read,
            TransferConfig::overridden_by,
        )
    }

    /// Reads `signing.config.ocm.software` for a signature.
    ///
    /// Entries with the name of the signature win over those for all, whatever their documents.
    ///
    /// # Errors
    ///
    /// When an entry is malformed.
    pub fn signing(&self, signature: &str) -> Result<SigningConfig, document::Error> {
        let mut general = SigningConfig::default();
        let mut own = SigningConfig::default();
        for entry in self.entries(SigningConfig::TYPE) {
            let scoped = SigningConfig::read(&entry.node())?;
            match scoped.signature {
                None => general = general.overridden_by(scoped.config),
                Some(name) if name == signature => own = own.overridden_by(scoped.config),
                Some(_) => {}
            }
        }
        Ok(general.overridden_by(own))
    }

    /// Reads `resolvers.config.ocm.software`, in the order in which they are to be tried.
    ///
    /// # Errors
    ///
    /// When an entry is malformed.
    pub fn resolvers(&self) -> Result<Vec<Resolver>, document::Error> {
        self.listed(Resolver::TYPE, Resolver::read_all)
    }

    /// Reads the resolvers of `ocm.config.ocm.software`, in the order in which they are to be
    /// tried: by priority, then as they are written.
    ///
    /// # Errors
    ///
    /// When an entry is malformed.
    pub fn prefix_resolvers(&self) -> Result<Vec<PrefixResolver>, document::Error> {
        let mut all = self.listed(PrefixResolver::TYPE, PrefixResolver::read_all)?;
        all.sort_by_key(|resolver| std::cmp::Reverse(resolver.priority));
        Ok(all)
    }

    fn merged<T: Default>(
        &self,
        name: &str,
        read: impl Fn(&Node<'_>) -> Result<T, document::Error>,
        merge: impl Fn(T, T) -> T,
    ) -> Result<T, document::Error> {
        self.entries(name).try_fold(T::default(), |weaker, entry| {
            Ok(merge(weaker, read(&entry.node())?))
        })
    }

    fn listed<T>(
        &self,
        name: &str,
        read: impl Fn(&Node<'_>) -> Result<Vec<T>, document::Error>,
    ) -> Result<Vec<T>, document::Error> {
        let mut all = Vec::new();
        for entry in self.entries_strongest_first(name) {
            all.extend(read(&entry.node())?);
        }
        Ok(all)
    }
}

/// Why the configuration is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum LoadError {
    /// A file that `--config` or `OCM_CONFIG` names does not exist.
    #[error("configuration file {} does not exist", path.display())]
    NotFound { path: PathBuf },
    /// A file is not read.
    #[error(transparent)]
    File(#[from] limited::Error),
    /// A file is no configuration.
    #[error(transparent)]
    Document(#[from] document::Error),
}
