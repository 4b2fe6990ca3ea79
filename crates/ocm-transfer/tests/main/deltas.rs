//! Delta archives as stores.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ocm_blob::{BlobRef, MemoryBlob};
use ocm_ctf::{Access, Elsewhere, Scratch, open, open_to_write};
use ocm_digest::Digest;
use ocm_oci::{
    Descriptor, EMPTY_CONFIG, ImageManifest, Outcome, Push as _, RawManifest, RepositoryName,
    Store as _, StoreRef, media_type,
};
use ocm_transfer::delta::{Base, DeltaRecord, DeltaWriter};

/// Content larger than what archives order by themselves.
fn layer(number: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    bytes[0] = number;
    bytes
}

/// A blob that is not in memory, as far as it shows.
#[derive(Debug)]
struct Distant(MemoryBlob, Digest);

#[async_trait::async_trait]
impl ocm_blob::Blob for Distant {
    fn size(&self) -> Option<u64> {
        self.0.size()
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.1)
    }

    async fn open(&self) -> Result<ocm_blob::ByteStream, ocm_blob::Error> {
        self.0.open().await
    }
}

fn repository() -> RepositoryName {
    "component-descriptors/acme.org/shop".parse().unwrap()
}

async fn record_of(path: &Path) -> Option<DeltaRecord> {
    let store = open(path, Access::ReadOnly, &Scratch::default()).await;
    DeltaRecord::of(&store.unwrap()).await.unwrap()
}

/// Opens a delta archive that leaves out what is listed.
async fn delta(path: &Path, base: &BTreeSet<Digest>) -> DeltaWriter {
    let before = if path.exists() {
        record_of(path).await
    } else {
        None
    };
    let elsewhere = Elsewhere::new(base.clone());
    let store: StoreRef = open_to_write(path, None, elsewhere, &Scratch::default())
        .await
        .unwrap();
    let base = Base::of_digests("far", base.iter().copied());
    DeltaWriter::new(store, base, before)
}

/// Pushes so many layers, of which so many need not be brought.
async fn push(store: &DeltaWriter, count: u8, existing: u8) {
    let layers: Vec<Vec<u8>> = (0..3).map(layer).collect();
    let named = layers.iter().map(|it| Descriptor::of("text/plain", it));
    let named: Vec<_> = named.collect();
    // A directory has no order.
    if let Some(arrange) = store.arrange() {
        arrange.arrange(&named).await.unwrap();
    }
    for (number, content) in (0..count).zip(layers) {
        let digest = Digest::sha256(&content);
        let blob: BlobRef = Arc::new(Distant(MemoryBlob::new(content), digest));
        let pushed = store.push_blob(&repository(), &blob).await.unwrap();
        let exists = number < existing;
        assert_eq!(pushed.outcome == Outcome::Existed, exists, "{number}");
    }
}

async fn finish(store: &DeltaWriter) {
    let config: BlobRef = Arc::new(MemoryBlob::new(EMPTY_CONFIG));
    store.push_blob(&repository(), &config).await.unwrap();
    let layers = (0..3).map(|number| Descriptor::of("text/plain", &layer(number)));
    let config = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
    let manifest = RawManifest::image(&ImageManifest::new(config, layers.collect()));
    let tag = "1.0.0".parse().unwrap();
    let name = repository();
    let pushed = store.push_manifest(&name, &manifest, Some(&tag));
    pushed.await.unwrap();
    store.commit().await.unwrap();
}

#[tokio::test]
async fn no_space_is_set_aside_for_what_is_left_out() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("delta.tar");
    let left_out = Digest::sha256(layer(0));
    let store = delta(&path, &BTreeSet::from([left_out])).await;
    push(&store, 3, 1).await;
    // Suspended, an archive has all the space that was set aside.
    store.suspend().await.unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 2 * 1_200_000 + 1_200_000, "{size}");
    finish(&store).await;
    let record = record_of(&path).await.unwrap();
    assert_eq!(record.left_out.keys().collect::<Vec<_>>(), [&left_out]);
}

#[tokio::test]
async fn a_suspended_delta_archive_is_one_and_continued_to_the_same_bytes() {
    for file in ["delta.tar", "delta.tgz", "delta"] {
        let mut all = Vec::new();
        for is_suspended in [false, true] {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join(file);
            let base = BTreeSet::from([Digest::sha256(layer(0))]);
            let mut store = delta(&path, &base).await;
            if is_suspended {
                push(&store, 2, 1).await;
                store.suspend().await.unwrap();
                drop(store);
                assert!(record_of(&path).await.is_some(), "{file}");
                store = delta(&path, &base).await;
            }
            push(&store, 3, if is_suspended { 2 } else { 1 }).await;
            finish(&store).await;
            drop(store);
            let record = record_of(&path).await.unwrap();
            assert_eq!(record.left_out.len(), 1, "{file}");
            all.push(if path.is_file() {
                std::fs::read(&path).unwrap()
            } else {
                std::fs::read(path.join("artifact-index.json")).unwrap()
            });
        }
        assert!(all[0] == all[1], "{file}");
    }
}
