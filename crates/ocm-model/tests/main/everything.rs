//! Descriptors that have everything which a descriptor can have.

use serde_json::{Value, json};

/// In the layout v2.
pub(crate) fn everything() -> Value {
    let label = json!({
        "name": "acme.org/note", "value": {"a": null, "b": [1]}, "version": "v1", "signing": true,
        "merge": {"algorithm": "default", "config": {"overwrite": "none"}},
    });
    let plain = json!({"name": "plain", "value": [null, 1.5, "x"]});
    let digest = json!({
        "hashAlgorithm": "SHA-256", "normalisationAlgorithm": "genericBlobDigest/v1", "value": "00",
    });
    json!({
        "meta": {"schemaVersion": "v2", "new": 1},
        "component": {
            "name": "acme.org/notes", "version": "1.0.0-rc.1+b", "provider": "acme.org",
            "creationTime": "2026-01-01T00:00:00Z",
            "labels": [label, plain],
            "repositoryContexts": [{"type": "OCIRegistry", "baseUrl": "ghcr.io", "new": null}],
            "resources": [
                {
                    "name": "image", "version": "v1.0", "type": "ociImage", "relation": "local",
                    "extraIdentity": {"os": "linux", "architecture": "amd64"},
                    "srcRefs": [{"identitySelector": {"name": "code"}, "labels": [plain]}],
                    "labels": [label],
                    "access": {"type": "LocalBlob/v1", "localReference": "sha256:00", "mediaType": "a/b"},
                    "digest": digest, "new": {"a": []},
                },
                {
                    "name": "chart", "version": "2", "type": "landscaper.gardener.cloud/blueprint",
                    "relation": "external", "access": {"type": "none"}, "labels": null,
                    "srcRefs": null, "digest": null,
                },
            ],
            "sources": [{
                "name": "code", "version": "1.0.0", "type": "git", "extraIdentity": {"vcs": "git"},
                "labels": [plain], "access": {"type": "gitHub", "repoUrl": "x", "commit": "y"},
            }],
            "componentReferences": [{
                "name": "leaf", "componentName": "acme.org/leaf", "version": "2.0.0",
                "extraIdentity": {"role": "leaf"}, "labels": [label], "digest": digest,
            }],
            "new": {"b": 1, "a": 2},
        },
        "signatures": [{
            "name": "one", "digest": digest,
            "signature": {
                "algorithm": "RSASSA-PSS", "value": "ff", "mediaType": "m", "issuer": "CN=x", "new": 1,
            },
            "timestamp": {"value": "PEM", "time": "2026-01-01T00:00:00Z", "new": 2},
        }],
        "nestedDigests": [{
            "name": "acme.org/leaf", "version": "2.0.0", "digest": digest, "new": 3,
            "resourceDigests": [{
                "name": "data", "version": "1", "extraIdentity": {"os": "linux"}, "digest": digest,
            }],
        }],
        "new": [{"z": null, "y": []}],
    })
}

/// The same in the layout v3alpha1.
pub(crate) fn everything_v3alpha1() -> Value {
    let all = everything();
    let component = &all["component"];
    json!({
        "apiVersion": "ocm.software/v3alpha1",
        "kind": "ComponentVersion",
        "metadata": {
            "name": component["name"], "version": component["version"],
            "creationTime": component["creationTime"], "labels": component["labels"],
            "provider": {"name": "acme.org", "labels": component["labels"], "new": 1},
        },
        "repositoryContexts": component["repositoryContexts"],
        "spec": {
            "resources": component["resources"], "sources": component["sources"],
            "references": component["componentReferences"], "new": 1,
        },
        "signatures": all["signatures"],
        "nestedDigests": all["nestedDigests"],
        "new": 1,
    })
}
