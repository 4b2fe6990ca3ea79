//! The Common Transport Format and OCI layouts as stores.

mod content;
mod directory;
mod facts;
mod index;
mod lock;
mod open;
mod reading;
mod sink;
mod temporary;

pub use directory::CtfDirectory;
pub use index::{ArtifactIndex, INDEX_FILE, INDEX_LIMIT, Listed};
pub use open::Access;
