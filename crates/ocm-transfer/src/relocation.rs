//! Where content is reached once it has moved, and how a component version is stored then.

use ocm_ctf::is_oci_layout;
use ocm_digest::Digest;
use ocm_model::element::Element;
use ocm_model::{Access, ComponentVersionId, TypedSpec};
use ocm_repository::{Content, ForeseenBlob, LocalAccess, RepositoryRef};
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
    let id = incoming.id();
    let mut blobs = Vec::new();
    for element in &incoming.resources {
        if let Some(access) = local(element.access.as_ref()) {
            blobs.push(local_blob(source, id, element, access).await?);
        }
    }
    for element in &incoming.sources {
        if let Some(access) = local(element.access.as_ref()) {
            blobs.push(local_blob(source, id, element, access).await?);
        }
    }
    let mut there = target.foreseen_accesses(&id.name, &blobs)?.into_iter();
    let mut relocate = |access: &Option<Access>| match local(access.as_ref()) {
        Some(old) => Some(Some(relocated(old, there.next()?, false))),
        None => Some(access.clone()),
    };
    let resources = incoming.resources.iter().map(|it| relocate(&it.access));
    let resources: Vec<Option<Access>> = resources.collect::<Option<_>>()?;
    let sources = incoming.sources.iter().map(|it| relocate(&it.access));
    let sources: Vec<Option<Access>> = sources.collect::<Option<_>>()?;
    let descriptor = incoming.descriptor;
    let descriptor = descriptor.write_json_with_accesses(&resources, &sources);
    Some(Foreseen {
        stored_digest: target.foreseen_digest(id, descriptor, blobs)?,
        accesses: Accesses { resources, sources },
    })
}

/// Returns the access if it is that of a local blob.
fn local(access: Option<&Access>) -> Option<&Access> {
    access.filter(|access| access.is_local_blob())
}

/// Returns what is known of the local blob of an element; `None` for artifacts, whose way is longer.
async fn local_blob<E: Element + Sync>(
    source: &RepositoryRef,
    id: &ComponentVersionId,
    element: &E,
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
        kind: E::KIND,
        element: element.identity(),
        media_type: media_type.to_owned(),
        digest: blob.digest()?,
        size: blob.size()?,
    })
}

/// Returns the access of a local blob at its new place, where it may be an artifact. Its spelling and
/// the fields that are not about the place stay.
pub(crate) fn relocated(old: &Access, new: LocalAccess, is_artifact: bool) -> Access {
    let LocalAccess { blob, global } = new;
    let media_type = old.as_spec().field("mediaType").and_then(Value::as_str);
    // What was an archive may have been stored as the artifact that it held.
    let is_new = is_artifact || ocm_oci::media_type::is_manifest(&blob.media_type);
    let gains_media_type = is_new || media_type.is_none_or(str::is_empty);

    let old = old.as_json();
    let mut changes = [
        (spelling(old, "localReference"), Some(blob.local_reference)),
        (
            spelling(old, "mediaType"),
            gains_media_type.then_some(blob.media_type),
        ),
    ];
    // The three that may be new.
    let mut fields = Map::with_capacity(old.len() + 3);
    for (key, value) in old {
        if key.eq_ignore_ascii_case(GLOBAL_ACCESS) {
            continue;
        }
        let mut all = changes.iter_mut();
        let change = all.find(|(changed, _)| changed == key);
        let changed = change.and_then(|(_, value)| value.take());
        let value = changed.map_or_else(|| value.clone(), Value::from);
        fields.insert(key.clone(), value);
    }
    for (key, value) in changes {
        if let Some(value) = value {
            fields.insert(key.to_owned(), value.into());
        }
    }
    if let Some(global) = global {
        fields.insert(GLOBAL_ACCESS.to_owned(), global.into_json());
    }
    Access::from_json(Value::Object(fields)).expect("its type is what it was")
}

/// The field with the access that also holds from elsewhere.
const GLOBAL_ACCESS: &str = "globalAccess";

/// Returns a field in the spelling that it has.
fn spelling<'a>(fields: &'a Map<String, Value>, name: &'a str) -> &'a str {
    if fields.contains_key(name) {
        return name;
    }
    let mut keys = fields.keys();
    let found = keys.find(|key| key.eq_ignore_ascii_case(name));
    found.map_or(name, String::as_str)
}

/// Sets the media type of an access where there is one.
pub(crate) fn with_media_type(access: Access, media_type: Option<String>) -> Access {
    let Some(media_type) = media_type else {
        return access;
    };
    let mut fields = access.as_json().clone();
    let key = spelling(&fields, "mediaType").to_owned();
    fields.insert(key, media_type.into());
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
        let relocated = relocated(&old.unwrap(), LocalAccess::of(&new).unwrap(), false);
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
        let relocated = relocated(&access(old), LocalAccess::of(&new).unwrap(), false);
        assert_eq!(relocated.as_json()["mediaType"], "text/plain");
        assert_eq!(relocated.as_json()["globalAccess"]["type"], "new");
    }
}
