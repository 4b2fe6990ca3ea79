//! Component versions with content, and the objects that deliver them.

use std::sync::Arc;

use ocm::blob::MemoryBlob;
use ocm::model::{ComponentVersionId, Descriptor, NormalisationAlgorithm};
use ocm::repository::{Content, CopyOptions, Expected, RepositoryRef};
use ocm::signing::key::PrivateKey;
use ocm::{Environment, Ocm, Use};
use ocm_testkit::Registry;
use serde_json::{Value, json};

use crate::world::{COMPONENT, descriptor, signed, spec};

/// A component version that is being packed into a registry.
pub(crate) struct Packing {
    repository: RepositoryRef,
    id: ComponentVersionId,
    document: Value,
}

impl Packing {
    /// Begins with an empty version of the component of the tests.
    pub(crate) async fn start(registry: &Registry, version: &str) -> Self {
        Self::with(
            &Ocm::new(Environment::default()),
            registry,
            COMPONENT,
            version,
        )
        .await
    }

    /// Begins with an empty component version, with the credentials of a session.
    pub(crate) async fn with(
        ocm: &Ocm,
        registry: &Registry,
        component: &str,
        version: &str,
    ) -> Self {
        let repository = ocm.open(&spec(registry), Use::Write).await.unwrap();
        let mut document = descriptor(version).to_document();
        document["component"]["name"] = component.into();
        for list in ["resources", "componentReferences"] {
            document["component"][list] = json!([]);
        }
        Self {
            repository,
            id: format!("{component}:{version}").parse().unwrap(),
            document,
        }
    }

    /// Adds content, which gets a digest.
    pub(crate) async fn blob(self, name: &str, media_type: &str, content: &[u8]) -> Self {
        self.blob_as(name, media_type, content, None).await
    }

    /// Adds content with a digest that somebody states for it.
    pub(crate) async fn blob_as(
        self,
        name: &str,
        media_type: &str,
        content: &[u8],
        stated: Option<Value>,
    ) -> Self {
        let blob = MemoryBlob::new(content.to_vec()).with_media_type(media_type);
        let content = Content::Blob(Arc::new(blob));
        let options = CopyOptions::new(1);
        let added = self
            .repository
            .add_content(&self.id, &content, None, &options)
            .await
            .unwrap();
        let digest = stated.unwrap_or_else(|| json!(added.digest));
        let access = added.access.into_json();
        self.resource(name, &access, Some(digest))
    }

    /// Adds a resource whose content is elsewhere.
    pub(crate) fn resource(mut self, name: &str, access: &Value, digest: Option<Value>) -> Self {
        let mut resource = json!({
            "name": name, "version": self.id.version.as_str(), "type": "blob",
            "relation": "local", "access": access,
        });
        if let Some(digest) = digest {
            resource["digest"] = digest;
        }
        self.list("resources").push(resource);
        self
    }

    /// Adds a reference to another component version, with its digest.
    pub(crate) fn reference(self, name: &str, to: &Descriptor) -> Self {
        let digest = to
            .normalise(NormalisationAlgorithm::JsonV4Alpha1)
            .digest_spec(ocm::digest::HashAlgorithm::Sha256);
        self.reference_as(name, to, Some(json!(digest)))
    }

    /// Adds a reference to another component version, with what is stated as its digest.
    pub(crate) fn reference_as(
        mut self,
        name: &str,
        to: &Descriptor,
        digest: Option<Value>,
    ) -> Self {
        let mut reference = json!({
            "name": name, "componentName": to.id().name.as_str(),
            "version": to.id().version.as_str(),
        });
        if let Some(digest) = digest {
            reference["digest"] = digest;
        }
        self.list("componentReferences").push(reference);
        self
    }

    /// Writes the component version.
    pub(crate) async fn put(self) -> Descriptor {
        let descriptor = Descriptor::from_document(self.document.clone()).unwrap();
        self.write(descriptor).await
    }

    /// Signs and writes the component version.
    pub(crate) async fn put_signed(self, name: &str, key: &PrivateKey) -> Descriptor {
        let descriptor = Descriptor::from_document(self.document.clone()).unwrap();
        let descriptor = signed(descriptor, name, key).await;
        self.write(descriptor).await
    }

    async fn write(self, descriptor: Descriptor) -> Descriptor {
        let written = self.repository.put(&descriptor, Expected::Anything).await;
        written.unwrap();
        self.repository.commit().await.unwrap();
        descriptor
    }

    fn list(&mut self, name: &str) -> &mut Vec<Value> {
        self.document["component"][name].as_array_mut().unwrap()
    }
}

/// A digest that no content has.
pub(crate) fn wrong_digest() -> Value {
    json!({
        "hashAlgorithm": "SHA-256",
        "normalisationAlgorithm": "genericBlobDigest/v1",
        "value": ocm::digest::Digest::sha256(b"something else").to_hex(),
    })
}

/// The digest of content.
pub(crate) fn digest_of(content: &[u8]) -> Value {
    json!(ocm::model::DigestSpec::generic_blob(
        &ocm::digest::Digest::sha256(content)
    ))
}

/// A repository object `shop` for a registry.
pub(crate) fn repository(registry: &Registry) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Repository
metadata: {{name: shop}}
spec:
  repositorySpec: {{type: OCIRegistry, baseUrl: 'http://{}'}}
  interval: 1h
---
",
        registry.host()
    )
}

/// A component object `it` of the component of the tests.
pub(crate) fn component(semver: &str, more: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Component
metadata: {{name: it}}
spec:
  repositoryRef: {{name: shop}}
  component: {COMPONENT}
  semver: '{semver}'
  interval: 1h
{more}---
"
    )
}

/// A resource object, for the resource of a name.
pub(crate) fn resource(name: &str, of: &str, more: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Resource
metadata: {{name: {name}}}
spec:
  componentRef: {{name: it}}
  resource: {{byReference: {{resource: {{name: {of}}}}}}}
{more}---
"
    )
}

/// A deployer object, for a resource object.
pub(crate) fn deployer(name: &str, namespace: &str, resource: &str, more: &str) -> String {
    format!(
        "apiVersion: delivery.ocm.software/v1alpha1
kind: Deployer
metadata: {{name: {name}}}
spec:
  resourceRef: {{name: {resource}, namespace: {namespace}}}
{more}---
"
    )
}

/// All of them, for the resource `manifests`; the deployer has the name of the namespace.
pub(crate) fn chain(registry: &Registry, namespace: &str, semver: &str) -> String {
    [
        repository(registry),
        component(semver, ""),
        resource("manifests", "manifests", ""),
        deployer(namespace, namespace, "manifests", ""),
    ]
    .concat()
}

/// A config map.
pub(crate) fn config_map(namespace: &str, name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         data: {{key: '{value}'}}\n---\n"
    )
}
