//! Records beside OCI artifacts of which component version they are part.
//!
//! A record is a manifest whose subject is the artifact, so that whoever has the artifact finds
//! the component version by asking for referrers, and the artifact stays as it is:
//!
//! ```json
//! {"artifactType":"application/vnd.ocm.software.ownership.v1+json","subject":{…},"annotations":{
//!   "software.ocm.artifact":"{\"identity\":{\"name\":\"image\",\"version\":\"1.0.0\"},\"kind\":\"resource\"}",
//!   "software.ocm.component.name":"acme.org/notes","software.ocm.component.version":"1.0.0"}}
//! ```
//!
//! It has no time and nothing else that changes, and is byte for byte what the second Go
//! implementation writes, so that there is one for each owner however often it is written.

use std::sync::Arc;

use ocm_blob::{BlobRef, MemoryBlob};
use ocm_model::{ComponentVersionId, Identity, json};
use ocm_oci::{Descriptor, EMPTY_CONFIG, ImageManifest, RawManifest, media_type};
use serde_json::json;

use crate::content::Artifact;
use crate::error::Error;

/// The artifact type of a record.
pub const OWNERSHIP: &str = "application/vnd.ocm.software.ownership.v1+json";

/// The annotation that names the component.
pub const OWNER_NAME: &str = "software.ocm.component.name";

/// The annotation that names the version of the component.
pub const OWNER_VERSION: &str = "software.ocm.component.version";

/// The annotation that names the resource: an object in canonical JSON.
const OWNED_ARTIFACT: &str = "software.ocm.artifact";

/// The empty content in base64, which the Go implementation writes beside its digest.
const EMPTY_DATA: &str = "e30=";

/// Returns the record that a resource of a component version is an artifact.
pub fn ownership(
    subject: &Descriptor,
    owner: &ComponentVersionId,
    resource: &Identity,
) -> RawManifest {
    let mut empty = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
    empty.data = Some(EMPTY_DATA.to_owned());
    let identity: serde_json::Map<_, _> = resource
        .iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    let artifact = json::canonical(&json!({"identity": identity, "kind": "resource"}));
    let annotations = [
        (OWNER_NAME, owner.name.to_string()),
        (OWNER_VERSION, owner.version.to_string()),
        (
            OWNED_ARTIFACT,
            String::from_utf8_lossy(&artifact).into_owned(),
        ),
    ];
    let mut manifest = ImageManifest::new(empty.clone(), vec![empty]);
    manifest.artifact_type = Some(OWNERSHIP.to_owned());
    manifest.subject = Some(subject.plain());
    manifest.annotations = annotations
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    RawManifest::image(&manifest)
}

/// Writes the record beside an artifact, and returns the names of other components of which there
/// are records, too.
///
/// # Errors
///
/// The store cannot be asked or written.
pub async fn record_ownership(
    artifact: &Artifact,
    owner: &ComponentVersionId,
    resource: &Identity,
) -> Result<Vec<String>, Error> {
    let Artifact {
        store,
        repository,
        root,
    } = artifact;
    let failed = |action| {
        let what = format!("the ownership of artifact {}", root.digest);
        move |source: ocm_oci::Error| Error::backend(action, what, source)
    };
    let known = store.referrers(repository, &root.digest).await;
    let mut others: Vec<String> = known
        .map_err(failed("look for"))?
        .into_iter()
        .filter(|known| known.artifact_type.as_deref() == Some(OWNERSHIP))
        .filter_map(|mut known| known.annotations.remove(OWNER_NAME))
        .filter(|name| name != owner.name.as_str())
        .collect();
    others.sort_unstable();
    others.dedup();
    let empty: BlobRef = Arc::new(MemoryBlob::new(EMPTY_CONFIG));
    let pushed = store.push_blob(repository, &empty).await;
    pushed.map_err(failed("write"))?;
    let record = ownership(root, owner, resource);
    let written = store.push_manifest(repository, &record, None).await;
    written.map_err(failed("write"))?;
    Ok(others)
}

#[cfg(test)]
mod tests {
    use ocm_digest::Digest;

    use super::*;

    #[test]
    fn a_record_is_what_the_go_implementation_writes() {
        let subject = Descriptor::new(media_type::IMAGE_MANIFEST, Digest::sha256("subject"), 7)
            .with_annotation("not", "part of it");
        let owner = "ocm.software/my-component:1.0.0".parse().unwrap();
        let resource = "name=my-resource,version=1.0.0,os=linux,architecture=amd64";
        let record = ownership(&subject, &owner, &resource.parse().unwrap());
        let text = std::str::from_utf8(record.bytes()).unwrap();
        let empty = "{\"mediaType\":\"application/vnd.oci.empty.v1+json\",\"digest\":\"sha256:\
            44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",\"size\":2,\
            \"data\":\"e30=\"}";
        let subject = format!(
            "{{\"mediaType\":\"{}\",\"digest\":\"{}\",\"size\":7}}",
            media_type::IMAGE_MANIFEST,
            Digest::sha256("subject")
        );
        let identity = r#"{\"identity\":{\"architecture\":\"amd64\",\"name\":\"my-resource\",\"os\":\"linux\",\"version\":\"1.0.0\"},\"kind\":\"resource\"}"#;
        assert_eq!(
            text,
            format!(
                "{{\"schemaVersion\":2,\"mediaType\":\"{}\",\"artifactType\":\"{OWNERSHIP}\",\
                 \"config\":{empty},\"layers\":[{empty}],\"subject\":{subject},\"annotations\":{{\
                 \"software.ocm.artifact\":\"{identity}\",\
                 \"software.ocm.component.name\":\"ocm.software/my-component\",\
                 \"software.ocm.component.version\":\"1.0.0\"}}}}",
                media_type::IMAGE_MANIFEST
            )
        );
    }
}
