//! Where content is reached once it has moved, and how a component version is stored then.

use ocm_ctf::is_oci_layout;
use ocm_digest::Digest;
use ocm_model::descriptor::ElementContent;
use ocm_model::{Access, ComponentVersionId, Descriptor, ElementKind};
use ocm_repository::{Content, ForeseenBlob, LocalAccess, RepositoryRef};
use serde_json::{Map, Value};

use crate::contents::Accesses;

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
    descriptor: &Descriptor,
) -> Option<Foreseen> {
    let id = descriptor.id();
    let mut accesses = Accesses::of(descriptor);
    let mut blobs = Vec::new();
    for (kind, accesses) in [
        (ElementKind::Resource, &accesses.resources),
        (ElementKind::Source, &accesses.sources),
    ] {
        for (content, access) in descriptor.contents(kind).zip(accesses) {
            if let Some(access) = access.as_ref().filter(|access| access.is_local_blob()) {
                blobs.push(local_blob(source, id, (kind, content), access).await?);
            }
        }
    }
    let mut there = target.foreseen_accesses(&id.name, &blobs)?.into_iter();
    for access in accesses.resources.iter_mut().chain(&mut accesses.sources) {
        if let Some(old) = access.take_if(|access| access.is_local_blob()) {
            *access = Some(relocated(old, there.next()?, false));
        }
    }
    let Accesses { resources, sources } = &accesses;
    let written = descriptor.write_json_with_accesses(resources, sources);
    Some(Foreseen {
        stored_digest: target.foreseen_digest(id, written, blobs)?,
        accesses,
    })
}

/// Returns what is known of the local blob of an element; `None` for artifacts, whose way is longer.
async fn local_blob(
    source: &RepositoryRef,
    id: &ComponentVersionId,
    (kind, element): (ElementKind, ElementContent<'_>),
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
        kind,
        element: element.identity(),
        media_type: media_type.to_owned(),
        digest: blob.digest()?,
        size: blob.size()?,
    })
}

/// Returns the access of a local blob at its new place, where it may be an artifact. Its spelling and
/// the fields that are not about the place stay.
pub(crate) fn relocated(old: Access, new: LocalAccess, is_artifact: bool) -> Access {
    let LocalAccess { blob, global } = new;
    let media_type = old.as_spec().field("mediaType").and_then(Value::as_str);
    // What was an archive may have been stored as the artifact that it held.
    let is_new = is_artifact || ocm_oci::media_type::is_manifest(&blob.media_type);
    let gains_media_type = is_new || media_type.is_none_or(str::is_empty);

    let mut fields = old.into_fields();
    fields.retain(|key, _| !key.eq_ignore_ascii_case(GLOBAL_ACCESS));
    set(&mut fields, "localReference", blob.local_reference);
    if gains_media_type {
        set(&mut fields, "mediaType", blob.media_type);
    }
    if let Some(global) = global {
        fields.insert(GLOBAL_ACCESS.to_owned(), global.into_json());
    }
    Access::from_json(Value::Object(fields)).expect("its type is what it was")
}

/// The field with the access that also holds from elsewhere.
const GLOBAL_ACCESS: &str = "globalAccess";

/// Sets a field in the spelling that it has.
fn set(fields: &mut Map<String, Value>, name: &str, value: String) {
    let mut keys = fields.keys();
    let other = keys.find(|key| key.eq_ignore_ascii_case(name)).cloned();
    let key = match other {
        Some(other) if !fields.contains_key(name) => other,
        _ => name.to_owned(),
    };
    fields.insert(key, value.into());
}

/// Sets the media type of an access where there is one.
pub(crate) fn with_media_type(access: Access, media_type: Option<String>) -> Access {
    let Some(media_type) = media_type else {
        return access;
    };
    let mut fields = access.into_fields();
    set(&mut fields, "mediaType", media_type);
    Access::from_json(Value::Object(fields)).expect("its type is what it was")
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
        let relocated = relocated(old.unwrap(), LocalAccess::of(&new).unwrap(), false);
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
        let relocated = relocated(access(old), LocalAccess::of(&new).unwrap(), false);
        assert_eq!(relocated.as_json()["mediaType"], "text/plain");
        assert_eq!(relocated.as_json()["globalAccess"]["type"], "new");
    }
}
