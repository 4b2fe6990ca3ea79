//! How content outside of component repositories is reached: images and layers in registries.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_model::access::{Access, AccessKind};
use ocm_oci::{Descriptor as Entry, ImageReference, StoreRef};
use ocm_repository::{AccessMethod, AccessMethods, Artifact, Content, Error};
use serde_json::Value;

/// What is said of an image of which nothing says which one it is.
pub(crate) const NO_REFERENCE: &str = "it has neither tag nor digest";

/// Opens the registry that an image is in.
#[async_trait]
pub trait StoreProvider: fmt::Debug + Send + Sync {
    /// Returns the store with the repository of an image.
    ///
    /// # Errors
    ///
    /// The registry cannot be used.
    async fn store(&self, image: &ImageReference) -> Result<StoreRef, ocm_oci::Error>;
}

/// Returns the access methods of this crate.
pub fn methods(stores: Arc<dyn StoreProvider>) -> AccessMethods {
    AccessMethods::new()
        .with(OciImageAccess {
            stores: Arc::clone(&stores),
        })
        .with(OciLayerAccess { stores })
}

/// Reaches OCI artifacts in registries: access types `OCIImage`, `ociArtifact` and their aliases.
#[derive(Debug)]
pub struct OciImageAccess {
    stores: Arc<dyn StoreProvider>,
}

impl OciImageAccess {
    /// Returns the image that an access names, and what it points to at this moment.
    async fn resolve(&self, access: &Access) -> Result<(ImageReference, StoreRef, Entry), Error> {
        let Ok(AccessKind::OciImage(image)) = access.kind() else {
            return Err(unsupported(access));
        };
        let text = image.image_reference;
        let image: ImageReference = text
            .parse()
            .map_err(|source| Error::backend("address", text.as_str(), source))?;
        let failed = |source| Error::backend("reach", image.to_string(), source);
        let reference = image.reference().ok_or_else(|| {
            failed(ocm_oci::Error::malformed(
                format!("image {image}"),
                NO_REFERENCE,
            ))
        })?;
        let store = self.stores.store(&image).await.map_err(failed)?;
        let root = store
            .resolve(&image.repository, &reference)
            .await
            .map_err(failed)?;
        Ok((image, store, root))
    }
}

#[async_trait]
impl AccessMethod for OciImageAccess {
    fn handles(&self, access: &Access) -> bool {
        matches!(access.kind(), Ok(AccessKind::OciImage(_)))
    }

    async fn content(&self, access: &Access) -> Result<Content, Error> {
        let (image, store, root) = self.resolve(access).await?;
        let repository = image.repository;
        Ok(Content::Artifact(Box::new(Artifact {
            store,
            repository,
            root,
        })))
    }

    async fn pin(&self, access: &Access) -> Result<Access, Error> {
        let (image, _, root) = self.resolve(access).await?;
        let pinned = ImageReference {
            digest: Some(root.digest),
            ..image
        };
        with_field(access, "imageReference", pinned.to_string())
    }
}

/// Reaches single blobs in registries: access types `OCIImageLayer`, `ociBlob`.
#[derive(Debug)]
pub struct OciLayerAccess {
    stores: Arc<dyn StoreProvider>,
}

#[async_trait]
impl AccessMethod for OciLayerAccess {
    fn handles(&self, access: &Access) -> bool {
        matches!(access.kind(), Ok(AccessKind::OciImageLayer(_)))
    }

    async fn content(&self, access: &Access) -> Result<Content, Error> {
        let Ok(AccessKind::OciImageLayer(layer)) = access.kind() else {
            return Err(unsupported(access));
        };
        let image: ImageReference = layer
            .reference
            .parse()
            .map_err(|source| Error::backend("address", layer.reference.as_str(), source))?;
        let failed =
            |source| Error::backend("reach", format!("blob {} of {image}", layer.digest), source);
        let store = self.stores.store(&image).await.map_err(failed)?;
        let size = store
            .stat_blob(&image.repository, &layer.digest)
            .await
            .map_err(failed)?;
        let size =
            size.ok_or_else(|| failed(ocm_oci::Error::not_found(layer.digest.to_string())))?;
        let media_type = layer
            .media_type
            .unwrap_or_else(|| "application/octet-stream".to_owned());
        let entry = Entry::new(media_type, layer.digest, size);
        Ok(Content::Blob(store.blob(&image.repository, &entry)))
    }
}

/// Says that an access is not of the type that a method reads.
pub(crate) fn unsupported(access: &Access) -> Error {
    Error::UnsupportedAccess {
        access_type: access.type_text().to_owned(),
        operation: "reading",
    }
}

/// Returns an access in which one text field is another; the spelling of its key stays.
pub(crate) fn with_field(access: &Access, field: &str, text: String) -> Result<Access, Error> {
    let mut fields = access.as_json().clone();
    let key = fields
        .keys()
        .find(|key| key.eq_ignore_ascii_case(field))
        .cloned();
    fields.insert(key.unwrap_or_else(|| field.to_owned()), Value::String(text));
    Access::from_json(Value::Object(fields))
        .map_err(|source| Error::backend("pin", access.type_text(), source))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ocm_blob::{BlobRef, MemoryBlob};
    use ocm_oci::{
        Fetch as _, ImageManifest, MemoryStore, Push as _, RawManifest, Reference, RepositoryName,
    };
    use serde_json::json;

    use super::*;

    #[derive(Debug)]
    struct Fixed(StoreRef);

    #[async_trait]
    impl StoreProvider for Fixed {
        async fn store(&self, _: &ImageReference) -> Result<StoreRef, ocm_oci::Error> {
            Ok(Arc::clone(&self.0))
        }
    }

    async fn registry() -> (AccessMethods, Entry) {
        let store = MemoryStore::new();
        let repository: RepositoryName = "acme/shop".parse().unwrap();
        let config: BlobRef = Arc::new(MemoryBlob::new("{}"));
        store.push_blob(&repository, &config).await.unwrap();
        let image = ImageManifest::new(Entry::of("application/x", b"{}"), Vec::new());
        let manifest = RawManifest::image(&image);
        let tag = "1.0".parse().unwrap();
        store
            .push_manifest(&repository, &manifest, Some(&tag))
            .await
            .unwrap();
        let root = store
            .resolve(&repository, &Reference::Tag(tag))
            .await
            .unwrap();
        (methods(Arc::new(Fixed(Arc::new(store)))), root)
    }

    fn access(value: Value) -> Access {
        Access::from_json(value).unwrap()
    }

    #[tokio::test]
    async fn an_image_is_pinned_and_keeps_its_tag_and_spelling() {
        let (methods, root) = registry().await;
        let access =
            access(json!({"type": "ociImage", "imageReference": "h/acme/shop:1.0", "x": 1}));
        let method = methods.method(&access, "reading").unwrap();
        let pinned = method.pin(&access).await.unwrap();
        let expected = format!("h/acme/shop:1.0@{}", root.digest);
        assert_eq!(
            pinned.into_json(),
            json!({"type": "ociImage", "imageReference": expected, "x": 1})
        );
    }

    #[tokio::test]
    async fn an_image_that_is_not_there_is_named() {
        let (methods, _) = registry().await;
        let access = access(json!({"type": "OCIImage/v1", "imageReference": "h/acme/shop:2.0"}));
        let error = methods.content(&access).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot reach h/acme/shop:2.0");
    }

    #[tokio::test]
    async fn a_single_blob_is_reached_by_its_digest() {
        let (methods, _) = registry().await;
        let digest = ocm_digest::Digest::sha256("{}").to_string();
        let layer = json!({"type": "ociBlob", "ref": "h/acme/shop", "digest": digest, "size": 2});
        let Content::Blob(blob) = methods.content(&access(layer)).await.unwrap() else {
            panic!("a blob")
        };
        assert_eq!(
            ocm_blob::read_to_end(blob.as_ref(), 10).await.unwrap(),
            "{}"
        );
    }
}
