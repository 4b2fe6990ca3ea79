//! Type names of typed objects: `name` or `name/version`.
//!
//! They are split and never refused: a configuration may have entries for anybody, whose types
//! need not have the form of `ocm_model::TypeName`, such as `my-plugin.config.acme.org/v1`.

use serde_json::Value;

/// Returns the `type` of an object.
pub(crate) fn type_of(value: &Value) -> Option<&str> {
    value.get("type")?.as_str()
}

/// Splits a type into its name and its version, if it has one.
pub(crate) fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once('/') {
        Some((name, version)) if is_version(version) => (name, Some(version)),
        _ => (text, None),
    }
}

/// Returns the name of a type without its version.
pub(crate) fn name(text: &str) -> &str {
    split(text).0
}

/// Tells whether a text is `v1`, `v1alpha1`, `v2beta3`.
fn is_version(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('v') else {
        return false;
    };
    rest.starts_with(|c: char| c.is_ascii_digit())
        && rest.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_split_off() {
        assert_eq!(split("RSA/v1alpha1"), ("RSA", Some("v1alpha1")));
        assert_eq!(split("RSA"), ("RSA", None));
        assert_eq!(split("a/b"), ("a/b", None));
        assert_eq!(split("a/v"), ("a/v", None));
    }
}
