//! The members of a set, as the API server has them.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use kube::ResourceExt as _;
use kube::api::{ApiResource, ListParams};
use kube::core::GroupVersionKind;

use super::scope::Scope;
use super::{PART_OF_LABEL, Parent, PruneError};
use crate::api_error::ApiError;
use crate::apply::{Applier, Live};
use crate::mapping::Mapped;
use crate::object_key::ObjectKey;

/// How many objects one answer has.
const PAGE: u32 = 500;

/// A member, without its content.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) key: ObjectKey,
    pub(super) resource: ApiResource,
    pub(super) uid: String,
    resource_version: String,
    pub(super) terminating: bool,
}

/// All members that were found, and what could not be looked through.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) members: Vec<Member>,
    pub(super) errors: Vec<PruneError>,
}

impl Listing {
    /// Lists members in a scope. Of kinds that are served no longer there are none.
    ///
    /// `known` are kinds whose version is known; of others the one is taken that the API server
    /// prefers.
    pub(super) async fn of(
        applier: &Applier,
        parent: &Parent,
        scope: &Scope,
        known: &[GroupVersionKind],
    ) -> Self {
        let mut listing = Self::default();
        let mut places = Vec::new();
        for (group, kind) in scope.group_kinds() {
            let known = known.iter().find(|it| it.group == group && it.kind == kind);
            let mapped = match known {
                Some(kind) => applier.mapping().find(kind).await,
                None => applier.mapping().find_any_version(group, kind).await,
            };
            match mapped {
                Ok(Some(Mapped {
                    resource,
                    namespaced: true,
                })) => {
                    let namespaces = scope.all_namespaces(parent.namespace.as_deref());
                    let in_each = namespaces.into_iter();
                    places.extend(in_each.map(|it| (resource.clone(), Some(it.to_owned()))));
                }
                Ok(Some(Mapped { resource, .. })) => places.push((resource, None)),
                Ok(None) => {}
                Err(error) => listing.errors.push(error.into()),
            }
        }
        let selector = format!("{PART_OF_LABEL}={}", parent.id());
        let selector = &selector;
        let work = places.into_iter().map(|(resource, namespace)| async move {
            list(applier, &resource, namespace.as_deref(), selector).await
        });
        let mut lists = stream::iter(work).buffer_unordered(applier.parallel());
        while let Some(list) = lists.next().await {
            match list {
                Ok(mut members) => listing.members.append(&mut members),
                Err(error) => listing.errors.push(error),
            }
        }
        listing
    }

    /// Returns the members that stay if nobody deletes them.
    pub(super) fn live(&self) -> BTreeMap<ObjectKey, Live> {
        let members = self.members.iter();
        let live = members.map(|member| {
            let live = Live {
                uid: member.uid.clone(),
                resource_version: member.resource_version.clone(),
            };
            (member.key.clone(), live)
        });
        live.collect()
    }
}

async fn list(
    applier: &Applier,
    resource: &ApiResource,
    namespace: Option<&str>,
    selector: &str,
) -> Result<Vec<Member>, PruneError> {
    let api = applier.api(resource, namespace);
    let mut params = ListParams::default().labels(selector).limit(PAGE);
    let mut members = Vec::new();
    loop {
        let page = applier.in_turn(api.list_metadata(&params)).await;
        let page = match page.map_err(ApiError::from) {
            Ok(page) => page,
            Err(error) if error.is_not_found() => {
                // The kind has gone in the meantime, and its objects with it.
                applier.mapping().forget(&resource.group, &resource.version);
                return Ok(Vec::new());
            }
            Err(source) => {
                return Err(PruneError::List {
                    kind: resource.kind.clone(),
                    source,
                });
            }
        };
        members.extend(page.items.into_iter().map(|object| Member {
            key: ObjectKey {
                group: resource.group.clone(),
                kind: resource.kind.clone(),
                namespace: object.namespace(),
                name: object.name_any(),
            },
            resource: resource.clone(),
            uid: object.uid().unwrap_or_default(),
            resource_version: object.resource_version().unwrap_or_default(),
            terminating: object.metadata.deletion_timestamp.is_some(),
        }));
        params.continue_token = page.metadata.continue_.filter(|it| !it.is_empty());
        if params.continue_token.is_none() {
            return Ok(members);
        }
    }
}
