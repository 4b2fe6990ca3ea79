//! The keys of Docker's configuration: hosts in several spellings.

use crate::identity::{ConsumerIdentity, canonical_host};

/// The key of Docker Hub, which is older than its host.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A key in its normal form.
pub(super) struct Key(String);

impl Key {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether it names more than a host.
    pub(super) fn has_path(&self) -> bool {
        self.0.contains('/')
    }
}

/// Returns the keys under which credentials for a registry may stand, the closest first.
pub(super) fn candidates(registry: &ConsumerIdentity) -> Vec<Key> {
    let Some(host) = registry.get(ConsumerIdentity::HOSTNAME) else {
        return Vec::new();
    };
    let mut host = canonical_host(host);
    if host.contains(':') {
        host = format!("[{host}]");
    }
    let port = registry.get(ConsumerIdentity::PORT);
    let path = registry.get(ConsumerIdentity::PATH).unwrap_or_default();
    let with_port = port.map(|port| format!("{host}:{port}"));
    with_port
        .into_iter()
        .chain([host])
        .flat_map(|host| paths(&host, path))
        .collect()
}

/// Returns a host with ever less of a path.
fn paths(host: &str, path: &str) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut path = path;
    while !path.is_empty() {
        keys.push(Key(format!("{host}/{path}")));
        path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
    keys.push(Key(host.to_owned()));
    keys
}

/// Brings a key into its normal form: no scheme, no version of the API, one name for a host.
pub(super) fn normalise(key: &str) -> String {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key)
        .trim_end_matches('/');
    let key = match key.split_once('/') {
        Some((host, "v1" | "v2")) => host,
        _ => key,
    };
    match key.split_once('/') {
        Some((host, path)) => format!("{}/{path}", canonical_host(host)),
        None => canonical_host(key),
    }
}

/// Returns the key as Docker writes it, which is also what helpers are asked for.
pub(super) fn server(host: &str) -> String {
    match normalise(host) {
        hub if hub == "docker.io" => DOCKER_HUB.to_owned(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_normal_form() {
        assert_eq!(normalise("https://GHCR.io/v2/"), "ghcr.io");
        assert_eq!(normalise("ghcr.io/Acme"), "ghcr.io/Acme");
        assert_eq!(normalise("https://index.docker.io/v1/"), "docker.io");
        assert_eq!(normalise("localhost:5000"), "localhost:5000");
        assert_eq!(server("registry-1.docker.io"), DOCKER_HUB);
        assert_eq!(server("https://h:1/"), "h:1");
    }

    #[test]
    fn candidates_become_less_and_less_exact() {
        let identity = ConsumerIdentity::oci_registry("h:1/a/b").unwrap();
        let keys = candidates(&identity);
        let keys: Vec<_> = keys.iter().map(Key::as_str).collect();
        assert_eq!(keys, ["h:1/a/b", "h:1/a", "h:1", "h/a/b", "h/a", "h"]);
    }
}
