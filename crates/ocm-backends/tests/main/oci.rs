//! Component versions in OCI stores.

use std::sync::Arc;

use ocm_backends::OciComponentRepository;
use ocm_oci::{MemoryStore, StoreRef};
use ocm_repository::{RepositoryRef, conformance};

fn repository(store: impl Into<StoreRef>, prefix: Option<&str>) -> RepositoryRef {
    let prefix = prefix.map(|prefix| prefix.parse().expect("a repository name"));
    Arc::new(OciComponentRepository::new(store.into(), prefix))
}

#[tokio::test]
async fn memory_conforms() {
    conformance::all(|| async { repository(Arc::new(MemoryStore::new()) as StoreRef, None) }).await;
}

#[tokio::test]
async fn a_prefix_changes_nothing() {
    let prefix = Some("team/shop");
    conformance::all(|| async { repository(Arc::new(MemoryStore::new()) as StoreRef, prefix) })
        .await;
}
