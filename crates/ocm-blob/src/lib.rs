//! Blobs: content with a size, a digest and a way to read it.
//!
//! Everything that can be large is a [`Blob`]: it can be opened any number of times, from any
//! offset, and hands out a [`ByteStream`], a stream of chunks of at most [`CHUNK`] bytes. Chunks
//! are reference-counted, so that hashing, writing and sending share one copy in memory.
//!
//! The safe call is the short one: [`Blob::open`] checks size and digest where they are known, and
//! its stream ends with an error instead of its last chunk when the content is not what was
//! promised. Who has read to the end has verified.
//!
//! ```
//! use ocm_blob::{Blob, Bytes, MemoryBlob, read_to_end};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let blob = MemoryBlob::new(Bytes::from_static(b"hello"));
//! assert_eq!(blob.size(), Some(5));
//! assert_eq!(read_to_end(&blob, 1024).await?, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })
//! # ?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a blob is the content of (a layer, a resource, a file) is not known here.

mod blob;
mod buffer;
mod error;
mod file;
mod gzip;
mod hashing;
mod memory;
mod open_file;
mod read;
mod stream;
mod tar;
mod verify;

pub use blob::{Blob, BlobRef, Origin};
pub use bytes::Bytes;
pub use error::Error;
pub use file::{FileBlob, FileRange};
pub use gzip::{GunzipBlob, GzipBlob, gunzip, gzip, gzip_writer, is_gzip};
pub use hashing::hash;
pub use memory::MemoryBlob;
pub use open_file::{ExtentBlob, FileCursor, OpenFile};
pub use read::StreamReader;
pub use stream::{ByteStream, CHUNK, collect, from_fn_blocking, lazily, once, read_to_end};
pub use tar::{
    TAR_END, TarBlob, TarEntry, TarKind, TarScan, tar_directory, tar_entries, tar_header,
    tar_padding,
};
pub use verify::{Counted, Promise, check, verify};
