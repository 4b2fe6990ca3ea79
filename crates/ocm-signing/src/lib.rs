//! Signing and verifying component descriptors.
