//! Where component versions live: traits, content, resolution.
