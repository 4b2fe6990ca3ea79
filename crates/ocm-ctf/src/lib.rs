//! The Common Transport Format and OCI layouts as stores.
//!
//! An archive holds repositories with tags, manifests and blobs, as a registry does, in a
//! directory, a tar or a compressed tar. [`open`] takes any of them. Each is an [`ocm_oci::Store`]:
//!
//! - [`CtfDirectory`]: read and written, by several processes at once;
//! - [`CtfArchive`]: a tar read in place, or a compressed tar;
//! - [`CtfArchiveWriter`]: either of them, written, and replaced as a whole, or a tar in parts;
//! - [`PartList`]: the parts of an archive, which are read as the archive that they are, and
//!   [`Obstacle`] what keeps some from being written;
//! - [`Shrinking`]: any of them without some of its manifests, and what only they lead to;
//! - [`OciLayout`]: an OCI image layout or artifact set, in a directory, a file or a blob;
//!   [`write_layout`] makes one of an artifact in any store, [`check_passing`] checks one on its way.
//!
//! [`FileArchive`] reads archives that have another structure than these, file by file.
//!
//! ```
//! use ocm_ctf::{Access, CtfDirectory};
//! use ocm_oci::{List, Push};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! # let place = tempfile::tempdir()?;
//! # let path = place.path().join("shop.ctf");
//! let archive = CtfDirectory::open(path, Access::ReadWrite)?;
//! assert!(archive.repositories().await?.is_empty());
//! archive.commit().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What the artifacts mean, components for instance, is not known here.

mod archive;
mod content;
mod directory;
mod facts;
mod files;
mod index;
mod layout;
mod lock;
mod open;
mod packed;
mod parts;
mod pieces;
mod reach;
mod reading;
mod remove;
mod sink;
mod stamp;
mod tags;
mod temporary;
mod writer;

pub use archive::CtfArchive;
pub use directory::CtfDirectory;
pub use facts::Elsewhere;
pub use files::FileArchive;
pub use index::{ArtifactIndex, INDEX_FILE, INDEX_LIMIT, Listed};
pub use layout::{
    OciLayout, ReferrersOf, check_passing, is_artifact_set, is_oci_layout, write_layout,
};
pub use open::{Access, CtfFormat, open, open_in_parts, open_to_write};
pub use packed::Scratch;
pub use parts::{ArchivePart, PartList};
pub use remove::{LeftOut, Removed, Shrinking, Unneeded};
pub use writer::{CtfArchiveWriter, Obstacle};
