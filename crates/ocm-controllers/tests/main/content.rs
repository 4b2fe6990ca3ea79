//! How the content of resources is read.

use ocm::model::element::Resource;
use ocm::oci::{Descriptor as Entry, EMPTY_CONFIG, ImageManifest, RawManifest, Scheme};
use ocm::{Environment, Kind, Ocm};
use ocm_controllers::config::Loaded;
use ocm_controllers::resolution::{Options, Place, Resolutions, Wanted, WantedContent};
use ocm_testkit::{Fault, Registry};
use serde_json::json;

use crate::delivery::{Packing, digest_of, wrong_digest};
use crate::world::{resolution_options, spec};

/// What is wanted of the only resource of a component version.
async fn wanted(resolutions: &Resolutions, registry: &Registry, version: &str) -> WantedContent {
    let place = Place {
        config: Loaded::default(),
        repository: spec(registry),
    };
    let id = format!("{}:{version}", crate::world::COMPONENT);
    let component_version = Wanted {
        place: place.clone(),
        id: id.parse().unwrap(),
        verifying: Vec::new(),
        digest: None,
    };
    let found = resolutions.component_version(&component_version);
    let found = { found }.outcome().await.unwrap();
    let resource: Resource = found.descriptor.resources().remove(0);
    WantedContent {
        place,
        found,
        resource,
    }
}

#[tokio::test]
async fn content_is_read_once_for_all_and_stays_known_to_those_who_may_read_it() {
    let registry = Registry::start();
    let packing = Packing::start(&registry, "1.0.0").await;
    packing
        .blob("notes", "text/plain", b"notes")
        .await
        .put()
        .await;
    // Nothing that was read a moment ago would count without its digest.
    let options = resolution_options();
    let resolutions = Resolutions::new(options.clone());
    let wanted = wanted(&resolutions, &registry, "1.0.0").await;
    registry.take_requests();
    let mut tickets: Vec<_> = (0..10)
        .map(|_| resolutions.content(&wanted, None))
        .collect();
    for ticket in &mut tickets {
        assert_eq!(&ticket.outcome().await.unwrap()[..], b"notes");
    }
    let requests = registry.take_requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    let numbers = options.metrics.to_text();
    for line in [
        "cache_miss_total{name=\"deployer_download_cache\"} 10",
        "cache_size{name=\"deployer_download_cache\"} 1",
    ] {
        assert!(numbers.lines().any(|it| it == line), "{line}\n{numbers}");
    }
    registry.fail(1000, "GET", "", Fault::Status(403));
    let known = resolutions.content(&wanted, None).outcome().await.unwrap();
    assert_eq!(&known[..], b"notes");

    // Somebody else, who has another configuration.
    let mut theirs = wanted.clone();
    theirs.place.config.hash = "other".to_owned();
    let error = { resolutions.content(&theirs, None) }.outcome().await;
    assert_eq!(Kind::of(&*error.unwrap_err()), Kind::NotAllowed);
    // The same content under another digest is other content.
    let mut other = wanted.clone();
    other.resource.digest = Some(serde_json::from_value(wrong_digest()).unwrap());
    assert!(
        { resolutions.content(&other, None) }
            .outcome()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn content_has_the_digest_that_is_stated_and_a_size_within_the_bound() {
    let registry = Registry::start();
    let packing = Packing::start(&registry, "1.0.0").await;
    packing
        .blob("notes", "text/plain", b"notes")
        .await
        .put()
        .await;
    let packing = Packing::start(&registry, "2.0.0").await;
    let packing = packing.blob_as("notes", "text/plain", b"notes", Some(wrong_digest()));
    packing.await.put().await;
    let resolutions = Resolutions::new(resolution_options());
    let right = wanted(&resolutions, &registry, "1.0.0").await;
    let wrong = wanted(&resolutions, &registry, "2.0.0").await;
    let error = { resolutions.content(&wrong, None) }
        .outcome()
        .await
        .unwrap_err();
    assert_eq!(Kind::of(&*error), Kind::VerificationFailed, "{error}");
    let error = { resolutions.pin(&wrong) }.outcome().await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    let error = { resolutions.content(&right, Some(4)) }
        .outcome()
        .await
        .unwrap_err();
    let causes: Vec<_> = ocm::causes(&*error).map(ToString::to_string).collect();
    assert_eq!(
        causes[1],
        "resource size 5 exceeds maximum allowed size of 4"
    );
    let enough = { resolutions.content(&right, Some(5)) }.outcome().await;
    assert_eq!(&enough.unwrap()[..], b"notes");
    // What the access alone says costs no request.
    registry.take_requests();
    let pinned = { resolutions.pin(&right) }.outcome().await.unwrap();
    assert_eq!(json!(pinned.digest), digest_of(b"notes"));
    assert_eq!(registry.take_requests(), [""; 0]);
}

#[tokio::test]
async fn an_artifact_stands_for_its_only_layer() {
    let registry = Registry::start();
    let ocm = Ocm::new(Environment::default());
    let store = ocm.registry(registry.host(), Scheme::Http).await.unwrap();
    let repository = "acme/manifests".parse().unwrap();
    let push = async |content: &[u8]| {
        let blob = ocm::blob::MemoryBlob::new(content.to_vec());
        let blob: ocm::blob::BlobRef = std::sync::Arc::new(blob);
        store.push_blob(&repository, &blob).await.unwrap();
        Entry::of("text/yaml", content)
    };
    let config = push(EMPTY_CONFIG).await;
    let layers = [push(b"a: 1\n").await, push(b"b: 2\n").await];
    let mut packing = Vec::new();
    for (name, layers) in [("one", &layers[..1]), ("two", &layers[..])] {
        let manifest = RawManifest::image(&ImageManifest::new(config.clone(), layers.to_vec()));
        let tag = name.parse().unwrap();
        store
            .push_manifest(&repository, &manifest, Some(&tag))
            .await
            .unwrap();
        let reference = format!("http://{}/acme/manifests:{name}", registry.host());
        packing.push(json!({"type": "ociArtifact", "imageReference": reference}));
    }
    for (version, access) in ["1.0.0", "2.0.0"].iter().zip(packing) {
        let packing = Packing::start(&registry, version).await;
        packing.resource("notes", &access, None).put().await;
    }
    let resolutions = Resolutions::new(Options::new(resolution_options().clock));
    let one = wanted(&resolutions, &registry, "1.0.0").await;
    let content = { resolutions.content(&one, None) }.outcome().await.unwrap();
    assert_eq!(&content[..], b"a: 1\n");
    let two = wanted(&resolutions, &registry, "2.0.0").await;
    let error = { resolutions.content(&two, None) }
        .outcome()
        .await
        .unwrap_err();
    let causes: Vec<_> = ocm::causes(&*error).map(ToString::to_string).collect();
    assert_eq!(
        causes[1],
        "the artifact has 2 layers, and only one with a single layer has content"
    );
}
