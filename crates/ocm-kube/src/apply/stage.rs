//! The order of kinds.

/// When objects are applied, and in reverse when they are removed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    /// What others are in.
    Namespaces,
    /// What makes others possible.
    Definitions,
    /// What others make definitions of. Who makes them lets go of the objects of their kinds only as
    /// long as these are there.
    Blueprints,
    /// Who may do what, and how much of it.
    Rights,
    /// What others read when they start.
    Configuration,
    /// All else.
    Rest,
    /// What steps in between requests for others, by means of what has been applied before.
    Interception,
}

/// Returns the stage of a kind.
pub(crate) fn stage(group: &str, kind: &str) -> Stage {
    match (group, kind) {
        ("", "Namespace") => Stage::Namespaces,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Stage::Definitions,
        ("kro.run", "ResourceGraphDefinition")
        | ("apiextensions.crossplane.io", "CompositeResourceDefinition") => Stage::Blueprints,
        ("rbac.authorization.k8s.io", _)
        | ("", "ServiceAccount" | "ResourceQuota" | "LimitRange")
        | ("scheduling.k8s.io", "PriorityClass") => Stage::Rights,
        ("", "ConfigMap" | "Secret" | "PersistentVolume" | "PersistentVolumeClaim")
        | ("storage.k8s.io", "StorageClass") => Stage::Configuration,
        ("admissionregistration.k8s.io", _) | ("apiregistration.k8s.io", "APIService") => {
            Stage::Interception
        }
        _ => Stage::Rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_need_comes_before_them() {
        let order = [
            ("", "Namespace"),
            ("apiextensions.k8s.io", "CustomResourceDefinition"),
            ("kro.run", "ResourceGraphDefinition"),
            ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
            ("", "Secret"),
            ("apps", "Deployment"),
            (
                "admissionregistration.k8s.io",
                "ValidatingWebhookConfiguration",
            ),
        ];
        let stages = order.map(|(group, kind)| stage(group, kind));
        assert!(stages.is_sorted_by(|a, b| a < b), "{stages:?}");
        assert_eq!(stage("a.org", "Namespace"), Stage::Rest);
    }
}
