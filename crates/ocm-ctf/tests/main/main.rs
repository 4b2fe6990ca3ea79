//! What archives do, on real files.

mod directory;
mod support;
