//! Configuration files, secrets, consumer identities and the credential graph.
