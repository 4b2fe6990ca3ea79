//! The examples of the Go project, as far as they go without its neighbours.
//!
//! Names of registries and what is only at them are replaced, as is the key that signatures are
//! verified with, whose private half nobody has published. All else is as it stands. What kro would
//! make of a graph, and read from the status of its resources, is done here.

mod graph;
mod neighbours;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocm::blob::{BlobRef, MemoryBlob};
use ocm::config::{Config, ConfigDocument};
use ocm::constructor::template::Expanded;
use ocm::constructor::{BuildOptions, Constructor, construct};
use ocm::model::ComponentVersionId;
use ocm::oci::{
    Descriptor as Entry, EMPTY_CONFIG, ImageManifest, RawManifest, Reference, Scheme, StoreRef,
};
use ocm::signing::SignOptions;
use ocm::signing::key::KeyFormat;
use ocm::{Environment, KeyMaterial, Located, Ocm, SignRequest, SigningKeys, Use};
use ocm_testkit::web::{Answer, Web};
use ocm_testkit::{Registry, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::running::{kubectl, operator};
use crate::world::{apply, cluster, key, spec, text};

use self::graph::Graph;

/// The namespace that the examples name.
const NAMESPACE: &str = "default";

/// What the examples begin with.
const COMPONENTS: &str = "ocm.software/ocm-k8s-toolkit/examples";

/// The registries that they name.
const REGISTRY: &str = "http://ocm-e2e-image-registry:5000";

/// What they refer to elsewhere.
const CHART: &str = "ghcr.io/stefanprodan/charts/podinfo:6.9.1@sha256:565d310746f1fa4be7f93ba7965bb393153a2d57a15cfe5befc909b790a73f8a";
const IMAGE: &str = "ghcr.io/stefanprodan/podinfo:6.9.1@sha256:262578cde928d5c9eba3bce079976444f624c13ed0afb741d90d5423877496cb";

/// An example, and the registry that takes the place of all others.
struct Example {
    name: &'static str,
    directory: TempDir,
    registry: Registry,
    ocm: Ocm,
    /// What stands in the files, and what takes its place.
    replaced: Vec<(String, String)>,
}

impl Example {
    async fn new(name: &'static str) -> Self {
        operator();
        neighbours::install();
        let directory = TempDir::new().unwrap();
        let registry = Registry::start();
        let ocm = Ocm::new(Environment::default());
        let store = ocm.registry(registry.host(), Scheme::Http).await.unwrap();
        let mut replaced = vec![(REGISTRY.to_owned(), format!("http://{}", registry.host()))];
        for (elsewhere, config, layer) in [
            (
                CHART,
                "application/vnd.cncf.helm.config.v1+json",
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            ),
            (
                IMAGE,
                "application/vnd.oci.image.config.v1+json",
                "application/vnd.oci.image.layer.v1.tar+gzip",
            ),
        ] {
            let here = publish(&store, registry.host(), elsewhere, config, layer).await;
            replaced.push((elsewhere.to_owned(), here));
        }
        let example = Self {
            name,
            directory,
            registry,
            ocm,
            replaced,
        };
        copy(&example.origin(), example.directory.path());
        example
    }

    /// The folder of the example in this project.
    fn origin(&self) -> PathBuf {
        let examples = "../../conformance/examples/controller";
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(examples)
            .join(self.name)
    }

    fn component(&self) -> String {
        format!("{COMPONENTS}/{}", self.name)
    }

    /// A file of the example with what takes the place of others.
    fn text(&self, file: &str) -> String {
        let path = self.origin().join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|it| panic!("{file}: {it}"));
        self.replaced
            .iter()
            .fold(text, |text, (from, to)| text.replace(from, to))
    }

    /// Packs what a constructor describes into the registry.
    async fn pack(&self, constructor: &str) {
        let text = Expanded::verbatim(self.text(constructor));
        let constructor = Constructor::read(&text, constructor).unwrap();
        let target = self
            .ocm
            .open(&spec(&self.registry), Use::Write)
            .await
            .unwrap();
        let mut options = BuildOptions::new(self.directory.path());
        options.inputs = self.ocm.input_methods(&target).await.unwrap();
        options.access = self.ocm.access_methods(&target).await.unwrap();
        options.resolver = Some(Arc::new(self.ocm.resolvers(&target).await.unwrap()));
        construct(&constructor, &target, &options).await.unwrap();
    }

    /// Signs the component version, with a key that takes the place of the one in the example.
    async fn sign(&mut self, version: &str) {
        let key = key();
        let private = key.to_pem(KeyFormat::Pkcs8).unwrap();
        let located = Located {
            repository: spec(&self.registry),
            component: self.component().parse().unwrap(),
            version: Some(version.parse().unwrap()),
            digest: None,
        };
        let request = SignRequest {
            options: SignOptions {
                name: "ocm.software".to_owned(),
                ..SignOptions::default()
            },
            keys: SigningKeys {
                private_key: Some(KeyMaterial::new("a test", private.expose().as_bytes())),
                ..SigningKeys::default()
            },
            ..SignRequest::default()
        };
        self.ocm.sign(&located, &request).await.unwrap();
        let theirs = STANDARD.encode(self.text("ocm.software.pub"));
        assert!(self.text("bootstrap.yaml").contains(&theirs));
        let ours = key.public_key().to_pem(KeyFormat::Pkcs1);
        self.replaced.push((theirs, STANDARD.encode(ours)));
    }

    /// Applies a file, and waits until all that is ours in it is ready.
    fn apply(&self, file: &str) {
        let text = self.text(file);
        apply(NAMESPACE, &text);
        for object in graph::documents(&text) {
            if graph::is_ours(&object) {
                ready(&object);
            }
        }
    }

    /// Makes what kro would make of the graph that was delivered for the instance of the example;
    /// returns it.
    fn instantiate(&self) -> Vec<Value> {
        let delivered = ["get", "resourcegraphdefinition", self.name, "-o", "json"];
        let delivered: Value = serde_json::from_str(&kubectl(NAMESPACE, &delivered)).unwrap();
        let instance = graph::documents(&self.text("instance.yaml")).remove(0);
        let mut graph = Graph::new(&delivered, &instance);
        let mut made = Vec::new();
        while let Some((id, object)) = graph.next() {
            let namespace = object["metadata"]["namespace"].as_str();
            apply(namespace.unwrap_or(NAMESPACE), &object.to_string());
            if graph::is_ours(&object) {
                ready(&object);
            }
            graph.is(id, live(&object));
            made.push(object);
        }
        assert!(made.len() >= 4, "{made:?}");
        made
    }

    /// Tells whether the registry has the artifact that Flux would ask for.
    async fn assert_pulls(&self, made: &[Value]) {
        let source = made.iter().find(|it| it["kind"] == "OCIRepository");
        let source = &source.unwrap()["spec"];
        let url = source["url"].as_str().unwrap();
        let name = url.strip_prefix(&format!("oci://{}/", self.registry.host()));
        let name = name.unwrap_or_else(|| panic!("{url}")).parse().unwrap();
        let digest = source["ref"]["digest"].as_str().unwrap().parse().unwrap();
        let store = self.store().await;
        store
            .manifest(&name, &Reference::Digest(digest))
            .await
            .unwrap();
    }

    async fn store(&self) -> StoreRef {
        let host = self.registry.host();
        self.ocm.registry(host, Scheme::Http).await.unwrap()
    }

    /// Deletes what was made and what was applied, all at once; it goes, with what was deployed.
    fn delete(&self, made: &[Value], files: &[&str]) {
        let made = made.iter().filter(|it| graph::is_ours(it));
        let mut manifests: Vec<_> = made.map(Value::to_string).collect();
        manifests.extend(files.iter().map(|file| self.text(file)));
        let arguments = [
            "delete",
            "-n",
            NAMESPACE,
            "--wait",
            "--timeout=120s",
            "-f",
            "-",
        ];
        let deleted = cluster().kubectl_with(&arguments, &manifests.join("\n---\n"));
        assert!(deleted.status.success(), "{}", text(&deleted.stderr));
    }
}

/// Puts an artifact of a sort where a reference of the examples says, but at a registry of ours;
/// returns the reference to it.
async fn publish(
    store: &StoreRef,
    host: &str,
    elsewhere: &str,
    config_type: &str,
    layer_type: &str,
) -> String {
    let (path, _) = elsewhere.split_once('@').unwrap();
    let (_, path) = path.split_once('/').unwrap();
    let (name, tag) = path.split_once(':').unwrap();
    let (name, tag) = (name.parse().unwrap(), tag.parse().unwrap());
    let push = async |media_type: &str, content: &[u8]| {
        let blob: BlobRef = Arc::new(MemoryBlob::new(content.to_vec()));
        store.push_blob(&name, &blob).await.unwrap();
        Entry::of(media_type, content)
    };
    let config = push(config_type, EMPTY_CONFIG).await;
    let layer = push(layer_type, path.as_bytes()).await;
    let manifest = RawManifest::image(&ImageManifest::new(config, vec![layer]));
    store
        .push_manifest(&name, &manifest, Some(&tag))
        .await
        .unwrap();
    format!("http://{host}/{path}@{}", manifest.digest())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// Waits, as users do, until an object is ready.
fn ready(object: &Value) {
    let name = named(object);
    kubectl(
        NAMESPACE,
        &["wait", "--for=condition=Ready", "--timeout=120s", &name],
    );
}

/// An object as the API server has it.
fn live(object: &Value) -> Value {
    let mut arguments = vec!["get", "-o", "json"];
    if let Some(namespace) = object["metadata"]["namespace"].as_str() {
        arguments.extend(["-n", namespace]);
    }
    let name = named(object);
    arguments.push(&name);
    serde_json::from_str(&kubectl(NAMESPACE, &arguments)).unwrap()
}

/// What kubectl calls an object, with the group of its kind.
fn named(object: &Value) -> String {
    let (kind, version) = (&object["kind"], object["apiVersion"].as_str().unwrap());
    let name = object["metadata"]["name"].as_str().unwrap();
    let kind = kind.as_str().unwrap();
    match version.split_once('/') {
        Some((group, version)) => format!("{kind}.{version}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

/// Everything that an example with a graph shows, but for what kro and Flux do.
fn delivers_a_graph(example: &Example) -> Vec<Value> {
    example.apply("bootstrap.yaml");
    let made = example.instantiate();
    example.delete(&made, &["bootstrap.yaml"]);
    let graph = [
        "get",
        "resourcegraphdefinition",
        "--ignore-not-found",
        example.name,
    ];
    assert_eq!(kubectl(NAMESPACE, &graph), "");
    made
}

async fn delivers_a_chart(name: &'static str) {
    let example = Example::new(name).await;
    example.pack("component-constructor.yaml").await;
    let made = delivers_a_graph(&example);
    example.assert_pulls(&made).await;
}

async fn delivers_a_signed_chart(name: &'static str) {
    let mut example = Example::new(name).await;
    example.pack("component-constructor.yaml").await;
    // Nobody has signed it yet, and what was signed by somebody else does not count, either.
    apply(NAMESPACE, &example.text("bootstrap.yaml"));
    let component = format!("component/{name}-component");
    eventually("the signature is missing", || {
        let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].message}";
        let message = kubectl(NAMESPACE, &["get", &component, "-o", path]);
        let is_missing = message.contains("signature ocm.software not found");
        is_missing.then_some(()).ok_or(message)
    });
    example.sign("1.0.0").await;
    let made = delivers_a_graph(&example);
    example.assert_pulls(&made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_simple_is_delivered() {
    delivers_a_chart("helm-simple").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_simple_nested_status_is_delivered() {
    delivers_a_chart("helm-simple-nested-status").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_nested_is_delivered() {
    delivers_a_chart("helm-nested").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_configuration_localization_is_delivered() {
    let example = Example::new("helm-configuration-localization").await;
    example.pack("component-constructor.yaml").await;
    let made = delivers_a_graph(&example);
    example.assert_pulls(&made).await;
    let release = made.iter().find(|it| it["kind"] == "HelmRelease").unwrap();
    let image = json!({
        "repository": format!("{}/stefanprodan/podinfo", example.registry.host()), "tag": "6.9.1",
    });
    assert_eq!(release["spec"]["values"]["image"], image);
}

/// Both have their key in a secret of one name, so one comes after the other.
#[tokio::test(flavor = "multi_thread")]
async fn helm_signing_is_delivered_and_then_helm_nested_signed() {
    delivers_a_signed_chart("helm-signing").await;
    delivers_a_signed_chart("helm-nested-signed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kustomize_simple_is_delivered() {
    const COMMIT: &str = "cdd09cdd3daacc3082d5a78062ac493806f7abd0";
    let mut example = Example::new("kustomize-simple").await;
    let github = Web::start(|asked| {
        let archive = format!("/api/v3/repos/stefanprodan/podinfo/tarball/{COMMIT}");
        match asked.path() {
            "/archive" => Answer::file("archive").without_tag(),
            path if path == archive => Answer::redirect(&format!("{}/archive", asked.origin())),
            _ => Answer::status(404),
        }
    });
    let address = github.url("/stefanprodan/podinfo");
    let theirs = "https://github.com/stefanprodan/podinfo".to_owned();
    example.replaced.push((theirs, address.clone()));
    example.pack("component-constructor.yaml").await;
    let made = delivers_a_graph(&example);
    let source = made
        .iter()
        .find(|it| it["kind"] == "GitRepository")
        .unwrap();
    assert_eq!(source["spec"]["url"], address);
    assert_eq!(source["spec"]["ref"]["commit"], COMMIT);
}

#[tokio::test(flavor = "multi_thread")]
async fn kustomize_configuration_localization_is_delivered() {
    let example = Example::new("kustomize-configuration-localization").await;
    layout(example.directory.path());
    example.pack("component-constructor.yaml").await;
    let made = delivers_a_graph(&example);
    example.assert_pulls(&made).await;
    let kustomization = made
        .iter()
        .find(|it| it["kind"] == "Kustomization")
        .unwrap();
    let patch = kustomization["spec"]["patches"][0]["patch"]
        .as_str()
        .unwrap();
    let image = format!(
        "value: {}/stefanprodan/podinfo@sha256:",
        example.registry.host()
    );
    assert!(patch.contains(&image), "{patch}");
}

/// Makes the layout that the example has others build of its folder `kustomize`.
fn layout(directory: &Path) {
    let blobs = directory.join("oci-layout/blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |media_type: &str, content: &[u8]| {
        let digest = ocm::digest::Digest::sha256(content);
        fs::write(blobs.join(digest.to_hex()), content).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": content.len()})
    };
    let mut layers = Vec::new();
    for file in ["deployment.yaml", "hpa.yaml", "kustomization.yaml"] {
        let content = fs::read(directory.join("kustomize").join(file)).unwrap();
        layers.push(put("application/yaml", &content));
    }
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put("application/vnd.oci.image.config.v1+json", b"{}"), "layers": layers,
    });
    let manifest = put(
        "application/vnd.oci.image.manifest.v1+json",
        manifest.to_string().as_bytes(),
    );
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    let layout = directory.join("oci-layout");
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
}

/// Both deploy a service of one name, so one comes after the other.
#[tokio::test(flavor = "multi_thread")]
async fn applyset_pruning_is_delivered_and_then_k8s_manifest_simple() {
    let example = Example::new("applyset-pruning").await;
    example.pack("component-constructor.yaml").await;
    example.apply("bootstrap.yaml");
    example.apply("bootstrap-deployer.yaml");
    let first = ["deployment/applyset-pruning-podinfo", "service/podinfo"];
    let second = ["deployment/applyset-pruning-podinfo-2", "service/podinfo-2"];
    for name in first.iter().chain(&second) {
        kubectl(NAMESPACE, &["get", name]);
    }
    example.pack("component-constructor-2.yaml").await;
    let next = example
        .text("bootstrap.yaml")
        .replace("semver: 1.0.0", "semver: 2.0.0");
    apply(NAMESPACE, &next);
    for name in second {
        let gone = ["wait", "--for=delete", "--timeout=120s", name];
        kubectl(NAMESPACE, &gone);
    }
    let applied = format!(
        "--for=jsonpath={{.status.conditions[?(@.type==\"Ready\")].message}}=Applied {}:2.0.0, \
         resource applyset-pruning-resource",
        example.component()
    );
    let deployer = "deployer/applyset-pruning-deployer";
    kubectl(NAMESPACE, &["wait", &applied, "--timeout=120s", deployer]);
    for name in first {
        kubectl(NAMESPACE, &["get", name]);
    }
    example.delete(&[], &["bootstrap.yaml", "bootstrap-deployer.yaml"]);
    for name in first {
        assert_eq!(kubectl(NAMESPACE, &["get", "--ignore-not-found", name]), "");
    }

    let example = Example::new("k8s-manifest-simple").await;
    example.pack("component-constructor.yaml").await;
    example.apply("bootstrap.yaml");
    let deployed = ["deployment/k8s-manifest-simple-podinfo", "service/podinfo"];
    for name in deployed {
        kubectl(NAMESPACE, &["get", name]);
    }
    example.delete(&[], &["bootstrap.yaml"]);
    for name in deployed {
        assert_eq!(kubectl(NAMESPACE, &["get", "--ignore-not-found", name]), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replication_simple_is_delivered() {
    const TARGET: &str = "protected-registry1-internal.default.svc.cluster.local";
    let mut example = Example::new("replication-simple").await;
    let target = Registry::with_password("admin", "admin");
    let (host, port) = target.host().split_once(':').unwrap();
    let replaced = [
        (
            "image-registry:5000".to_owned(),
            example.registry.host().to_owned(),
        ),
        (format!("{TARGET}:5002"), target.host().to_owned()),
        (TARGET.to_owned(), host.to_owned()),
        ("port: 5002".to_owned(), format!("port: {port}")),
        ("port: \"5002\"".to_owned(), format!("port: \"{port}\"")),
    ];
    let manifests = example.text("manifests.yaml");
    let secret = graph::documents(&manifests).remove(0);
    let secret = secret["data"][".ocmconfig"].as_str().unwrap().to_owned();
    let config = String::from_utf8(STANDARD.decode(&secret).unwrap()).unwrap();
    let config = { replaced.iter() }.fold(config, |text, (from, to)| text.replace(from, to));
    example.replaced.push((secret, STANDARD.encode(&config)));
    example.replaced.extend(replaced);
    example.pack("component-constructor.yaml").await;
    example.apply("manifests.yaml");

    let config = Config::new([ConfigDocument::parse(&config, "a test").unwrap()]);
    let ocm = Ocm::with_documents(Environment::default(), config);
    let target = ocm.open(&spec(&target), Use::Read).await.unwrap();
    let id = format!("{}:1.0.0", example.component());
    let id: ComponentVersionId = id.parse().unwrap();
    let replicated = target.component_version(&id).await.unwrap();
    assert_eq!(replicated.descriptor.resources().len(), 1);
    example.delete(&[], &["manifests.yaml"]);
}
