//! What has been written is kept when a command is interrupted.

use std::sync::{Arc, Mutex, PoisonError};

use ocm::repository::RepositoryRef;

/// Targets in which is kept what has been written when a command is interrupted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Targets(Arc<Mutex<Vec<RepositoryRef>>>);

impl Targets {
    pub(crate) fn keep(&self, target: &RepositoryRef) {
        let mut targets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        targets.push(RepositoryRef::clone(target));
    }

    /// Makes durable what has been written, so that the next run need not do it again.
    pub(crate) async fn suspend(self) {
        let targets = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for target in targets {
            if let Err(error) = target.suspend().await {
                let error = anyhow::Error::new(error);
                tracing::warn!("what was done before the interrupt may be lost: {error:#}");
            }
        }
    }
}
