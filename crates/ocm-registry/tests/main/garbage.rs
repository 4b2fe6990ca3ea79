//! Collecting garbage from time to time.

use std::sync::Arc;
use std::time::Duration;

use ocm_oci::{MemoryStore, StoreRef};
use ocm_registry::{Registry, RegistryOptions, Server};
use tokio::time::timeout;

use crate::store::{TestStore, disk_full};
use crate::support::{Fixture, expect};

const INTERVAL: Duration = Duration::from_hours(1);
const GRACE: Duration = Duration::from_hours(24);

/// Collects for some intervals and a half, in no time.
async fn collect(registry: &Registry, intervals: u32) {
    tokio::time::pause();
    let time = INTERVAL * intervals + INTERVAL / 2;
    let collecting = registry.collect_garbage(INTERVAL, GRACE);
    timeout(time, collecting).await.unwrap_err();
    tokio::time::resume();
}

#[tokio::test]
async fn the_store_is_told_once_in_each_interval_and_the_metrics_say_what_came_of_it() {
    let store = Arc::new(TestStore::default());
    let options = RegistryOptions {
        metrics: true,
        ..RegistryOptions::default()
    };
    let registry = Registry::new(Arc::clone(&store) as StoreRef, options);
    collect(&registry, 2).await;
    store.fail(disk_full);
    collect(&registry, 1).await;
    assert_eq!(*store.collections.lock().unwrap(), [GRACE; 3]);

    let server = Fixture::of(Server::bind("127.0.0.1:0").await.unwrap(), &registry);
    let text = String::from_utf8(expect(server.get("/metrics").await, 200).await).unwrap();
    for line in [
        r#"ocm_registry_collections_total{outcome="done"} 2"#,
        r#"ocm_registry_collections_total{outcome="failed"} 1"#,
        "ocm_registry_collected_blobs_total 4",
        "ocm_registry_collected_bytes_total 6",
        "ocm_registry_collected_uploads_total 8",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_store_that_collects_nothing_is_waited_for_without_end() {
    let registry = Registry::new(Arc::new(MemoryStore::new()), RegistryOptions::default());
    collect(&registry, 1).await;
}
