//! What the tests share: a cluster with our definitions, and registries with component versions.

use std::sync::OnceLock;
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use ocm::model::{ComponentVersionId, Descriptor, Provider, RepositorySpec, TypedSpec};
use ocm::repository::Expected;
use ocm::signing::key::{KeyFormat, PrivateKey};
use ocm::signing::keyed::KeySigner;
use ocm::signing::rsa::RsaAlgorithm;
use ocm::signing::{SignOptions, sign};
use ocm::{Environment, Ocm, Timestamp, Use};
use ocm_controllers::resolution;
use ocm_testkit::{Cluster, Registry};

/// The component that tests publish.
pub(crate) const COMPONENT: &str = "acme.org/shop";

/// The cluster of all tests, with our definitions.
pub(crate) fn cluster() -> &'static Cluster {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    let cluster = Cluster::shared();
    INSTALLED.get_or_init(|| install(cluster));
    cluster
}

/// Gives a cluster our definitions.
pub(crate) fn install(cluster: &Cluster) {
    let definitions = ocm_controllers::api::definitions().into_iter();
    let definitions: Vec<_> = definitions
        .map(|it| serde_saphyr::to_string(&it).expect("as YAML"))
        .collect();
    let output = cluster.kubectl_with(
        &["apply", "--server-side", "-f", "-"],
        &definitions.join("\n---\n"),
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "customresourcedefinitions",
        "--all",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A client that may do everything.
pub(crate) async fn client() -> Client {
    client_of(&cluster().kubeconfig()).await
}

/// A client by a kubeconfig.
pub(crate) async fn client_of(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

/// What was read is looked at again each time, and nobody comes back for it.
pub(crate) fn resolution_options() -> resolution::Options {
    resolution::Options {
        fresh_for: Duration::ZERO,
        kept_for: Duration::ZERO,
        ..resolution::Options::new(Timestamp::now)
    }
}

/// Applies a manifest.
pub(crate) fn apply(namespace: &str, manifest: &str) {
    let arguments = ["apply", "--server-side", "-n", namespace, "-f", "-"];
    let output = cluster().kubectl_with(&arguments, manifest);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// The repository of the tests on a registry.
pub(crate) fn spec(registry: &Registry) -> RepositorySpec {
    let url = format!("http://{}", registry.host());
    let spec = TypedSpec::new("OCIRegistry/v1").with("baseUrl", url);
    RepositorySpec::try_from(spec).unwrap()
}

/// A descriptor of the component, with nothing in it.
pub(crate) fn descriptor(version: &str) -> Descriptor {
    let id: ComponentVersionId = format!("{COMPONENT}:{version}").parse().unwrap();
    Descriptor::new(id.name, id.version, &Provider::new("acme.org"))
}

/// Writes component versions to a registry that is open to all.
pub(crate) async fn publish(registry: &Registry, descriptors: &[Descriptor]) {
    publish_with(&Ocm::new(Environment::default()), registry, descriptors).await;
}

/// Writes component versions with the credentials of a session.
pub(crate) async fn publish_with(ocm: &Ocm, registry: &Registry, descriptors: &[Descriptor]) {
    let repository = ocm.open(&spec(registry), Use::Write).await.unwrap();
    for descriptor in descriptors {
        let written = repository.put(descriptor, Expected::Anything).await;
        written.unwrap();
    }
    repository.commit().await.unwrap();
}

/// A key to sign with.
pub(crate) fn key() -> PrivateKey {
    PrivateKey::generate_rsa(2048).unwrap()
}

/// The public key in PEM.
pub(crate) fn public(key: &PrivateKey) -> String {
    key.public_key().to_pem(KeyFormat::Pkcs8)
}

/// Signs a descriptor as it is.
pub(crate) async fn signed(mut descriptor: Descriptor, name: &str, key: &PrivateKey) -> Descriptor {
    let signer = KeySigner::new(key.clone(), RsaAlgorithm::Pss);
    let options = SignOptions {
        name: name.to_owned(),
        ..SignOptions::default()
    };
    let signature = sign(&descriptor, &options, &signer, None).await;
    descriptor.add_signature(&signature.unwrap()).unwrap();
    descriptor
}
