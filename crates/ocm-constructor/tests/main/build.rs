//! Building component versions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ocm_blob::MemoryBlob;
use ocm_constructor::build::{
    BuildError, BuildOptions, BuildOutcome, ConflictPolicy, ExternalPolicy, ReferenceDigests,
};
use ocm_constructor::{BuildReport, construct};
use ocm_digest::HashAlgorithm;
use ocm_model::{Access, Descriptor};
use ocm_repository::{AccessMethod, AccessMethods, Content, Error, RepositoryRef};

use crate::fake::{Fake, constructor};

fn product() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/go-tools")
}

async fn build(
    text: &str,
    target: &Arc<Fake>,
    options: &BuildOptions,
) -> Result<BuildReport, BuildError> {
    construct(&constructor(text), &target.as_ref(), options).await
}

fn options() -> BuildOptions {
    BuildOptions::new(product().join("input"))
}

/// The text of a component with one resource.
fn component(name: &str, data: &str, references: &str) -> String {
    format!(
        "- name: acme.org/{name}\n  version: 1.0.0\n  provider: acme.org\n  \
         componentReferences: [{references}]\n  \
         resources: [{{name: data, type: blob, input: {{type: utf8, text: \"{data}\"}}}}]\n"
    )
}

fn components(parts: &[String]) -> String {
    format!("components:\n{}", parts.concat())
}

fn to(name: &str) -> String {
    format!("{{name: to-{name}, componentName: acme.org/{name}, version: 1.0.0}}")
}

#[tokio::test]
async fn the_go_tools_write_the_same_descriptor() {
    let text = std::fs::read_to_string(product().join("input/component-constructor.yaml")).unwrap();
    // Charts need a method of another crate; images are stored as blobs by this repository.
    let text: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("name: chart") && !line.contains("name: image"))
        .collect();
    let target = Fake::new();
    build(&text.join("\n"), &target, &options()).await.unwrap();

    let go = |name: &str| {
        let bytes = std::fs::read(product().join(name)).unwrap();
        Descriptor::read_json(&bytes).unwrap()
    };
    let ours = target.descriptor("acme.org/bar/leaf:1.0.0");
    assert_eq!(ours.write_json(), go("v2-leaf.json").write_json());

    let ours = target.descriptor("acme.org/bar/product:1.0.0");
    let theirs = go("v2-product.json");
    assert_eq!(ours.references(), theirs.references());
    assert_eq!(ours.resources()[0], theirs.resources()[0]);
    assert_eq!(ours.provider(), theirs.provider());
    // The Go tool loses the version of the label.
    let mut labels = ours.labels();
    assert_eq!(labels[0].version.take().as_deref(), Some("v1"));
    assert_eq!(labels, theirs.labels());
    let tree = &ours.resources()[1];
    assert_eq!(
        tree.access
            .as_ref()
            .unwrap()
            .as_local_blob()
            .unwrap()
            .media_type,
        "application/x-tar"
    );
}

#[tokio::test]
async fn descriptors_come_last_and_children_before_parents() {
    let target = Fake::new();
    let text = components(&[
        component("top", "x", &to("leaf")),
        component("leaf", "y", ""),
    ]);
    let report = build(&text, &target, &options()).await.unwrap();
    assert_eq!(
        *target.log.lock().unwrap(),
        [
            "content of acme.org/top:1.0.0",
            "content of acme.org/leaf:1.0.0",
            "descriptor of acme.org/leaf:1.0.0",
            "descriptor of acme.org/top:1.0.0",
            "commit",
        ]
    );
    let ids: Vec<String> = report
        .versions
        .iter()
        .map(|version| version.id.to_string())
        .collect();
    assert_eq!(ids, ["acme.org/top:1.0.0", "acme.org/leaf:1.0.0"]);
    assert_eq!(report.size, 2);
}

#[tokio::test]
async fn the_same_content_is_one_blob() {
    let target = Fake::new();
    let text = components(&[component("a", "same", ""), component("b", "same", "")]);
    build(&text, &target, &options()).await.unwrap();
    assert_eq!(target.blobs.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_is_written_if_any_version_exists() {
    let target = Fake::new();
    build(
        &components(&[component("a", "old", "")]),
        &target,
        &options(),
    )
    .await
    .unwrap();
    let before = target.log.lock().unwrap().len();
    let text = components(&[component("b", "x", ""), component("a", "new", "")]);
    let error = build(&text, &target, &options()).await.unwrap_err();
    assert_eq!(error.to_string(), "already in memory: acme.org/a:1.0.0");
    assert_eq!(target.log.lock().unwrap().len(), before);
}

#[tokio::test]
async fn existing_versions_are_skipped_or_replaced_on_demand() {
    let target = Fake::new();
    build(
        &components(&[component("a", "old", "")]),
        &target,
        &options(),
    )
    .await
    .unwrap();
    let old = target.descriptor("acme.org/a:1.0.0");
    let text = components(&[component("b", "x", &to("a")), component("a", "new", "")]);

    let skip = BuildOptions {
        conflict: ConflictPolicy::Skip,
        ..options()
    };
    let report = build(&text, &target, &skip).await.unwrap();
    let outcomes = |report: &BuildReport| -> Vec<BuildOutcome> {
        report
            .versions
            .iter()
            .map(|version| version.outcome)
            .collect()
    };
    assert_eq!(
        outcomes(&report),
        [BuildOutcome::Added, BuildOutcome::Skipped]
    );
    assert_eq!(target.descriptor("acme.org/a:1.0.0"), old);
    let to_old = target.descriptor("acme.org/b:1.0.0").references()[0]
        .digest
        .clone();

    let replace = BuildOptions {
        conflict: ConflictPolicy::Replace,
        ..options()
    };
    let report = build(&text, &target, &replace).await.unwrap();
    assert_eq!(
        outcomes(&report),
        [BuildOutcome::Replaced, BuildOutcome::Replaced]
    );
    assert_ne!(target.descriptor("acme.org/a:1.0.0"), old);
    assert_ne!(
        target.descriptor("acme.org/b:1.0.0").references()[0].digest,
        to_old
    );
}

#[tokio::test]
async fn references_are_looked_up_in_the_target_and_then_elsewhere() {
    let (target, elsewhere) = (Fake::new(), Fake::new());
    let text = components(&[component("top", "x", &to("leaf"))]);
    let error = build(&text, &target, &options()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "c.yaml:5:25: components[0].componentReferences[0]: component version acme.org/leaf:1.0.0 \
         is neither in this file nor in memory"
    );
    assert!(target.log.lock().unwrap().is_empty());

    build(
        &components(&[component("leaf", "y", "")]),
        &elsewhere,
        &options(),
    )
    .await
    .unwrap();
    let resolver: Vec<RepositoryRef> = vec![elsewhere.as_ref()];
    let found = BuildOptions {
        resolver: Some(Arc::new(resolver)),
        ..options()
    };
    build(&text, &target, &found).await.unwrap();
    let digest = target.descriptor("acme.org/top:1.0.0").references()[0]
        .digest
        .clone()
        .unwrap();
    assert_eq!(digest.normalisation_algorithm, "jsonNormalisation/v4alpha1");
    assert_eq!(target.ids(), ["acme.org/top:1.0.0"]);
}

#[tokio::test]
async fn what_is_referred_to_is_brought_along_with_everything_below() {
    let (target, elsewhere) = (Fake::new(), Fake::new());
    let below = components(&[
        component("mid", "m", &format!("{}, {}", to("leaf"), to("side"))),
        component("side", "s", &to("leaf")),
        component("leaf", "l", ""),
    ]);
    build(&below, &elsewhere, &options()).await.unwrap();
    let resolver: Vec<RepositoryRef> = vec![elsewhere.as_ref()];
    let along = BuildOptions {
        resolver: Some(Arc::new(resolver)),
        external: ExternalPolicy::CopyOrFail,
        ..options()
    };
    let text = components(&[component("top", "x", &to("mid"))]);
    let report = build(&text, &target, &along).await.unwrap();
    let copied: Vec<String> = report.copied.iter().map(ToString::to_string).collect();
    assert_eq!(
        copied,
        [
            "acme.org/leaf:1.0.0",
            "acme.org/side:1.0.0",
            "acme.org/mid:1.0.0"
        ]
    );
    for id in [
        "acme.org/leaf:1.0.0",
        "acme.org/side:1.0.0",
        "acme.org/mid:1.0.0",
    ] {
        assert_eq!(target.descriptor(id), elsewhere.descriptor(id));
    }
    assert_eq!(target.blobs.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_wrong_digest_of_a_reference_is_refused_unless_nothing_is_computed() {
    let wrong = "{name: to-leaf, componentName: acme.org/leaf, version: 1.0.0, digest: \
                 {hashAlgorithm: SHA-256, normalisationAlgorithm: jsonNormalisation/v4alpha1, value: ab}}";
    let text = components(&[component("top", "x", wrong), component("leaf", "y", "")]);
    let error = build(&text, &Fake::new(), &options())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(
            "c.yaml:5:25: components[0].componentReferences[0]: component version \
             acme.org/leaf:1.0.0 has the digest SHA-256:"
        ) && error.ends_with(
            " (jsonNormalisation/v4alpha1), not SHA-256:ab (jsonNormalisation/v4alpha1) as given"
        ),
        "{error}"
    );
    let trusting = BuildOptions {
        reference_digests: ReferenceDigests::Skip,
        ..options()
    };
    let target = Fake::new();
    build(&text, &target, &trusting).await.unwrap();
    let digest = target.descriptor("acme.org/top:1.0.0").references()[0]
        .digest
        .clone();
    assert_eq!(digest.unwrap().value, "ab");
}

/// Hands out the text in the access, and pins by adding a field.
#[derive(Debug)]
struct Texts;

#[async_trait]
impl AccessMethod for Texts {
    fn handles(&self, access: &Access) -> bool {
        access.type_text() == "texts"
    }

    async fn content(&self, access: &Access) -> Result<Content, Error> {
        let text = access.as_spec().required_text("text").unwrap();
        Ok(Content::Blob(Arc::new(MemoryBlob::new(text))))
    }

    async fn pin(&self, access: &Access) -> Result<Access, Error> {
        Ok(Access::new(access.as_spec().clone().with("pinned", true)))
    }
}

fn external(access: &str, digest: &str) -> String {
    format!(
        "name: acme.org/x\nversion: 1.0.0\nprovider: acme.org\nresources:\n\
         - {{name: data, type: blob, version: 1.0.0, access: {access}, digest: {digest}}}\n"
    )
}

fn with_texts() -> BuildOptions {
    BuildOptions {
        access: AccessMethods::new().with(Texts),
        ..options()
    }
}

#[tokio::test]
async fn content_elsewhere_is_pinned_and_digested() {
    let target = Fake::new();
    build(
        &external("{type: texts, text: a}", "~"),
        &target,
        &with_texts(),
    )
    .await
    .unwrap();
    let resource = target.descriptor("acme.org/x:1.0.0").resources().remove(0);
    assert_eq!(
        resource.digest.unwrap().value,
        ocm_digest::Digest::sha256("a").to_hex()
    );
    assert_eq!(resource.access.unwrap().as_json()["pinned"], true);
    assert!(target.blobs.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_digest_as_given_must_be_that_of_the_content() {
    let digest = |algorithm: HashAlgorithm, text: &str| {
        format!(
            "{{hashAlgorithm: {}, normalisationAlgorithm: genericBlobDigest/v1, value: {}}}",
            algorithm.ocm_name(),
            algorithm.digest(text).to_hex()
        )
    };
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        let right = external("{type: texts, text: a}", &digest(algorithm, "a"));
        build(&right, &Fake::new(), &with_texts()).await.unwrap();
        let wrong = external("{type: texts, text: b}", &digest(algorithm, "a"));
        let error = build(&wrong, &Fake::new(), &with_texts())
            .await
            .unwrap_err();
        assert!(
            matches!(error, BuildError::DigestMismatch { .. }),
            "{error}"
        );
    }
    let excluded = "{hashAlgorithm: NO-DIGEST, normalisationAlgorithm: EXCLUDE-FROM-SIGNATURE, value: NO-DIGEST}";
    let text = external("{type: texts, text: a}", excluded);
    let target = Fake::new();
    build(&text, &target, &with_texts()).await.unwrap();
    assert!(
        target.descriptor("acme.org/x:1.0.0").resources()[0]
            .digest
            .as_ref()
            .unwrap()
            .is_excluded()
    );
}

#[tokio::test]
async fn an_access_of_unknown_type_passes_with_a_warning() {
    let target = Fake::new();
    let text = external("{type: acme/v1, x: [1, null]}", "~");
    let report = build(&text, &target, &options()).await.unwrap();
    assert_eq!(
        report.warnings[0].to_string(),
        "c.yaml:5:3: resources[0]: has no digest, as content with access type `acme/v1` cannot be read"
    );
    let resource = target.descriptor("acme.org/x:1.0.0").resources().remove(0);
    assert_eq!(resource.digest, None);
    assert_eq!(
        serde_json::to_string(&resource.access.unwrap()).unwrap(),
        r#"{"type":"acme/v1","x":[1,null]}"#
    );
}
