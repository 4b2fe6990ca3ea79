//! Manifests: from the content of a resource to the objects that it describes.
//!
//! ```yaml
//! apiVersion: v1
//! kind: ConfigMap
//! metadata:
//!   name: settings
//! ---
//! # Documents without content are skipped.
//! ---
//! {"apiVersion": "v1", "kind": "List", "items": []}
//! ```
//!
//! Content is one such stream, in YAML or JSON, or a tar of a directory tree with such files; both
//! also compressed with gzip. YAML is read as `kubectl` reads it.

mod stream;
mod tree;

use std::fmt;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::DynamicObject;
use ocm_blob::{ByteStream, collect, gunzip, is_gzip};
use thiserror::Error as ThisError;

/// What a manifest may have at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes, counted after decompression.
    pub bytes: u64,
    /// Documents, those without content included.
    pub documents: usize,
    /// Objects, counted after lists have been expanded.
    pub objects: usize,
    /// Texts, numbers, lists and mappings, those within each other included. A value of two bytes
    /// takes a hundred in memory, so the number of bytes is not enough.
    pub values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 16 * 1024 * 1024,
            documents: 50_000,
            objects: 50_000,
            values: 1_000_000,
        }
    }
}

/// Reads the objects of a manifest, in its order; those of a tree in the order of its paths.
///
/// # Errors
///
/// The content cannot be read, exceeds a limit, is no manifest, or has no objects.
///
/// # Cancellation
///
/// What has been read is parsed to its end on a thread of its own, for nobody.
pub async fn read(mut content: ByteStream, limits: Limits) -> Result<Vec<DynamicObject>, Error> {
    let mut start = Bytes::new();
    // Chunks may be as small as they like.
    while start.len() < GZIP_MAGIC {
        match content.try_next().await? {
            Some(chunk) if start.is_empty() => start = chunk,
            Some(chunk) => start = [start, chunk].concat().into(),
            None if start.is_empty() => return Err(Error::Empty),
            None => break,
        }
    }
    let compressed = is_gzip(&start);
    let first = futures::stream::iter([Ok(start)]);
    let mut content = first.chain(content).boxed();
    if compressed {
        content = gunzip(content, limits.bytes);
    }
    let bytes = collect(content, limits.bytes).await?;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let parser = std::thread::Builder::new()
        .name("manifest".to_owned())
        .stack_size(STACK_SIZE)
        // Nobody may wait for the answer any more.
        .spawn(move || drop(sender.send(parse(&bytes, limits))));
    parser.map_err(Error::Parser)?;
    receiver.await.map_err(|_| Error::Parser(stopped()))?
}

/// Parses the objects of a manifest that is not compressed.
///
/// Needs a stack of about 8 MiB for documents that are as deep as they may be.
///
/// # Errors
///
/// As [`read`].
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Vec<DynamicObject>, Error> {
    if bytes.len() as u64 > limits.bytes {
        return Err(ocm_blob::Error::TooLarge {
            limit: limits.bytes,
        }
        .into());
    }
    let mut objects = Objects::new(limits);
    if tree::is_tar(bytes) {
        tree::parse(bytes, &mut objects)?;
    } else {
        stream::parse(bytes, None, &mut objects)?;
    }
    if objects.found.is_empty() {
        return Err(Error::Empty);
    }
    Ok(objects.found)
}

/// How many bytes tell that something is compressed.
const GZIP_MAGIC: usize = 3;

/// Enough for values that nest as deep as they may, without optimisation.
const STACK_SIZE: usize = 16 * 1024 * 1024;

fn stopped() -> std::io::Error {
    std::io::Error::other("it has stopped")
}

/// What has been found so far, and how much more may be.
#[derive(Debug)]
struct Objects {
    found: Vec<DynamicObject>,
    documents: usize,
    values: usize,
    limits: Limits,
}

impl Objects {
    const fn new(limits: Limits) -> Self {
        Self {
            found: Vec::new(),
            documents: 0,
            values: 0,
            limits,
        }
    }

    fn count_document(&mut self) -> Result<(), Error> {
        self.documents += 1;
        bounded("documents", self.documents, self.limits.documents)
    }

    fn count_values(&mut self, values: usize) -> Result<(), Error> {
        self.values += values;
        bounded("values", self.values, self.limits.values)
    }

    const fn values_left(&self) -> usize {
        self.limits.values - self.values
    }

    fn push(&mut self, object: DynamicObject) -> Result<(), Error> {
        self.found.push(object);
        bounded("objects", self.found.len(), self.limits.objects)
    }
}

const fn bounded(what: &'static str, number: usize, limit: usize) -> Result<(), Error> {
    if number > limit {
        return Err(Error::TooMany { what, limit });
    }
    Ok(())
}

/// Where in a manifest something is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The file, in a tree.
    pub file: Option<String>,
    /// The document, from 1.
    pub document: usize,
    /// The line of the file or the stream, from 1.
    pub line: u64,
    /// The item, from 0, where the document is a list.
    pub item: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "file `{}`, ", file.escape_debug())?;
        }
        write!(f, "document {}, line {}", self.document, self.line)?;
        match self.item {
            Some(item) => write!(f, ", item {item}"),
            None => Ok(()),
        }
    }
}

/// Why content is no manifest that can be applied.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The content cannot be read, or is too large.
    #[error("cannot read the manifest")]
    Content(#[from] ocm_blob::Error),
    /// There is nothing in it.
    #[error("no objects found in manifest")]
    Empty,
    /// A document is malformed, or describes no object.
    #[error("{place}: {message}")]
    Document {
        /// Where it is.
        place: Place,
        /// What is wrong.
        message: String,
    },
    /// A text is no UTF-8.
    #[error("{}is no UTF-8", file.as_ref().map_or_else(|| "manifest ".to_owned(), |it| format!("file `{it}` ")))]
    Encoding {
        /// The file, in a tree.
        file: Option<String>,
    },
    /// It is a Helm chart.
    #[error(
        "manifest is a Helm chart (it has `{file}`), and charts are not rendered here: have a tool \
         for charts install it, such as the helm-controller of Flux"
    )]
    Chart {
        /// What tells.
        file: String,
    },
    /// It is built with Kustomize.
    #[error(
        "manifest is a Kustomize directory (it has `{file}`), which is not built here: pack what \
         `kustomize build` prints"
    )]
    Kustomization {
        /// What tells.
        file: String,
    },
    /// There are more documents, objects or values than allowed.
    #[error("manifest has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// The thread of the parser has failed.
    #[error("cannot parse the manifest")]
    Parser(#[source] std::io::Error),
}
