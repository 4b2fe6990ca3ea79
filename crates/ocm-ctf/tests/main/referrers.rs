//! What refers to a manifest of an archive.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ocm_ctf::CtfDirectory;
use ocm_oci::{
    Delete as _, Descriptor, ImageIndex, ImageManifest, Push as _, RawManifest, Reference,
    Referrers as _, RepositoryName, Tag,
};

use crate::directory::{readable, writable};
use crate::support::{memory, push_image, repository};

/// Makes an archive, and an image in it that others can refer to.
async fn with_subject(place: &Path) -> (CtfDirectory, RepositoryName, RawManifest) {
    let store = writable(place);
    let name = repository("a");
    let subject = push_image(&store, &name, "1.0", memory("one")).await;
    (store, name, subject.unwrap())
}

/// Returns an image without layers that differs from others by its type.
fn empty_image(number: usize, subject: Option<&RawManifest>) -> RawManifest {
    let config = Descriptor::of(ocm_oci::media_type::EMPTY, ocm_oci::EMPTY_CONFIG);
    let mut image = ImageManifest::new(config, Vec::new());
    image.subject = subject.map(RawManifest::descriptor);
    image.artifact_type = Some(format!("type/{number}"));
    RawManifest::image(&image)
}

#[tokio::test]
async fn referrers_are_found_by_their_subject_and_by_the_fallback_tag() {
    let place = tempfile::tempdir().unwrap();
    let (store, name, subject) = with_subject(place.path()).await;
    let digest = subject.digest();
    assert_eq!(store.referrers(&name, &digest).await.unwrap(), []);

    let mut expected = Vec::new();
    for number in 0..2 {
        let raw = empty_image(number, Some(&subject));
        store.push_manifest(&name, &raw, None).await.unwrap();
        expected.push(raw.as_referrer_of(&digest).unwrap());
        let mut found = store.referrers(&name, &digest).await.unwrap();
        found.sort_by_key(|descriptor| descriptor.artifact_type.clone());
        assert_eq!(found, expected);
    }
    let listed = push_image(&store, &name, "2.0", memory("two"))
        .await
        .unwrap();
    let fallback = RawManifest::index(&ImageIndex::new(vec![
        expected[0].clone(),
        listed.descriptor(),
    ]));
    let fallback_tag = Tag::for_referrers(&digest);
    store
        .push_manifest(&name, &fallback, Some(&fallback_tag))
        .await
        .unwrap();
    let found = store.referrers(&name, &digest).await.unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[2], listed.descriptor());

    let reference = Reference::Digest(expected[1].digest);
    store.delete_manifest(&name, &reference).await.unwrap();
    assert_eq!(store.referrers(&name, &digest).await.unwrap().len(), 2);
    assert_eq!(
        store.referrers(&repository("b"), &digest).await.unwrap(),
        []
    );
}

#[tokio::test]
async fn referrers_are_found_among_many_manifests() {
    let place = tempfile::tempdir().unwrap();
    let (store, name, subject) = with_subject(place.path()).await;
    let digest = subject.digest();
    let mut referrers = BTreeSet::new();
    for number in 0..300 {
        let refers = number % 3 == 0;
        let raw = empty_image(number, refers.then_some(&subject));
        store.push_manifest(&name, &raw, None).await.unwrap();
        if refers {
            referrers.insert(raw.digest());
        }
    }
    store.commit().await.unwrap();

    let found = readable(place.path()).referrers(&name, &digest).await;
    let found = found.unwrap().into_iter().map(|it| it.digest);
    assert_eq!(found.collect::<BTreeSet<_>>(), referrers);

    // Whoever reads it, one that is damaged is named.
    for damaged in [referrers.first().unwrap(), referrers.last().unwrap()] {
        let file = place
            .path()
            .join(format!("blobs/sha256.{}", damaged.to_hex()));
        let whole = fs::read(&file).unwrap();
        fs::write(&file, vec![b'x'; whole.len()]).unwrap();
        let error = readable(place.path()).referrers(&name, &digest).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(&damaged.to_string()), "{error}");
        fs::write(&file, whole).unwrap();
    }
}
