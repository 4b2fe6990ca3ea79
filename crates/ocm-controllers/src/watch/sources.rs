//! Watches the metadata of secrets and config maps.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;

use futures::StreamExt as _;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::config::{Source, SourceKind};
use crate::reconcile::with_causes;
use crate::relations::Relations;

/// Says which secrets or config maps change that somebody uses. It never ends.
///
/// Of the others nothing is remembered.
pub(crate) async fn watch_sources<K>(
    api: Api<PartialObjectMeta<K>>,
    kind: SourceKind,
    relations: &Relations,
) where
    K: Clone + DeserializeOwned + fmt::Debug + Resource<DynamicType = ()> + Send + 'static,
{
    // The version of each that was seen last, so that a new list of all is no change of each.
    let mut seen: BTreeMap<Source, Option<String>> = BTreeMap::new();
    let events = watcher(api, watcher::Config::default());
    let mut events = pin!(events.default_backoff());
    while let Some(event) = events.next().await {
        let (object, is_gone) = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => (object, false),
            Ok(Event::Delete(object)) => (object, true),
            Ok(Event::Init) => continue,
            Ok(Event::InitDone) => {
                seen.retain(|source, _| relations.is_used(source));
                continue;
            }
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(kind = %K::kind(&()), error, "cannot watch");
                continue;
            }
        };
        let source = Source {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        };
        if !relations.is_used(&source) {
            seen.remove(&source);
            continue;
        }
        let version = object.resource_version();
        if is_gone {
            seen.remove(&source);
        } else if seen.insert(source.clone(), version.clone()) == Some(version) {
            continue;
        }
        relations.source_changed(&source);
    }
}
