//! Where the members of a set may be.

use std::collections::BTreeSet;

use crate::object_key::ObjectKey;

/// Kinds and namespaces, as a parent states them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Scope {
    /// `Kind.group`, or the kind alone in the core group: their order is that of the annotation.
    kinds: BTreeSet<String>,
    namespaces: BTreeSet<String>,
}

impl Scope {
    pub(super) fn of<'a>(keys: impl Iterator<Item = &'a ObjectKey>) -> Self {
        let mut scope = Self::default();
        for key in keys {
            scope.add_kind(&key.group, &key.kind);
            if let Some(namespace) = &key.namespace {
                scope.add_namespace(namespace);
            }
        }
        scope
    }

    /// Reads annotations. What is no kind or no namespace can have no members.
    pub(super) fn parse(kinds: &str, namespaces: &str) -> Self {
        let list = |text: &str| {
            let parts = text.split(',').map(str::trim).filter(|it| !it.is_empty());
            parts.map(str::to_owned).collect()
        };
        Self {
            kinds: list(kinds),
            namespaces: list(namespaces),
        }
    }

    pub(super) fn add_kind(&mut self, group: &str, kind: &str) {
        self.kinds.insert(if group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{group}")
        });
    }

    pub(super) fn add_namespace(&mut self, namespace: &str) {
        self.namespaces.insert(namespace.to_owned());
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        Self {
            kinds: &self.kinds | &other.kinds,
            namespaces: &self.namespaces | &other.namespaces,
        }
    }

    /// All kinds as group and kind.
    pub(super) fn group_kinds(&self) -> impl Iterator<Item = (&str, &str)> {
        self.kinds.iter().map(|kind| {
            let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
            (group, kind)
        })
    }

    /// All namespaces, that of the parent included.
    pub(super) fn all_namespaces<'a>(&'a self, parent: Option<&'a str>) -> BTreeSet<&'a str> {
        let others = self.namespaces.iter().map(String::as_str);
        others.chain(parent).collect()
    }

    /// Tells whether the annotations of this are those of another one.
    pub(super) fn reads_as(&self, other: &Self, parent: Option<&str>) -> bool {
        self.kinds == other.kinds && self.namespaces(parent) == other.namespaces(parent)
    }

    /// The annotation with the kinds.
    pub(super) fn kinds(&self) -> String {
        let kinds: Vec<_> = self.kinds.iter().map(String::as_str).collect();
        kinds.join(",")
    }

    /// The annotation with the namespaces, which leaves that of the parent out.
    pub(super) fn namespaces(&self, parent: Option<&str>) -> String {
        let namespaces = self.namespaces.iter().map(String::as_str);
        let others: Vec<_> = namespaces.filter(|it| Some(*it) != parent).collect();
        others.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_sorted_and_without_the_namespace_of_the_parent() {
        let mut scope = Scope::default();
        scope.add_kind("", "Secret");
        scope.add_kind("apps", "Deployment");
        scope.add_kind("", "ConfigMap");
        scope.add_namespace("b");
        scope.add_namespace("a");
        assert_eq!(scope.kinds(), "ConfigMap,Deployment.apps,Secret");
        assert_eq!(scope.namespaces(None), "a,b");
        assert_eq!(scope.namespaces(Some("a")), "b");
        let again = Scope::parse(&scope.kinds(), &scope.namespaces(None));
        assert_eq!(again, scope);
        let kinds: Vec<_> = again.group_kinds().collect();
        assert_eq!(
            kinds,
            [("", "ConfigMap"), ("apps", "Deployment"), ("", "Secret")]
        );
    }

    #[test]
    fn annotations_that_others_have_broken_are_read_as_far_as_possible() {
        let scope = Scope::parse(" Secret,, ,Deployment.apps", ",a ,");
        assert_eq!(scope.kinds(), "Deployment.apps,Secret");
        assert_eq!(scope.namespaces(None), "a");
        assert_eq!(Scope::parse("", ""), Scope::default());
    }
}
