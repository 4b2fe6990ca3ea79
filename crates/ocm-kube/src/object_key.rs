//! Which object of a cluster something is about.

use std::fmt;

use kube::api::DynamicObject;
use kube::core::GroupVersionKind;

/// Names an object, in whichever version of its kind.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ObjectKey {
    /// The group of its kind; empty for the core group.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// Names an object with the namespace that it states.
    pub fn of(object: &DynamicObject) -> Self {
        let kind = kind_of(object);
        Self {
            group: kind.group,
            kind: kind.kind,
            namespace: object.metadata.namespace.clone(),
            name: object.metadata.name.clone().unwrap_or_default(),
        }
    }

    /// Returns `namespace/name`, or the name alone of what is in no namespace.
    pub fn path(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.path())
    }
}

/// Returns what an object states as its kind.
pub(crate) fn kind_of(object: &DynamicObject) -> GroupVersionKind {
    let types = object.types.as_ref();
    let kind = types.map_or("", |it| &it.kind);
    let api_version = types.map_or("", |it| &it.api_version);
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    GroupVersionKind::gvk(group, version, kind)
}
