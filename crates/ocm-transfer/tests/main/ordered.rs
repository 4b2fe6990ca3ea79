//! What runs side by side does not show in an archive.

use std::path::Path;
use std::sync::Arc;

use ocm_backends::OciComponentRepository;
use ocm_ctf::{CtfArchiveWriter, CtfFormat, Scratch};
use ocm_oci::StoreRef;
use ocm_repository::{CopyOptions, RepositoryRef};
use ocm_transfer::ExecuteOptions;

use crate::world::{Build, Place, image, plan, recursive};

const TOP: &str = "acme.org/top:1.0.0";

/// Text that is no other, of this many bytes.
fn text(number: usize, size: usize) -> String {
    let line = format!("{number:08}\n");
    line.repeat(size.div_ceil(line.len()))
}

/// Component versions with content of all sizes, some of it shared, that refer to each other.
async fn products(place: &Place) {
    let sizes = [400_000, 20, 900_000, 300_000, 1000];
    let mut top = Build::new(place, TOP)
        .blob("shared", &text(0, 500_000))
        .await;
    let mut last: Option<(String, ocm_model::Descriptor)> = None;
    for number in 0..9 {
        let child = format!("acme.org/child{}:1.0.0", 9 - number);
        let mut build = Build::new(place, &child);
        for (index, size) in sizes.iter().enumerate() {
            let content = text(number * 10 + index + 1, *size / (number + 1));
            build = build.blob(&format!("r{index}"), &content).await;
        }
        build = build.blob("shared", &text(0, 500_000)).await;
        build = build.source("code", &text(100 + number, 280_000)).await;
        let layer = text(200 + number, 600_000);
        let artifact = image(&place.store, "images/app", &format!("{number}"), &layer).await;
        build = build.artifact("image", artifact, "app:1").await;
        // Some wait for others.
        if let (Some((id, descriptor)), 2) = (&last, number % 3) {
            build = build.reference("before", id, Some(descriptor));
        }
        let descriptor = build.stored().await;
        top = top.reference(&format!("child{number}"), &child, Some(&descriptor));
        last = Some((child, descriptor));
    }
    top.stored().await;
}

async fn write(source: &Place, path: &Path, blobs: usize, versions: usize) -> Vec<u8> {
    let format = CtfFormat::of_name(path);
    let writer = CtfArchiveWriter::open(path, format, &Scratch::default()).await;
    let store: StoreRef = Arc::new(writer.unwrap());
    let target: RepositoryRef = Arc::new(OciComponentRepository::new(store, None));
    let planned = plan(source, &target, recursive(), &[TOP]).await.unwrap();
    let options = ExecuteOptions {
        copy: CopyOptions::new(blobs),
        parallel: versions,
        ..ExecuteOptions::default()
    };
    planned.execute(&options).await.unwrap();
    std::fs::read(path).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_worker_and_many_write_the_same_archive() {
    let source = Place::new();
    products(&source).await;
    let place = tempfile::tempdir().unwrap();
    for ending in ["tar", "tgz"] {
        let first = place.path().join(format!("first.{ending}"));
        let expected = write(&source, &first, 1, 1).await;
        for (blobs, versions) in [(16, 16), (2, 1), (1, 16), (3, 4), (16, 16)] {
            let path = place.path().join(format!("{blobs}-{versions}.{ending}"));
            let written = write(&source, &path, blobs, versions).await;
            assert!(written == expected, "{ending} {blobs} {versions}");
            std::fs::remove_file(path).unwrap();
        }
    }
}
