//! How much is asked, and how much is done at a time.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::StreamExt as _;
use ocm_blob::{Blob, BlobRef, ByteStream};
use ocm_digest::Digest;
use ocm_model::ComponentVersionId;
use ocm_repository::{Content, CopyOptions, RepositoryRef};
use ocm_transfer::plan::Action;
use ocm_transfer::{ExecuteOptions, Planner, Root, TransferOptions, TransferProgress};

use crate::watched::Watched;
use crate::world::{Build, Place, id, plan, recursive};

const TOP: &str = "acme.org/top:1.0.0";

/// A component version that refers to many others.
async fn wide(place: &Place, width: usize) {
    let mut top = Build::new(place, TOP);
    for number in 0..width {
        let child = format!("acme.org/child{number}:1.0.0");
        let descriptor = Build::new(place, &child).stored().await;
        top = top.reference(&format!("child{number}"), &child, Some(&descriptor));
    }
    top.stored().await;
}

#[tokio::test]
async fn planning_asks_once_for_each_component_version() {
    let width = 2_000;
    let (source, target) = (Place::new(), Place::new());
    wide(&source, width).await;
    let (from, shared_from) = Watched::new(&source).shared();
    let (to, shared_to) = Watched::new(&target).shared();
    let planned = plan(&shared_from, &shared_to, recursive(), &[TOP])
        .await
        .unwrap();
    assert_eq!(planned.plan().totals.add, width as u64 + 1);
    assert_eq!((from.reads(), to.reads()), (width + 1, width + 1));
    assert_eq!(to.writes(), 0);
}

#[tokio::test]
async fn skipped_component_versions_are_asked_for_once() {
    let (source, target) = (Place::new(), Place::new());
    wide(&source, 50).await;
    let first = plan(&source, &target, recursive(), &[TOP]).await.unwrap();
    first.execute(&ExecuteOptions::default()).await.unwrap();
    let (to, shared) = Watched::new(&target).shared();
    let second = plan(&source, &shared, recursive(), &[TOP]).await.unwrap();
    let report = second.execute(&ExecuteOptions::default()).await.unwrap();
    assert_eq!((report.skipped, to.reads(), to.writes()), (51, 51, 0));
}

/// Counts how many blobs are being read.
#[derive(Debug, Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Debug)]
struct Measured {
    inner: BlobRef,
    gauge: Arc<Gauge>,
}

struct Reading(Arc<Gauge>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Blob for Measured {
    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn digest(&self) -> Option<Digest> {
        self.inner.digest()
    }

    fn media_type(&self) -> Option<&str> {
        self.inner.media_type()
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        let now = self.gauge.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.gauge.most.fetch_max(now, Ordering::SeqCst);
        let reading = Reading(Arc::clone(&self.gauge));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let inner = self.inner.open().await?;
        Ok(inner
            .inspect(move |_| {
                let _ = &reading;
            })
            .boxed())
    }
}

#[tokio::test]
async fn the_limit_on_blobs_holds_over_all_component_versions() {
    let (source, target) = (Place::new(), Place::new());
    let mut roots = Vec::new();
    for number in 0..10 {
        let text = format!("acme.org/c{number}:1.0.0");
        let mut build = Build::new(&source, &text);
        for blob in 0..5 {
            build = build
                .blob(&format!("blob{blob}"), &format!("{number} {blob}"))
                .await;
        }
        build.stored().await;
        roots.push(text);
    }
    let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
    let gauge = Arc::new(Gauge::default());
    let measured = Arc::clone(&gauge);
    let from: RepositoryRef = Arc::new(Watched::changing(&source, move |content| match content {
        Content::Blob(inner) => Content::Blob(Arc::new(Measured {
            inner,
            gauge: Arc::clone(&measured),
        })),
        artifact @ Content::Artifact(_) => artifact,
    }));
    let planned = plan(&from, &target, TransferOptions::default(), &roots)
        .await
        .unwrap();
    let options = ExecuteOptions {
        copy: CopyOptions::new(3),
        parallel: 8,
        ..ExecuteOptions::default()
    };
    let report = planned.execute(&options).await.unwrap();
    assert_eq!(report.blobs.copied, 50);
    assert_eq!(gauge.most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn content_that_two_resources_share_moves_once() {
    let (source, target) = (Place::new(), Place::new());
    Build::new(&source, TOP)
        .blob("one", "same")
        .await
        .blob("two", "same")
        .await
        .stored()
        .await;
    let planned = plan(&source, &target, TransferOptions::default(), &[TOP])
        .await
        .unwrap();
    let blobs = planned
        .execute(&ExecuteOptions::default())
        .await
        .unwrap()
        .blobs;
    assert_eq!(
        (blobs.copied, blobs.existed, blobs.size, blobs.moved),
        (1, 1, 8, 4)
    );
}

#[derive(Debug, Default)]
struct Diary(Mutex<Vec<String>>);

impl TransferProgress for Diary {
    fn started(&self, id: &ComponentVersionId) {
        self.0.lock().unwrap().push(format!("started {id}"));
    }

    fn finished(&self, id: &ComponentVersionId, action: Action) {
        self.0.lock().unwrap().push(format!("{action:?} {id}"));
    }
}

#[tokio::test]
async fn progress_tells_what_begins_and_what_ends() {
    let (source, target) = (Place::new(), Place::new());
    let there = "acme.org/there:1.0.0";
    for text in [TOP, there] {
        Build::new(&source, text).stored().await;
    }
    Build::new(&target, there).stored().await;
    let diary = Arc::new(Diary::default());
    let progress: Arc<dyn TransferProgress> = Arc::<Diary>::clone(&diary);
    let roots = [there, TOP].map(|text| Root {
        repository: Arc::clone(&source.repository),
        id: id(text),
    });
    let planned = Planner::new(Arc::clone(&target.repository))
        .plan(roots.into())
        .await
        .unwrap();
    let options = ExecuteOptions {
        progress,
        parallel: 1,
        ..ExecuteOptions::default()
    };
    planned.execute(&options).await.unwrap();
    let diary = diary.0.lock().unwrap().clone();
    assert_eq!(
        diary,
        [
            format!("Skip {there}"),
            format!("started {TOP}"),
            format!("Add {TOP}"),
        ]
    );
}
