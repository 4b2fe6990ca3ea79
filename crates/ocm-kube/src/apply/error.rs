//! Why an object was not applied.

use thiserror::Error as ThisError;

use crate::api_error::ApiError;
use crate::mapping;

/// Why an object was not applied.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The API server does not know the kind.
    #[error("the API server does not serve {kind}")]
    UnknownKind {
        /// The kind and its version.
        kind: String,
    },
    /// The kind could not be looked up.
    #[error(transparent)]
    Mapping(#[from] mapping::Error),
    /// The API server has refused it.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Another object of the same name comes before it.
    #[error("it is there twice")]
    Twice,
    /// A definition whose kind is not served.
    #[error("it is not established{why}")]
    NotEstablished {
        /// Why not.
        why: String,
    },
    /// A definition that could not be waited for.
    #[error("cannot wait until it is established")]
    Watch(#[source] Box<kube::runtime::wait::Error>),
    /// It belongs to another set.
    #[error(
        "resource belongs to a different ApplySet: {path} ({kind}) belongs to ApplySet {current:?}, \
         cannot reassign to {id:?}"
    )]
    OtherSet {
        /// Its namespace and name.
        path: String,
        /// Its kind.
        kind: String,
        /// The identifier of the other set.
        current: String,
        /// The identifier of this one.
        id: String,
    },
}

impl Error {
    /// Tells whether the object is larger than the API server takes, so that it cannot be applied as
    /// it is.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_too_large())
    }
}
