//! Numbers about the service, by the names that the Go controllers have for them.
//!
//! Labels name neither components nor versions, of which there can be any number.

use std::time::Duration;

use ocm_kube::metrics::{Counter, Gauge, Histogram, Metrics};

use super::Wanted;

/// What the label `name` of caches says of the one for content of resources.
const CONTENTS: &str = "deployer_download_cache";

/// How much is asked, and how long it takes.
#[derive(Debug)]
pub(super) struct Numbers {
    hits: Counter,
    misses: Counter,
    waiting: Gauge,
    working: Gauge,
    took: Histogram,
    contents: CacheNumbers,
}

/// How much a cache has, and how it is used.
#[derive(Clone, Debug)]
pub(super) struct CacheNumbers {
    size: Gauge,
    hits: Counter,
    misses: Counter,
    evictions: Counter,
}

impl Numbers {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let state = &["verification_state"];
        let name = &["name"];
        Self {
            hits: metrics.counter(
                "ocm_system_ocm_k8s_toolkit_cache_hit",
                "Component versions that were known when they were asked for.",
                state,
            ),
            misses: metrics.counter(
                "ocm_system_ocm_k8s_toolkit_cache_miss",
                "Component versions that a repository was asked for.",
                state,
            ),
            waiting: metrics.gauge(
                "ocm_system_ocm_k8s_toolkit_queue_size",
                "Requests that wait for the turn of their registry.",
                &[],
            ),
            working: metrics.gauge(
                "ocm_system_ocm_k8s_toolkit_in_progress",
                "Requests to registries that go on.",
                &[],
            ),
            took: metrics.histogram(
                "ocm_system_ocm_k8s_toolkit_resolution_duration_seconds",
                "How long it takes to read and verify a component version, without waiting.",
                state,
            ),
            contents: CacheNumbers {
                size: metrics.gauge("cache_size", "Contents that are kept.", name),
                hits: metrics.counter(
                    "cache_hit_total",
                    "Contents that were known when they were asked for.",
                    name,
                ),
                misses: metrics.counter(
                    "cache_miss_total",
                    "Contents that were not known when they were asked for.",
                    name,
                ),
                evictions: metrics.counter(
                    "cache_evict_total",
                    "Contents that made room for others.",
                    name,
                ),
            },
        }
    }

    /// Notes that a component version was known.
    pub(super) fn hit(&self, wanted: &Wanted) {
        self.hits.add(&[state(wanted)], 1);
    }

    /// Notes that a repository is asked for a component version.
    pub(super) fn missed(&self, wanted: &Wanted) {
        self.misses.add(&[state(wanted)], 1);
    }

    /// Notes how long that took.
    pub(super) fn took(&self, wanted: &Wanted, took: Duration) {
        self.took.observe(&[state(wanted)], took);
    }

    /// Counts a request as one that waits.
    pub(super) fn waiting(&self) -> Counted<'_> {
        Counted::new(&self.waiting)
    }

    /// Counts a request as one that goes on.
    pub(super) fn working(&self) -> Counted<'_> {
        Counted::new(&self.working)
    }

    /// The numbers of the cache for content of resources.
    pub(super) const fn contents(&self) -> &CacheNumbers {
        &self.contents
    }
}

impl CacheNumbers {
    /// Notes whether something was known when it was asked for.
    pub(super) fn asked(&self, is_known: bool) {
        let counter = if is_known { &self.hits } else { &self.misses };
        counter.add(&[CONTENTS], 1);
    }

    /// Notes how much there is.
    pub(super) fn holds(&self, number: usize) {
        #[expect(clippy::cast_precision_loss, reason = "there are thousands at most")]
        self.size.set(&[CONTENTS], number as f64);
    }

    /// Notes that something made room.
    pub(super) fn evicted(&self) {
        self.evictions.add(&[CONTENTS], 1);
    }
}

/// Whether something must hold for a component version.
fn state(wanted: &Wanted) -> &'static str {
    let is_verified = !wanted.verifying.is_empty() || wanted.digest.is_some();
    if is_verified {
        "verified"
    } else {
        "unverified"
    }
}

/// One more, as long as it is there.
pub(super) struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.add(&[], 1.0);
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.add(&[], -1.0);
    }
}
