//! Where the files are that credentials name.

use std::path::PathBuf;

use crate::environment::Environment;
use crate::location::Origin;

/// Where relative paths start: the working directory, then the directory of the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Bases {
    env: Environment,
    config_dir: Option<PathBuf>,
}

impl Bases {
    pub(crate) fn new(env: &Environment, origin: &Origin) -> Self {
        Self {
            // The variables play no part in paths.
            env: Environment {
                vars: std::collections::BTreeMap::new(),
                ..env.clone()
            },
            config_dir: origin.directory().map(ToOwned::to_owned),
        }
    }

    /// Returns the path that exists, or the one in the working directory if none does.
    pub(crate) async fn locate(&self, path: &str) -> PathBuf {
        let first = self.env.absolute(path);
        let second = self
            .config_dir
            .as_ref()
            .map(|dir| self.env.cwd.join(dir).join(self.env.expand_home(path)));
        match second {
            Some(second) if !exists(&first).await && exists(&second).await => second,
            _ => first,
        }
    }
}

async fn exists(path: &std::path::Path) -> bool {
    tokio::fs::try_exists(path).await.unwrap_or(true)
}
