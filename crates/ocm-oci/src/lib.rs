//! OCI artifacts: references, manifests, stores, graph copy and the registry client.
