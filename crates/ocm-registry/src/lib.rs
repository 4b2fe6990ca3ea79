//! An OCI registry over any store.
