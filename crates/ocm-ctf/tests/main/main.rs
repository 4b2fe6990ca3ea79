//! What archives do, on real files.

mod archive;
mod directory;
mod layout;
mod support;
