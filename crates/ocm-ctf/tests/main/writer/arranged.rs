//! The same content gives the same archive, whoever was quicker.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;
use ocm_blob::{Blob, BlobRef, ByteStream, CHUNK};
use ocm_ctf::CtfArchiveWriter;
use ocm_digest::Digest;
use ocm_oci::{Arrange as _, Descriptor, ImageManifest, Pace, Push as _, RawManifest, media_type};
use tokio::sync::Semaphore;

use super::{NAME, Place, places};
use crate::support::{Stream, memory, noise, repository, tag};

/// A blob that is not read before it is let.
#[derive(Debug)]
struct Late {
    inner: BlobRef,
    gate: Arc<Semaphore>,
}

#[async_trait]
impl Blob for Late {
    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn digest(&self) -> Option<Digest> {
        self.inner.digest()
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        self.gate.acquire().await.unwrap().forget();
        self.inner.open().await
    }
}

fn contents() -> Vec<bytes::Bytes> {
    // The last one makes the archive too large to be written once more.
    let sizes = [CHUNK * 2, 100, CHUNK + 1, 9, CHUNK * 3, 33 << 20];
    let sizes = sizes.into_iter().enumerate();
    sizes.map(|(seed, size)| noise(size, seed as u64)).collect()
}

/// Writes an archive whose blobs come in the order of `order`, each after the one before.
async fn write(place: &Place, order: &[usize]) {
    let store = place.writer().await;
    let name = repository(NAME);
    let contents = contents();
    let entries: Vec<_> = contents
        .iter()
        .map(|content| Descriptor::of("text/plain", content))
        .collect();
    let pace = store.arrange(&entries).await.unwrap();
    if pace == Pace::SideBySide {
        let gates: Vec<_> = contents
            .iter()
            .map(|_| Arc::new(Semaphore::new(0)))
            .collect();
        let pushes = contents.iter().zip(&gates).map(|(content, gate)| {
            let late: BlobRef = Arc::new(Late {
                inner: Stream::known(content.clone()).shared(),
                gate: Arc::clone(gate),
            });
            let (store, name) = (&store, &name);
            async move { store.push_blob(name, &late).await.unwrap() }
        });
        let open = async {
            for &next in order {
                gates[next].add_permits(1);
                let digest = entries[next].digest;
                while ocm_oci::Fetch::stat_blob(&store, &name, &digest)
                    .await
                    .unwrap()
                    .is_none()
                {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::join!(join_all(pushes), open);
    } else {
        for content in contents {
            let blob = Stream::known(content).shared();
            store.push_blob(&name, &blob).await.unwrap();
        }
    }
    tag_in_order(&store, order, &entries).await;
    store.commit().await.unwrap();
}

async fn tag_in_order(store: &CtfArchiveWriter, order: &[usize], entries: &[Descriptor]) {
    let name = repository(NAME);
    store.push_blob(&name, &memory("{}")).await.unwrap();
    for number in order {
        let config = Descriptor::of(media_type::EMPTY, b"{}");
        let image = ImageManifest::new(config, vec![entries[*number].clone()]);
        let tag = tag(&format!("1.{number}"));
        let manifest = RawManifest::image(&image);
        store
            .push_manifest(&name, &manifest, Some(&tag))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_in_which_blobs_come_does_not_matter() {
    for (first, second) in places().into_iter().zip(places()) {
        write(&first, &[0, 1, 2, 3, 4, 5]).await;
        write(&second, &[5, 3, 4, 1, 0, 2]).await;
        assert!(first.bytes() == second.bytes(), "{first:?}");
        first.check_holds(6, 12).await;
    }
}

#[tokio::test]
async fn what_is_arranged_and_never_comes_takes_no_space() {
    for (first, second) in places().into_iter().zip(places()) {
        for (place, is_first) in [(&first, true), (&second, false)] {
            let store = place.writer().await;
            let name = repository(NAME);
            let kept = noise(34 << 20, 1);
            let lost = Descriptor::of("text/plain", &noise(CHUNK * 2, 2));
            let entry = Descriptor::of("text/plain", &kept);
            let arranged: &[Descriptor] = if is_first {
                &[lost, entry.clone()]
            } else {
                &[]
            };
            store.arrange(arranged).await.unwrap();
            let blob = Stream::known(kept).shared();
            store.push_blob(&name, &blob).await.unwrap();
            tag_in_order(&store, &[0], &[entry]).await;
            store.commit().await.unwrap();
        }
        assert!(first.bytes() == second.bytes(), "{first:?}");
    }
}
