//! Documents that say what is to be transferred: our own plans, and graphs of the Go tool.

use crate::error::Error;
use crate::plan::TransferPlan;
use crate::transformation::{GraphTransfer, document, transfers};

/// What a document says is to be transferred.
#[derive(Clone, Debug, PartialEq)]
pub enum StoredPlan {
    /// A plan of ours.
    Plan(Box<TransferPlan>),
    /// A graph of transformations of the second Go tool, which may have several targets.
    Graph(Vec<GraphTransfer>),
}

impl StoredPlan {
    /// Reads either kind from JSON or YAML.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] if the bytes are too many, neither JSON nor YAML, or as the kind fails that
    /// they are of.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        // What is written here is JSON, some of which is no YAML.
        if let Some(plan) = TransferPlan::from_json(bytes)? {
            return Ok(Self::Plan(Box::new(plan)));
        }
        let document = document(bytes)?;
        if document.get("transformations").is_some() {
            return transfers(document).map(Self::Graph);
        }
        let plan: TransferPlan =
            serde_json::from_value(document).map_err(|error| Error::plan(error.to_string()))?;
        Ok(Self::Plan(Box::new(plan.checked()?)))
    }
}
