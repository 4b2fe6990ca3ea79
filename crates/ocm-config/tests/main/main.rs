//! The behaviour of the crate as its users see it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod credentials;
mod docker;
mod documents;
mod graph;
mod load;
mod place;
mod settings;
