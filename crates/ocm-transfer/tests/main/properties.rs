//! Whatever a component version has: on its way through places of every kind, and back, nothing but
//! accesses changes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ocm_backends::OciComponentRepository;
use ocm_ctf::{Access as Usage, Scratch};
use ocm_digest::HashAlgorithm;
use ocm_model::{Access, Descriptor, DigestSpec, NormalisationAlgorithm};
use ocm_oci::{
    Descriptor as Entry, ImageManifest, Push as _, RawManifest, RegistryClient, RegistryOptions,
    StoreRef,
};
use ocm_repository::{Content, CopyOptions, RepositoryRef};
use ocm_testkit::Registry;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::world::{
    ID, Place, blob, check_only_access_differs, component_digest, id, image, read, sign, transfer,
};

/// What there is to transfer.
#[derive(Clone, Debug)]
struct Version {
    labels: Vec<Label>,
    provider: Vec<Label>,
    creation_time: bool,
    unknown: Option<Value>,
    resources: Vec<Element>,
    sources: Vec<Element>,
    references: Vec<Element>,
    is_signed: bool,
    has_timestamp: bool,
}

#[derive(Clone, Debug)]
struct Label {
    value: Value,
    signing: Option<bool>,
    version: Option<u8>,
    unknown: Option<Value>,
}

#[derive(Clone, Debug)]
struct Element {
    content: Kind,
    hash: Hash,
    labels: Vec<Label>,
    extra: BTreeMap<String, String>,
    unknown: Option<Value>,
}

#[derive(Clone, Debug)]
enum Kind {
    Blob(String),
    /// An image, and whether something refers to it.
    Artifact(String, bool),
    External,
    Nothing,
}

#[derive(Clone, Copy, Debug)]
enum Hash {
    None,
    Sha256,
    Sha512,
    Excluded,
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z<>&\u{e4}\u{2028}\\\\\"]{0,8}".prop_map(Value::from),
        Just(json!(1.5)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-zA-Z]{1,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn labels() -> impl Strategy<Value = Vec<Label>> {
    let label = (
        value(),
        option::of(any::<bool>()),
        option::of(1_u8..9),
        option::of(value()),
    );
    let label = label.prop_map(|(value, signing, version, unknown)| Label {
        value,
        signing,
        version,
        unknown,
    });
    vec(label, 0..3)
}

fn element() -> impl Strategy<Value = Element> {
    let content = prop_oneof![
        4 => "[a-z]{0,9}".prop_map(Kind::Blob),
        3 => ("[a-z]{1,9}", any::<bool>()).prop_map(|(text, referred)| Kind::Artifact(text, referred)),
        1 => Just(Kind::External),
        1 => Just(Kind::Nothing),
    ];
    let hash = prop_oneof![
        Just(Hash::None),
        Just(Hash::Sha256),
        Just(Hash::Sha512),
        Just(Hash::Excluded),
    ];
    let extra = btree_map("[a-z]{1,5}", "[a-z0-9./]{1,6}", 0..3);
    (content, hash, labels(), extra, option::of(value())).prop_map(
        |(content, hash, labels, extra, unknown)| Element {
            content,
            hash,
            labels,
            extra,
            unknown,
        },
    )
}

fn version() -> impl Strategy<Value = Version> {
    (
        (labels(), labels(), any::<bool>(), option::of(value())),
        vec(element(), 0..5),
        vec(element(), 0..3),
        vec(element(), 0..3),
        any::<(bool, bool)>(),
    )
        .prop_map(
            |(
                (labels, provider, creation_time, unknown),
                resources,
                sources,
                references,
                flags,
            )| {
                Version {
                    labels,
                    provider,
                    creation_time,
                    unknown,
                    resources,
                    sources,
                    references,
                    is_signed: flags.0,
                    has_timestamp: flags.1,
                }
            },
        )
}

fn label_list(labels: &[Label]) -> Value {
    let labels = labels.iter().enumerate().map(|(number, label)| {
        let mut fields = json!({"name": format!("acme.org/l{number}"), "value": label.value});
        if let Some(signing) = label.signing {
            fields["signing"] = signing.into();
        }
        if let Some(version) = label.version {
            fields["version"] = format!("v{version}").into();
        }
        if let Some(unknown) = &label.unknown {
            fields["ownField"] = unknown.clone();
        }
        fields
    });
    labels.collect()
}

/// Puts content into a place, and returns its access and its digests.
async fn put(place: &Place, kind: &Kind, number: usize) -> (Value, BTreeMap<&'static str, Value>) {
    let content = match kind {
        Kind::Blob(text) => Content::Blob(blob(text, "text/plain")),
        Kind::Artifact(text, is_referred) => {
            let artifact = image(&place.store, &format!("images/i{number}"), "1", text).await;
            if *is_referred {
                let mut manifest = ImageManifest::new(
                    Entry::of("application/vnd.oci.empty.v1+json", b"{}"),
                    Vec::new(),
                );
                manifest.artifact_type = Some("application/vnd.acme.note".to_owned());
                manifest.subject = Some(artifact.root.clone());
                let manifest = RawManifest::image(&manifest);
                let pushed = place
                    .store
                    .push_manifest(&artifact.repository, &manifest, None);
                pushed.await.unwrap();
            }
            Content::Artifact(Box::new(artifact))
        }
        Kind::External => {
            let access = json!({"type": "acmeOwn/v1", "place": number, "more": {"a": null}});
            return (access, BTreeMap::new());
        }
        Kind::Nothing => return (json!({"type": "none"}), BTreeMap::new()),
    };
    let (id, options) = (id(ID), CopyOptions::default());
    let added = place.repository.add_content(&id, &content, None, &options);
    let added = added.await.unwrap();
    let mut digests = BTreeMap::from([("sha256", serde_json::to_value(&added.digest).unwrap())]);
    if let Kind::Blob(text) = kind {
        let digest = HashAlgorithm::Sha512.digest(text);
        let spec = DigestSpec::generic_blob(&digest);
        digests.insert("sha512", serde_json::to_value(spec).unwrap());
    }
    (added.access.into_json(), digests)
}

/// Makes a list of elements, with names of their own.
async fn elements(place: &Place, list: &[Element], kind: &str, from: usize) -> Value {
    let mut values = Vec::new();
    for (number, element) in list.iter().enumerate() {
        let mut fields = Map::new();
        fields.insert("name".into(), format!("{kind}{number}").into());
        fields.insert("version".into(), "1.0.0".into());
        fields.insert("labels".into(), label_list(&element.labels));
        if !element.extra.is_empty() {
            fields.insert("extraIdentity".into(), json!(element.extra));
        }
        if let Some(unknown) = &element.unknown {
            fields.insert("ownField".into(), unknown.clone());
        }
        if kind == "reference" {
            let digest = DigestSpec::generic_blob(&HashAlgorithm::Sha256.digest("elsewhere"));
            fields.insert("componentName".into(), "acme.org/elsewhere".into());
            fields.insert("digest".into(), serde_json::to_value(digest).unwrap());
        } else {
            let (access, digests) = put(place, &element.content, from + number).await;
            fields.insert("type".into(), "blob".into());
            fields.insert("access".into(), access);
            let digest = match element.hash {
                _ if kind == "source" => None,
                Hash::None => None,
                Hash::Sha256 => digests.get("sha256").cloned(),
                Hash::Sha512 => digests.get("sha512").cloned(),
                Hash::Excluded => Some(serde_json::to_value(DigestSpec::excluded()).unwrap()),
            };
            if kind == "resource" {
                fields.insert("relation".into(), "local".into());
            }
            if let Some(digest) = digest {
                fields.insert("digest".into(), digest);
            }
        }
        values.push(Value::Object(fields));
    }
    Value::Array(values)
}

/// Puts a component version into a place.
async fn build(place: &Place, version: &Version) -> Descriptor {
    let mut component = json!({
        "name": "acme.org/notes",
        "version": "1.0.0",
        "provider": "acme",
        "repositoryContexts": [],
        "labels": label_list(&version.labels),
        "resources": elements(place, &version.resources, "resource", 0).await,
        "sources": elements(place, &version.sources, "source", 100).await,
        "componentReferences": elements(place, &version.references, "reference", 0).await,
    });
    if !version.provider.is_empty() {
        let provider = json!({"name": "acme", "labels": label_list(&version.provider)});
        component["provider"] = provider.to_string().into();
    }
    if version.creation_time {
        component["creationTime"] = "2026-01-01T00:00:00Z".into();
    }
    if let Some(unknown) = &version.unknown {
        component["ownField"] = unknown.clone();
    }
    let document = json!({"meta": {"schemaVersion": "v2"}, "component": component});
    let mut descriptor = Descriptor::from_document(document).unwrap();
    if version.is_signed {
        for algorithm in [
            NormalisationAlgorithm::JsonV3,
            NormalisationAlgorithm::JsonV4Alpha1,
        ] {
            sign(&mut descriptor, algorithm.as_str(), algorithm);
        }
    }
    if version.is_signed && version.has_timestamp {
        let mut document = descriptor.to_document();
        let timestamp =
            json!({"value": "-----BEGIN TIMESTAMP-----", "time": "2026-01-01T00:00:00Z"});
        document["signatures"][0]["timestamp"] = timestamp;
        descriptor = Descriptor::from_document(document).unwrap();
    }
    place.put(&descriptor).await;
    descriptor
}

async fn archive(path: &Path) -> RepositoryRef {
    let store = ocm_ctf::open(path, Usage::ReadWrite, &Scratch::default()).await;
    Arc::new(OciComponentRepository::new(store.unwrap(), None))
}

/// Reads the contents of all local blobs, and counts what refers to artifacts.
async fn contents(place: &RepositoryRef) -> Vec<(Vec<u8>, usize)> {
    let descriptor = read(place, ID).await;
    let resources = descriptor.resources().into_iter().map(|it| it.access);
    let sources = descriptor.sources().into_iter().map(|it| it.access);
    let accesses = resources.chain(sources).flatten();
    let mut all = Vec::new();
    for access in accesses.filter(Access::is_local) {
        all.push(match place.local_content(&id(ID), &access).await.unwrap() {
            Content::Blob(blob) => {
                let bytes = ocm_blob::read_to_end(blob.as_ref(), 1 << 20).await.unwrap();
                (bytes.to_vec(), 0)
            }
            Content::Artifact(artifact) => {
                let options = CopyOptions::default();
                let (store, repository) = (&artifact.store, &artifact.repository);
                let checked = ocm_oci::check_graph(store, repository, &artifact.root, &options);
                checked.await.unwrap();
                let referrers = store.referrers(repository, &artifact.root.digest).await;
                let digest = artifact.root.digest.as_bytes().to_vec();
                (digest, referrers.unwrap().len())
            }
        });
    }
    all
}

/// Returns how many referrers there were to bring along.
async fn check(version: &Version) -> usize {
    let source = Place::new();
    let before = build(&source, version).await;
    let directory = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    let client = RegistryClient::new(RegistryOptions::new(registry.host())).unwrap();
    let store: StoreRef = Arc::new(client);
    let remote: RepositoryRef = Arc::new(OciComponentRepository::new(store, None));
    let mut places: Vec<RepositoryRef> = vec![source.repository.clone()];
    for name in ["a", "a.tar", "a.tgz"] {
        places.push(archive(&directory.path().join(name)).await);
    }
    places.push(remote);
    places.push(archive(&directory.path().join("b")).await);
    let expected = contents(&source.repository).await;
    for pair in places.windows(2) {
        let [from, to] = pair else { unreachable!() };
        let to_name = to.location();
        transfer(from, to, ocm_transfer::TransferOptions::default(), &[ID])
            .await
            .unwrap();
        let after = read(to, ID).await;
        check_only_access_differs(&before, &after);
        assert_eq!(component_digest(&before), component_digest(&after));
        assert_eq!(contents(to).await, expected, "{to_name}");
    }
    expected.iter().map(|(_, referrers)| referrers).sum()
}

#[test]
fn nothing_but_accesses_changes_on_any_way() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config {
        cases: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let seed = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, seed);
    let referrers = Cell::new(0);
    let checked = runner.run(&version(), |version| {
        referrers.set(referrers.get() + runtime.block_on(check(&version)));
        Ok(())
    });
    checked.unwrap();
    assert!(referrers.get() > 5, "what is made refers to something");
}
