//! Configuration files, secrets, consumer identities and the credential graph.

mod config;
mod credentials;
pub mod docker;

mod document;
mod duration;
mod environment;

mod identity;
mod limited;
mod location;
mod masked;
mod node;
mod search;
mod secret;
pub mod settings;
mod typed;

pub use self::config::{Config, LoadError};
pub use self::credentials::Credentials;
pub use self::document::{
    ConfigDocument, ConfigEntry, Error as DocumentError, MAX_DOCUMENT_SIZE, Warning,
};
pub use self::environment::Environment;
pub use self::identity::{ConsumerIdentity, Mismatch, ParseIdentityError};
pub use self::limited::{Error as FileError, MAX_FILE_SIZE};
pub use self::location::{Location, Origin, Place};
pub use self::search::{Candidate, candidates};
pub use self::secret::Secret;
