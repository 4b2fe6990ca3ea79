//! Where content is reached once it has moved, and how a component version is stored then.

use ocm_ctf::is_oci_layout;
use ocm_digest::Digest;
use ocm_model::access::LocalBlob;
use ocm_model::{Access, ComponentVersionId, TypedSpec};
use ocm_repository::{Content, ForeseenBlob, RepositoryRef};
use serde_json::{Map, Value};

use crate::contents::{Accesses, Incoming};

/// How a component version will be stored at a target.
pub(crate) struct Foreseen {
    pub(crate) stored_digest: Digest,
    pub(crate) accesses: Accesses,
}

/// Returns how a component version will be stored at a target once its local blobs have moved there,
/// as far as it is known without asking anybody. Nobody has to believe it: what is stored has the
/// digest that is foreseen, or it is something else.
pub(crate) async fn foreseen(
    source: &RepositoryRef,
    target: &RepositoryRef,
    incoming: &Incoming<'_>,
) -> Option<Foreseen> {
    let mut accesses = incoming.accesses();
    let mut blobs = Vec::new();
    for access in accesses.all().filter(|access| access.is_local_blob()) {
        blobs.push(local_blob(source, incoming.id(), access).await?);
    }
    let there = target.foreseen_accesses(&incoming.id().name, &blobs)?;
    let mut there = there.into_iter();
    let mut descriptor = incoming.descriptor.clone();
    for (index, access) in accesses.resources.iter_mut().enumerate() {
        if let Some(access) = access.as_mut().filter(|access| access.is_local_blob()) {
            *access = relocated(access, there.next()?, false);
            descriptor.set_resource_access(index, access.clone()).ok()?;
        }
    }
    for (index, access) in accesses.sources.iter_mut().enumerate() {
        if let Some(access) = access.as_mut().filter(|access| access.is_local_blob()) {
            *access = relocated(access, there.next()?, false);
            descriptor.set_source_access(index, access.clone()).ok()?;
        }
    }
    Some(Foreseen {
        stored_digest: target.foreseen_digest(&descriptor, &blobs)?,
        accesses,
    })
}

/// Returns what is known of a local blob; `None` for artifacts, whose way is longer.
async fn local_blob(
    source: &RepositoryRef,
    id: &ComponentVersionId,
    access: &Access,
) -> Option<ForeseenBlob> {
    let content = source.local_content(id, access).await.ok()?;
    let Content::Blob(blob) = content else {
        return None;
    };
    let media_type = blob
        .media_type()
        .filter(|media_type| !is_oci_layout(media_type))?;
    Some(ForeseenBlob {
        media_type: media_type.to_owned(),
        digest: blob.digest()?,
        size: blob.size()?,
    })
}

/// Returns the access of a local blob at its new place, where it may be an artifact. Its spelling and
/// the fields that are not about the place stay.
pub(crate) fn relocated(old: &Access, access: Access, is_artifact: bool) -> Access {
    let Some(new) = access.as_local_blob() else {
        return access;
    };
    let mut fields = old.as_json().clone();
    set(&mut fields, "localReference", new.local_reference.into());
    let media_type = old.as_local_blob().map(|blob: LocalBlob| blob.media_type);
    // What was an archive may have been stored as the artifact that it held.
    let is_new = is_artifact || ocm_oci::media_type::is_manifest(&new.media_type);
    if is_new || media_type.is_none_or(|text| text.is_empty()) {
        set(&mut fields, "mediaType", new.media_type.into());
    }
    fields.retain(|key, _| !key.eq_ignore_ascii_case("globalAccess"));
    if let Some(global) = new.global_access {
        fields.insert("globalAccess".to_owned(), global.into_json());
    }
    Access::from_json(Value::Object(fields)).unwrap_or(access)
}

/// Sets a field in the spelling that it has.
fn set(fields: &mut Map<String, Value>, name: &str, value: Value) {
    let spelling = if fields.contains_key(name) {
        None
    } else {
        fields
            .keys()
            .find(|key| key.eq_ignore_ascii_case(name))
            .cloned()
    };
    fields.insert(spelling.unwrap_or_else(|| name.to_owned()), value);
}

/// Sets the media type of an access where there is one.
pub(crate) fn with_media_type(access: Access, media_type: Option<String>) -> Access {
    let Some(media_type) = media_type else {
        return access;
    };
    let mut fields = access.as_json().clone();
    set(&mut fields, "mediaType", media_type.into());
    TypedSpec::from_json(Value::Object(fields)).map_or(access, Access::new)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn access(access: Value) -> Access {
        Access::from_json(access).unwrap()
    }

    #[test]
    fn a_local_blob_keeps_its_spelling_and_unknown_fields() {
        let old = Access::from_json(json!({
            "type": "localBlob", "LocalReference": "sha256.00", "mediaType": "text/x", "own": {"a": 1},
            "referenceName": "a/b", "globalAccess": {"type": "old"},
        }));
        let new = access(
            json!({"type": "LocalBlob/v1", "localReference": "sha256:11",
            "mediaType": "application/octet-stream"}),
        );
        let relocated = relocated(&old.unwrap(), new, false);
        assert_eq!(
            relocated.into_json(),
            json!({"type": "localBlob", "LocalReference": "sha256:11", "mediaType": "text/x",
                "own": {"a": 1}, "referenceName": "a/b"})
        );
    }

    #[test]
    fn a_local_blob_gains_what_it_lacked() {
        let old = json!({"type": "localBlob", "localReference": "sha256:11", "mediaType": ""});
        let new = access(
            json!({"type": "LocalBlob/v1", "localReference": "sha256:11",
            "mediaType": "text/plain", "globalAccess": {"type": "new"}}),
        );
        let relocated = relocated(&access(old), new, false);
        assert_eq!(relocated.as_json()["mediaType"], "text/plain");
        assert_eq!(relocated.as_json()["globalAccess"]["type"], "new");
    }
}
