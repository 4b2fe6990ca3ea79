//! The product that the Go tools have packed, packed again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ocm_backends::OciComponentRepository;
use ocm_backends::helm::HelmInput;
use ocm_constructor::{BuildOptions, BuildReport, Constructor, InputMethods, construct};
use ocm_model::{Descriptor, DigestSpec, NormalisationAlgorithm, Resource};
use ocm_oci::{MemoryStore, StoreRef};
use ocm_repository::{Content, RepositoryRef};

fn product() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/go-tools")
}

fn by_go(name: &str) -> Descriptor {
    Descriptor::read_json(&std::fs::read(product().join(name)).unwrap()).unwrap()
}

fn media_type(resource: &Resource) -> String {
    resource
        .access
        .as_ref()
        .unwrap()
        .as_local_blob()
        .unwrap()
        .media_type
}

/// Reads a component version that has been built.
async fn built(target: &RepositoryRef, report: &BuildReport, index: usize) -> Descriptor {
    let stored = target.component_version(&report.versions[index].id).await;
    stored.unwrap().descriptor
}

#[tokio::test]
async fn the_product_has_the_digests_that_the_go_tools_gave_it() {
    let store: StoreRef = Arc::new(MemoryStore::new());
    let target: RepositoryRef = Arc::new(OciComponentRepository::new(store, None));
    let text = std::fs::read_to_string(product().join("input/component-constructor.yaml")).unwrap();
    let constructor = Constructor::parse(&text, "component-constructor.yaml").unwrap();
    let options = BuildOptions {
        inputs: InputMethods::files().with(HelmInput::local()),
        ..BuildOptions::new(product().join("input"))
    };
    let report = construct(&constructor, &target, &options).await.unwrap();
    assert!(report.warnings.is_empty());

    let (leaf, whole) = (
        built(&target, &report, 0).await,
        built(&target, &report, 1).await,
    );
    let algorithm = NormalisationAlgorithm::JsonV4Alpha1;
    assert_eq!(
        leaf.normalise(algorithm),
        by_go("v2-leaf.json").normalise(algorithm)
    );

    let theirs = by_go("v2-product.json");
    assert_eq!(whole.references(), theirs.references());
    let (ours, theirs) = (whole.resources(), theirs.resources());
    assert_eq!(ours[0], theirs[0]);
    // The tree has no times here, and the chart no time of its making; all else is the same.
    for (index, name) in ["tree", "chart", "image"].into_iter().enumerate() {
        let (ours, theirs) = (&ours[index + 1], &theirs[index + 1]);
        assert_eq!((ours.name.as_str(), theirs.name.as_str()), (name, name));
        assert_eq!(
            (&ours.r#type, &ours.version, ours.relation),
            (&theirs.r#type, &theirs.version, theirs.relation)
        );
        assert_eq!(media_type(ours), media_type(theirs));
    }
    let (ours, theirs) = (
        ours[3].digest.clone().unwrap(),
        theirs[3].digest.clone().unwrap(),
    );
    assert_eq!(ours.value, theirs.value);
    assert_eq!(ours.normalisation_algorithm, DigestSpec::OCI_ARTIFACT);

    let id = whole.id();
    for resource in &whole.resources()[2..] {
        let content = target
            .local_content(id, resource.access.as_ref().unwrap())
            .await
            .unwrap();
        assert!(matches!(content, Content::Artifact(_)), "{}", resource.name);
    }
}
