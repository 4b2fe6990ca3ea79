//! Repositories in memory, and component versions to put into them.

use std::borrow::Borrow;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_backends::access::StoreProvider;
use ocm_backends::{OciComponentRepository, Registry};
use ocm_blob::{BlobRef, MemoryBlob};
use ocm_digest::HashAlgorithm;
use ocm_model::element::Element as _;
use ocm_model::{
    Access, ComponentVersionId, Descriptor, DigestSpec, NormalisationAlgorithm, Provider,
    Reference, Relation, Resource, Signature, SignatureInfo, Source,
};
use ocm_oci::{
    Descriptor as Entry, Fetch as _, ImageManifest, ImageReference, MemoryStore, Push as _,
    RawManifest, RepositoryName, StoreRef,
};
use ocm_repository::{
    AccessMethod, AccessMethods, Artifact, Content, CopyOptions, Error, Expected, RepositoryRef,
};
use ocm_transfer::{
    ExecuteOptions, Planner, Recursion, Root, Transfer, TransferOptions, TransferReport,
};

pub(crate) const REGISTRY: &str = "ghcr.io";

/// The host of targets that are reachable.
const TARGET: &str = "target.io";

/// The component version of most tests.
pub(crate) const ID: &str = "acme.org/notes:1.0.0";

/// A place with component versions.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) store: MemoryStore,
    pub(crate) repository: RepositoryRef,
}

impl Place {
    pub(crate) fn new() -> Self {
        let store = MemoryStore::new();
        let shared: StoreRef = Arc::new(store.clone());
        let repository = Arc::new(OciComponentRepository::new(shared, None));
        Self { store, repository }
    }

    /// A place that is reached from elsewhere, so that it takes artifacts beside components.
    pub(crate) fn reachable() -> Self {
        let store = MemoryStore::new();
        let shared: StoreRef = Arc::new(store.clone());
        let registry = Registry {
            scheme: None,
            host: TARGET.to_owned(),
        };
        let prefix = Some("prefix".parse().unwrap());
        let repository = OciComponentRepository::new(shared, prefix).with_registry(registry);
        Self {
            store,
            repository: Arc::new(repository),
        }
    }

    pub(crate) async fn read(&self, id: &str) -> Descriptor {
        read(&self.repository, id).await
    }

    pub(crate) async fn put(&self, descriptor: &Descriptor) {
        self.repository
            .put(descriptor, Expected::Anything)
            .await
            .unwrap();
    }
}

impl Borrow<RepositoryRef> for Place {
    fn borrow(&self) -> &RepositoryRef {
        &self.repository
    }
}

pub(crate) fn id(text: &str) -> ComponentVersionId {
    text.parse().unwrap()
}

pub(crate) async fn read(repository: &RepositoryRef, text: &str) -> Descriptor {
    repository
        .component_version(&id(text))
        .await
        .unwrap()
        .descriptor
}

pub(crate) fn blob(content: &str, media_type: &str) -> BlobRef {
    Arc::new(MemoryBlob::new(content.to_owned()).with_media_type(media_type))
}

/// Pushes an image with one layer.
pub(crate) async fn image(
    store: &MemoryStore,
    repository: &str,
    tag: &str,
    content: &str,
) -> Artifact {
    let repository: RepositoryName = repository.parse().unwrap();
    let config = Entry::of("application/vnd.oci.image.config.v1+json", b"{}");
    let layer = Entry::of(
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
        content.as_bytes(),
    );
    for bytes in ["{}", content] {
        store
            .push_blob(&repository, &blob(bytes, "application/octet-stream"))
            .await
            .unwrap();
    }
    let manifest = RawManifest::image(&ImageManifest::new(config, vec![layer]));
    store
        .push_manifest(&repository, &manifest, Some(&tag.parse().unwrap()))
        .await
        .unwrap();
    Artifact {
        store: Arc::new(store.clone()),
        repository,
        root: manifest.descriptor(),
    }
}

/// Puts [`ID`] into a place: signed, with one resource `text`.
pub(crate) async fn notes(place: &Place, content: &str) -> Descriptor {
    let build = Build::new(place, ID).blob("text", content).await;
    build.signed().await
}

/// A component version that is being put together in a place.
pub(crate) struct Build<'a> {
    place: &'a Place,
    pub(crate) descriptor: Descriptor,
}

impl<'a> Build<'a> {
    pub(crate) fn new(place: &'a Place, text: &str) -> Self {
        let id = id(text);
        let mut descriptor = Descriptor::new(id.name, id.version, &Provider::new("acme.org"));
        descriptor.set_creation_time("2026-01-01T00:00:00Z");
        Self { place, descriptor }
    }

    /// Adds a resource whose content is a local blob.
    pub(crate) async fn blob(mut self, name: &str, content: &str) -> Self {
        let content = Content::Blob(blob(content, "text/plain"));
        self.local(name, content, None).await;
        self
    }

    /// Adds a resource whose content is an artifact that is a local blob.
    pub(crate) async fn artifact(
        mut self,
        name: &str,
        artifact: Artifact,
        reference: &str,
    ) -> Self {
        self.local(name, Content::Artifact(Box::new(artifact)), Some(reference))
            .await;
        self
    }

    async fn local(&mut self, name: &str, content: Content, reference_name: Option<&str>) {
        let options = CopyOptions::default();
        let target = &self.place.repository;
        let added = target
            .add_content(self.descriptor.id(), &content, reference_name, &options)
            .await;
        let added = added.unwrap();
        self.push(name, added.access, Some(added.digest));
    }

    /// Adds a resource whose content is elsewhere.
    pub(crate) fn external(
        mut self,
        name: &str,
        access: serde_json::Value,
        digest: Option<DigestSpec>,
    ) -> Self {
        self.push(name, Access::from_json(access).unwrap(), digest);
        self
    }

    pub(crate) fn push(&mut self, name: &str, access: Access, digest: Option<DigestSpec>) {
        let version = "1.0.0".parse().unwrap();
        let mut resource = Resource::new(name, version, "blob", Relation::Local, access);
        resource.digest = digest;
        self.descriptor.push_resource(&resource);
    }

    /// Adds a source whose content is a local blob.
    pub(crate) async fn source(mut self, name: &str, content: &str) -> Self {
        let content = Content::Blob(blob(content, "text/x-source"));
        let options = CopyOptions::default();
        let target = &self.place.repository;
        let added = target
            .add_content(self.descriptor.id(), &content, None, &options)
            .await
            .unwrap();
        let version = "1.0.0".parse().unwrap();
        self.descriptor
            .push_source(&Source::new(name, version, "git", added.access));
        self
    }

    /// Adds a reference with the digest of the child, if that is given.
    pub(crate) fn reference(mut self, name: &str, text: &str, child: Option<&Descriptor>) -> Self {
        let mut reference = Reference::new(name, id(text));
        reference.digest = child.map(component_digest);
        self.descriptor.push_reference(&reference);
        self
    }

    /// Signs under both algorithms in use, and stores.
    pub(crate) async fn signed(mut self) -> Descriptor {
        for algorithm in [
            NormalisationAlgorithm::JsonV3,
            NormalisationAlgorithm::JsonV4Alpha1,
        ] {
            sign(&mut self.descriptor, algorithm.as_str(), algorithm);
        }
        self.stored().await
    }

    pub(crate) async fn stored(self) -> Descriptor {
        self.place.put(&self.descriptor).await;
        self.descriptor
    }
}

pub(crate) fn component_digest(descriptor: &Descriptor) -> DigestSpec {
    let normalised = descriptor.normalise(NormalisationAlgorithm::JsonV4Alpha1);
    normalised.digest_spec(HashAlgorithm::Sha256)
}

/// Adds a signature whose value is no matter; what it signs is.
pub(crate) fn sign(descriptor: &mut Descriptor, name: &str, algorithm: NormalisationAlgorithm) {
    let signature = Signature {
        name: name.to_owned(),
        digest: descriptor
            .normalise(algorithm)
            .digest_spec(HashAlgorithm::Sha256),
        signature: SignatureInfo::default(),
        timestamp: None,
        extra: serde_json::Map::new(),
    };
    descriptor.add_signature(&signature).unwrap();
}

/// Checks that nothing but accesses differs, and so that every signature holds.
#[track_caller]
pub(crate) fn check_only_access_differs(before: &Descriptor, after: &Descriptor) {
    for algorithm in NormalisationAlgorithm::ALL {
        assert_eq!(before.normalise(algorithm), after.normalise(algorithm));
    }
    let without_access = |descriptor: &Descriptor| {
        let mut document = descriptor.to_document();
        for list in ["resources", "sources"] {
            for element in document["component"][list]
                .as_array_mut()
                .into_iter()
                .flatten()
            {
                element.as_object_mut().unwrap().remove("access");
            }
        }
        document
    };
    assert_eq!(without_access(before), without_access(after));
    for signature in after.signatures() {
        let algorithm = signature.digest.normalisation_algorithm.parse().unwrap();
        let now = after
            .normalise(algorithm)
            .digest_spec(HashAlgorithm::Sha256);
        assert_eq!(signature.digest, now, "signature {}", signature.name);
    }
}

/// Reads the bytes of a resource: of its blob, or of its topmost manifest.
pub(crate) async fn resource_content(place: &Place, text: &str, name: &str) -> Vec<u8> {
    let descriptor = place.read(text).await;
    let resource = descriptor
        .resources()
        .into_iter()
        .find(|resource| resource.name() == name);
    let access = resource.unwrap().access.unwrap();
    match place
        .repository
        .local_content(&id(text), &access)
        .await
        .unwrap()
    {
        Content::Blob(blob) => ocm_blob::read_to_end(blob.as_ref(), 1 << 20)
            .await
            .unwrap()
            .to_vec(),
        Content::Artifact(artifact) => {
            let options = CopyOptions::default();
            let checked = ocm_oci::check_graph(
                &artifact.store,
                &artifact.repository,
                &artifact.root,
                &options,
            )
            .await;
            checked.unwrap();
            let reference = artifact.root.digest.into();
            let manifest = artifact
                .store
                .manifest(&artifact.repository, &reference)
                .await;
            manifest.unwrap().bytes().to_vec()
        }
    }
}

/// A registry in memory, another that may be a target, and a web with two pages.
#[derive(Clone, Debug)]
pub(crate) struct Internet {
    pub(crate) registry: MemoryStore,
    target: MemoryStore,
}

impl Internet {
    pub(crate) fn new() -> Self {
        Self {
            registry: MemoryStore::new(),
            target: MemoryStore::new(),
        }
    }

    /// With a [target that is reachable](Place::reachable).
    pub(crate) fn with(target: &Place) -> Self {
        Self {
            target: target.store.clone(),
            ..Self::new()
        }
    }

    pub(crate) fn access(&self) -> AccessMethods {
        ocm_backends::access::methods(Arc::new(self.clone())).with(self.clone())
    }
}

#[async_trait]
impl StoreProvider for Internet {
    async fn store(&self, image: &ImageReference) -> Result<StoreRef, ocm_oci::Error> {
        Ok(Arc::new(match image.registry.as_str() {
            REGISTRY => self.registry.clone(),
            TARGET => self.target.clone(),
            other => panic!("nobody has {other}"),
        }))
    }
}

/// `wget` returns its address; `helm` returns the chart as the artifact that it is in the registry.
#[async_trait]
impl AccessMethod for Internet {
    fn handles(&self, access: &Access) -> bool {
        matches!(access.type_text(), "wget" | "helm")
    }

    async fn content(&self, access: &Access) -> Result<Content, Error> {
        let spec = access.as_spec();
        if access.type_text() == "wget" {
            return Ok(Content::Blob(blob(
                &spec.required_text("url").unwrap(),
                "text/html",
            )));
        }
        let repository: RepositoryName = spec.required_text("helmChart").unwrap().parse().unwrap();
        let tag: ocm_oci::Tag = "1.0.0".parse().unwrap();
        let root = self
            .registry
            .resolve(&repository, &tag.into())
            .await
            .unwrap();
        Ok(Content::Artifact(Box::new(Artifact {
            store: Arc::new(self.registry.clone()),
            repository,
            root,
        })))
    }
}

/// Options by which references are followed all the way down.
pub(crate) fn recursive() -> TransferOptions {
    TransferOptions {
        recursive: Recursion::Unlimited,
        ..TransferOptions::default()
    }
}

pub(crate) async fn plan(
    source: &impl Borrow<RepositoryRef>,
    target: &impl Borrow<RepositoryRef>,
    options: TransferOptions,
    roots: &[&str],
) -> Result<Transfer, ocm_transfer::Error> {
    let roots = roots.iter().map(|text| Root {
        repository: Arc::clone(source.borrow()),
        id: id(text),
    });
    Planner::new(Arc::clone(target.borrow()))
        .with_options(options)
        .plan(roots.collect())
        .await
}

pub(crate) async fn transfer(
    source: &impl Borrow<RepositoryRef>,
    target: &impl Borrow<RepositoryRef>,
    options: TransferOptions,
    roots: &[&str],
) -> Result<TransferReport, ocm_transfer::Error> {
    let planned = plan(source, target, options, roots).await?;
    planned.execute(&ExecuteOptions::default()).await
}

/// Returns an error with everything that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
