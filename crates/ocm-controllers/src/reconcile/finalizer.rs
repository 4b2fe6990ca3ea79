//! Finalizers: an object is kept until we let it go.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use ocm_kube::ApiError;
use serde_json::json;

use super::MANAGER;
use crate::object::Object;

/// How often a write is tried that others come in between of.
const TRIES: usize = 4;

/// Makes sure that an object has its finalizers; returns false if the object has gone, or is going.
pub(super) async fn add<K: Object>(api: &Api<K>, object: &K, ours: &[&str]) -> Result<bool, Error> {
    change(api, object, |finalizers, is_going| {
        if is_going {
            return None;
        }
        let missing = ours
            .iter()
            .filter(|ours| !finalizers.iter().any(|it| it == *ours));
        let missing: Vec<_> = missing.map(|it| (*it).to_owned()).collect();
        Some([finalizers, &missing].concat())
    })
    .await
}

/// Takes finalizers away.
pub(super) async fn remove<K: Object>(
    api: &Api<K>,
    object: &K,
    ours: &[&str],
) -> Result<(), Error> {
    let without = |finalizers: &[String], _| {
        let others = finalizers.iter().filter(|it| !ours.contains(&it.as_str()));
        Some(others.cloned().collect())
    };
    change(api, object, without).await?;
    Ok(())
}

/// Changes the finalizers of an object as it is now. Returns false if there is nothing to change
/// any more.
async fn change<K: Object>(
    api: &Api<K>,
    object: &K,
    change: impl Fn(&[String], bool) -> Option<Vec<String>>,
) -> Result<bool, Error> {
    let name = object.name_any();
    let failed = |source: kube::Error| Error {
        name: name.clone(),
        source: source.into(),
    };
    let mut metadata = object.meta().clone();
    let mut tries = 1;
    loop {
        let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
        let Some(changed) = change(finalizers, metadata.deletion_timestamp.is_some()) else {
            return Ok(false);
        };
        if changed == finalizers {
            return Ok(true);
        }
        // With these two nothing is written to another object, or over what others have written.
        let patch = Patch::Merge(json!({"metadata": {
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
            "finalizers": changed,
        }}));
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match api.patch_metadata(&name, &params, &patch).await {
            Ok(_) => return Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
            Err(kube::Error::Api(status)) if status.code == 409 && tries < TRIES => tries += 1,
            Err(error) => return Err(failed(error)),
        }
        let now = api.get_metadata_opt(&name).await.map_err(failed)?;
        match now {
            Some(now) if now.metadata.uid == metadata.uid => metadata = now.metadata,
            _ => return Ok(false),
        }
    }
}

/// The finalizers of an object cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the finalizers of `{name}`")]
pub(super) struct Error {
    name: String,
    source: ApiError,
}
