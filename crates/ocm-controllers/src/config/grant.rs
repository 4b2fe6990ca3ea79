//! Who may use secrets and config maps of other namespaces.
//!
//! The controllers may read all secrets. Without a rule, who may create an object in one namespace
//! would have them send the credentials of another one to a registry of his choice.

use std::collections::BTreeMap;

/// The annotation by which a secret or config map says which other namespaces may use it: their
/// names, separated by commas, or `*` for all.
pub const ALLOWED_NAMESPACES: &str = "delivery.ocm.software/allowed-namespaces";

/// What the controllers allow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// Whether everything may be used from everywhere, without a grant.
    pub allow_cross_namespace: bool,
}

impl Rules {
    /// Tells whether an object may use a secret or config map with these annotations. An object
    /// that is in no namespace may: only who administers the cluster can make it.
    pub fn allow(
        self,
        user: Option<&str>,
        owner: &str,
        annotations: Option<&BTreeMap<String, String>>,
    ) -> bool {
        let Some(user) = user else { return true };
        if self.allow_cross_namespace || user == owner {
            return true;
        }
        let grant = annotations.and_then(|it| it.get(ALLOWED_NAMESPACES));
        let mut granted = grant.iter().flat_map(|it| it.split(',')).map(str::trim);
        granted.any(|namespace| namespace == "*" || namespace == user)
    }
}

/// A secret or config map of another namespace that may not be used, or does not exist: who may
/// not use it does not learn which.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{what} is not available to namespace {user}: it must exist, and its annotation \
     {ALLOWED_NAMESPACES} must name the namespace"
)]
pub struct Refusal {
    /// The object, as in `secret shop/credentials`.
    pub what: String,
    /// The namespace that wants to use it.
    pub user: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(user: Option<&str>, grant: Option<&str>) -> bool {
        let annotations = grant.map(|it| BTreeMap::from([(ALLOWED_NAMESPACES.into(), it.into())]));
        Rules::default().allow(user, "owner", annotations.as_ref())
    }

    #[test]
    fn only_the_own_namespace_without_a_grant() {
        assert!(allowed(Some("owner"), None));
        assert!(!allowed(Some("tenant"), None));
        assert!(!allowed(Some("tenant"), Some("")));
    }

    #[test]
    fn a_grant_names_namespaces_whole() {
        assert!(allowed(Some("tenant"), Some("a, tenant")));
        assert!(allowed(Some("tenant"), Some("*")));
        assert!(!allowed(Some("tenant"), Some("tenant-b,ten*")));
    }

    #[test]
    fn everything_is_allowed_by_the_flag_and_to_the_cluster() {
        let rules = Rules {
            allow_cross_namespace: true,
        };
        assert!(rules.allow(Some("tenant"), "owner", None));
        assert!(allowed(None, None));
    }
}
