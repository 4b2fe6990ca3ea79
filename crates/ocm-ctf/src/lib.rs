//! The Common Transport Format and OCI layouts as stores.
