//! Why the content of a resource is not there, or is something else.

use ocm::blob;
use ocm::digest::{Digest, ParseDigestError};

use super::reachable::Unreachable;

/// Why the content of a resource is not there, or is not what its descriptor says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum ContentError {
    /// It is not read by controllers.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The digest that is stated cannot be compared with any.
    #[error("the digest that is stated is malformed")]
    Stated(#[from] ParseDigestError),
    /// The content is something else than what is stated.
    #[error("digest mismatch: {expected} is stated, the content has {actual}")]
    Digest { expected: Digest, actual: Digest },
    /// The content is too large, as its size says.
    #[error(
        "resource size {} exceeds maximum allowed size of {}", quantity(*.size),
        quantity(*.limit)
    )]
    Size { size: u64, limit: u64 },
    /// The content is too large.
    #[error("resource exceeds maximum allowed size")]
    TooLarge,
    /// An artifact does not stand for the content of one of its layers.
    #[error("the artifact has {number} layers, and only one with a single layer has content")]
    Layers { number: usize },
    /// An index has no content.
    #[error("the artifact is an index, which has no content of its own")]
    Index,
    /// The content cannot be read, or breaks off.
    #[error("the content cannot be read")]
    Blob(#[from] blob::Error),
    /// The content cannot be reached.
    #[error("the content cannot be reached")]
    Repository(#[from] ocm::repository::Error),
    /// The configuration cannot be used.
    #[error("the content cannot be looked for")]
    Session(#[from] Box<ocm::Error>),
    /// The manifest of an artifact cannot be read.
    #[error("the artifact cannot be read")]
    Registry(#[from] ocm::oci::Error),
    /// The name of an image is malformed.
    #[error("the image reference is malformed")]
    Image(#[from] ocm::oci::ParseNameError),
}

/// Writes a number of bytes as Kubernetes does: with the largest binary unit that leaves a whole
/// number.
fn quantity(bytes: u64) -> String {
    let (mut number, mut unit) = (bytes, "");
    for next in ["Ki", "Mi", "Gi", "Ti"] {
        if number == 0 || number % 1024 != 0 {
            break;
        }
        (number, unit) = (number / 1024, next);
    }
    format!("{number}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_quantities_of_kubernetes() {
        for (bytes, expected) in [
            (0, "0"),
            (1023, "1023"),
            (2048, "2Ki"),
            (2 << 20, "2Mi"),
            ((3 << 20) + 1024, "3073Ki"),
            (3_000_000, "3000000"),
        ] {
            assert_eq!(quantity(bytes), expected);
        }
    }
}
