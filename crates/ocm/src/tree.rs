//! A component version and everything that it refers to.

use std::collections::BTreeSet;

use ocm_model::Descriptor;
use ocm_repository::RepositoryRef;
use ocm_signing::references::Referenced;

use crate::error::Error;
use crate::session::Ocm;

/// A component version that was read, and where.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) descriptor: Descriptor,
    pub(crate) repository: RepositoryRef,
}

impl Ocm {
    /// Reads a component version and everything below it, each version once, the root first.
    ///
    /// # Errors
    ///
    /// [`Error::Reference`] if one of them cannot be read.
    pub(crate) async fn gather(&self, root: Node) -> Result<Vec<Node>, Error> {
        let resolvers = self.resolvers(&root.repository).await?;
        let mut seen = BTreeSet::from([root.descriptor.id().clone()]);
        let mut nodes = vec![root];
        let mut next = 0;
        while next < nodes.len() {
            let parent = nodes[next].descriptor.id().clone();
            for reference in nodes[next].descriptor.references() {
                let child = reference.component();
                if !seen.insert(child.clone()) {
                    continue;
                }
                let (repository, stored) =
                    resolvers
                        .component_version(&child)
                        .await
                        .map_err(|source| Error::Reference {
                            id: parent.clone(),
                            reference: child,
                            source: source.into(),
                        })?;
                nodes.push(Node {
                    descriptor: stored.descriptor,
                    repository,
                });
            }
            next += 1;
        }
        Ok(nodes)
    }
}

/// Returns the component versions below the root.
pub(crate) fn below(nodes: &[Node]) -> Referenced {
    let below = nodes.iter().skip(1);
    below.map(|node| node.descriptor.clone()).collect()
}
