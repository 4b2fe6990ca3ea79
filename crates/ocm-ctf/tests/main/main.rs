//! What archives do, on real files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod archive;
mod collect;
mod directory;
mod files;
mod layout;
mod referrers;
mod shrinking;
mod support;
mod uploads;
mod writer;
