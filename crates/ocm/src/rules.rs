//! Component descriptors that can be used, but break rules of their schema.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::{Mutex, PoisonError};

use ocm_model::ComponentVersionId;
use ocm_model::schema::Violations;
use ocm_repository::StoredVersion;
use ocm_transfer::Inspector;

use crate::error::Error;

/// Checks component descriptors against the rules of their schema, and remembers which of them
/// break some, or refuses those.
///
/// It is what every operation checks with that takes over component versions of others:
/// [`VerifyOptions::rules`](crate::VerifyOptions::rules), and, as
/// [`Inspector`](ocm_transfer::Inspector), a transfer.
#[derive(Debug, Default)]
pub struct Rules {
    is_strict: bool,
    broken: Mutex<BTreeMap<ComponentVersionId, Violations>>,
}

impl Rules {
    /// Refuses component versions that break a rule.
    pub fn strict() -> Self {
        Self {
            is_strict: true,
            ..Self::default()
        }
    }

    /// Checks the component descriptor of a component version.
    ///
    /// # Errors
    ///
    /// [`Error::BrokenRules`] if it breaks a rule, and that is not to be.
    pub fn check(&self, stored: &StoredVersion) -> Result<(), Error> {
        let Err(violations) = Violations::none(stored.validate()) else {
            return Ok(());
        };
        let id = stored.descriptor.id().clone();
        if self.is_strict {
            let source = violations;
            return Err(Error::BrokenRules { id, source });
        }
        // Each change is one insertion, so that the map is whole even where a holder panicked.
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.insert(id, violations);
        Ok(())
    }

    /// Returns the component versions whose descriptors break rules, each once.
    pub fn broken(&self) -> Vec<(ComponentVersionId, Violations)> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        let broken = broken.iter();
        broken
            .map(|(id, violations)| (id.clone(), violations.clone()))
            .collect()
    }
}

impl Inspector for Rules {
    fn inspect(&self, stored: &StoredVersion) -> Result<(), Box<dyn StdError + Send + Sync>> {
        Ok(self.check(stored)?)
    }
}
