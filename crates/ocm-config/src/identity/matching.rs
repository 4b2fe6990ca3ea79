//! Which configured identity fits a requested one, and which of several fits best.

use std::collections::BTreeSet;
use std::fmt;

use super::{ConsumerIdentity, path_pattern};
use crate::typed;

/// How closely a configured identity describes a requested one; the greatest wins.
///
/// The order of the fields is the rule: equal identities, then more attributes, then longer paths
/// with more plain characters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Specificity {
    exact: bool,
    attributes: usize,
    path: (usize, usize),
}

/// One attribute that keeps a configured identity from fitting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mismatch {
    /// The attribute.
    pub attribute: String,
    /// Its value in the configuration.
    pub configured: Option<String>,
    /// Its value in the lookup.
    pub requested: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            attribute,
            configured,
            requested,
        } = self;
        match (configured, requested) {
            (Some(configured), Some(requested)) => {
                write!(f, "{attribute} is `{configured}` instead of `{requested}`")
            }
            (Some(configured), None) => {
                write!(f, "{attribute} is `{configured}` instead of absent")
            }
            (None, Some(requested)) => {
                write!(f, "{attribute} is absent instead of `{requested}`")
            }
            (None, None) => write!(f, "{attribute} differs"),
        }
    }
}

/// Compares a configured identity with a requested one of the same type.
///
/// An attribute that the configuration leaves out may have any value, except for the host, the
/// port and what follows from them: credentials never go to a host that was not named.
pub(crate) fn compare(
    configured: &ConsumerIdentity,
    requested: &ConsumerIdentity,
) -> Result<Specificity, Vec<Mismatch>> {
    let names: BTreeSet<&str> = configured
        .attributes
        .keys()
        .chain(requested.attributes.keys())
        .map(String::as_str)
        .collect();
    let mismatches: Vec<_> = names
        .into_iter()
        .filter(|name| !fits(name, configured, requested))
        .map(|name| Mismatch {
            attribute: name.to_owned(),
            configured: configured.get(name).map(str::to_owned),
            requested: requested.get(name).map(str::to_owned),
        })
        .collect();
    if !mismatches.is_empty() {
        return Err(mismatches);
    }
    Ok(Specificity {
        exact: configured.attributes == requested.attributes,
        attributes: configured.attributes.len(),
        path: path_of(configured).map_or((0, 0), path_pattern::weight),
    })
}

/// Tells whether two identity types are the same.
///
/// A version counts only if both have one. The names of the first generation of the tools are
/// those of today.
pub(crate) fn same_type(one: &str, other: &str) -> bool {
    let (one, one_version) = canonical_type(one);
    let (other, other_version) = canonical_type(other);
    one == other
        && match (one_version, other_version) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
}

/// Returns the one name of a host that has several.
pub(crate) fn canonical_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        _ => host,
    }
}

fn canonical_type(kind: &str) -> (&str, Option<&str>) {
    match typed::split(kind) {
        ("wget", version) => ("Wget", version),
        ("Github", version) => ("GitHubRepository", version),
        ("S3", version) => ("S3Bucket", version),
        ("RSA", Some("v1")) => ("RSA", Some("v1alpha1")),
        other => other,
    }
}

fn fits(name: &str, configured: &ConsumerIdentity, requested: &ConsumerIdentity) -> bool {
    let own = configured.get(name);
    let asked = requested.get(name);
    match name {
        ConsumerIdentity::HOSTNAME => own.map(canonical_host) == asked.map(canonical_host),
        ConsumerIdentity::SCHEME => scheme_fits(own, asked),
        ConsumerIdentity::PORT => port_fits(configured, requested),
        ConsumerIdentity::PATH => {
            own.is_none_or(|own| path_pattern::matches(own, asked.unwrap_or_default()))
        }
        ConsumerIdentity::PATH_PREFIX => prefix_fits(configured, requested),
        _ => own.is_none_or(|own| asked == Some(own)),
    }
}

fn scheme_fits(own: Option<&str>, asked: Option<&str>) -> bool {
    match (own, asked) {
        (Some(own), Some(asked)) => plain_scheme(own) == plain_scheme(asked),
        _ => true,
    }
}

/// Compares ports after the default of the scheme; a prefix of old stands for any port.
fn port_fits(configured: &ConsumerIdentity, requested: &ConsumerIdentity) -> bool {
    if configured.get(ConsumerIdentity::PORT).is_none()
        && configured.get(ConsumerIdentity::PATH_PREFIX).is_some()
    {
        return true;
    }
    let scheme = configured
        .get(ConsumerIdentity::SCHEME)
        .or_else(|| requested.get(ConsumerIdentity::SCHEME));
    let port = |identity: &ConsumerIdentity| match identity.get(ConsumerIdentity::PORT) {
        Some(port) => port.to_owned(),
        None if scheme.is_some_and(|scheme| plain_scheme(scheme) == "http") => "80".to_owned(),
        None => "443".to_owned(),
    };
    port(configured) == port(requested)
}

/// Compares whole segments. Where both spellings are given, `path` is the one that counts.
fn prefix_fits(configured: &ConsumerIdentity, requested: &ConsumerIdentity) -> bool {
    let Some(prefix) = configured.get(ConsumerIdentity::PATH_PREFIX) else {
        return true;
    };
    if configured.get(ConsumerIdentity::PATH).is_some() {
        return true;
    }
    path_of(requested)
        .and_then(|path| path.strip_prefix(prefix))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn path_of(identity: &ConsumerIdentity) -> Option<&str> {
    identity
        .get(ConsumerIdentity::PATH)
        .or_else(|| identity.get(ConsumerIdentity::PATH_PREFIX))
}

fn plain_scheme(scheme: &str) -> &str {
    match scheme {
        "oci" => "https",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(attributes: &[(&str, &str)]) -> ConsumerIdentity {
        attributes.iter().fold(
            ConsumerIdentity::new("OCIRegistry"),
            |identity, (name, value)| identity.with(*name, *value),
        )
    }

    #[track_caller]
    fn check(configured: &[(&str, &str)], url: &str, expected: bool) {
        let requested = ConsumerIdentity::oci_registry(url).unwrap();
        let found = compare(&registry(configured), &requested);
        assert_eq!(
            found.is_ok(),
            expected,
            "{configured:?} for {url}: {found:?}"
        );
    }

    #[test]
    fn a_host_that_is_not_named_gets_nothing() {
        check(&[], "https://ghcr.io", false);
        check(&[("hostname", "ghcr.io")], "https://ghcr.io", true);
        check(&[("hostname", "GHCR.io")], "https://ghcr.io", true);
        check(
            &[("hostname", "ghcr.io")],
            "https://ghcr.io.evil.org",
            false,
        );
    }

    #[test]
    fn schemes_count_only_where_both_are_given() {
        check(&[("hostname", "h"), ("scheme", "https")], "https://h", true);
        check(&[("hostname", "h"), ("scheme", "http")], "https://h", false);
        check(&[("hostname", "h"), ("scheme", "oci")], "https://h", true);
        check(&[("hostname", "h"), ("scheme", "https")], "h", true);
    }

    #[test]
    fn a_port_left_out_is_the_default_of_the_scheme() {
        check(&[("hostname", "h"), ("port", "443")], "https://h", true);
        check(&[("hostname", "h"), ("port", "80")], "http://h", true);
        check(&[("hostname", "h")], "h:443", true);
        check(&[("hostname", "h")], "https://h:5000", false);
        check(&[("hostname", "h"), ("port", "5000")], "h:5000", true);
        check(&[("hostname", "h"), ("port", "5000")], "h", false);
    }

    #[test]
    fn a_path_is_a_pattern_and_a_prefix_is_whole_segments() {
        check(&[("hostname", "h"), ("path", "a/*")], "h/a/b", true);
        check(&[("hostname", "h"), ("path", "a/*")], "h/a/b/c", false);
        check(&[("hostname", "h"), ("path", "a")], "h", false);
        check(
            &[("hostname", "h"), ("pathprefix", "/a/b/")],
            "h/a/b/c",
            true,
        );
        check(&[("hostname", "h"), ("pathprefix", "a/b")], "h/a/bc", false);
        check(&[("hostname", "h"), ("pathprefix", "a")], "h:5000/a", true);
        check(
            &[("hostname", "h"), ("path", "x"), ("pathprefix", "a")],
            "h/x",
            true,
        );
    }

    #[test]
    fn docker_hub_has_several_names() {
        check(
            &[("hostname", "docker.io")],
            "https://index.docker.io",
            true,
        );
        check(
            &[("hostname", "registry-1.docker.io")],
            "https://docker.io",
            true,
        );
    }

    #[test]
    fn attributes_left_out_stand_for_any() {
        let requested = ConsumerIdentity::rsa("RSASSA-PSS", "acme");
        assert!(compare(&ConsumerIdentity::new("RSA"), &requested).is_ok());
        let other = ConsumerIdentity::rsa("RSASSA-PSS", "other");
        let mismatches = compare(&other, &requested).unwrap_err();
        assert_eq!(
            mismatches[0].to_string(),
            "signature is `other` instead of `acme`"
        );
        assert_eq!(mismatches.len(), 1);
    }

    #[test]
    fn versions_of_types_count_only_where_both_are_given() {
        assert!(same_type("OCIRegistry", "OCIRegistry/v1"));
        assert!(same_type("RSA/v1", "RSA/v1alpha1"));
        assert!(!same_type("X/v1", "X/v2"));
        assert!(!same_type("X", "Y"));
        assert!(same_type("wget", "Wget/v1"));
    }

    #[test]
    fn the_closest_description_wins() {
        let requested = ConsumerIdentity::oci_registry("https://h/team/app").unwrap();
        let weight = |attributes| compare(&registry(attributes), &requested).unwrap();
        let ascending = [
            weight(&[("hostname", "h")]),
            weight(&[("hostname", "h"), ("scheme", "https")]),
            weight(&[("hostname", "h"), ("path", "*/*")]),
            weight(&[("hostname", "h"), ("path", "team/*")]),
            weight(&[("hostname", "h"), ("path", "team/app")]),
            weight(&[
                ("hostname", "h"),
                ("scheme", "https"),
                ("port", "443"),
                ("path", "*/*"),
            ]),
            weight(&[("hostname", "h"), ("scheme", "https"), ("path", "team/app")]),
        ];
        assert!(ascending.is_sorted(), "{ascending:?}");
    }
}
