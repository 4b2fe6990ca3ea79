//! Verifying what others have signed, and what is signed here with services that run in the test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cosign;
mod data;
mod go_v1;
mod login;
mod published;
mod sign;
mod stand_in;
mod tamper;
