//! Kinds whose objects are what was applied, and nothing more.

/// Tells whether nobody writes to objects of a kind but who means to change them, and they are
/// ready as soon as they are there. Of others, a controller of the cluster writes the status, so
/// that the version of an object says little of whether it is as it was left.
pub(super) fn is_plain(group: &str, kind: &str) -> bool {
    match group {
        "" => matches!(
            kind,
            "ConfigMap" | "LimitRange" | "Namespace" | "Secret" | "ServiceAccount"
        ),
        "admissionregistration.k8s.io" => matches!(
            kind,
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration"
        ),
        "networking.k8s.io" => matches!(kind, "IngressClass" | "NetworkPolicy"),
        "rbac.authorization.k8s.io" => true,
        "scheduling.k8s.io" => kind == "PriorityClass",
        "storage.k8s.io" => kind == "StorageClass",
        _ => false,
    }
}
