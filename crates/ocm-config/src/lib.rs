//! Configuration files, secrets, consumer identities and the credential graph.
//!
//! The crate answers two questions: what do the `.ocmconfig` files of a user say, and which
//! credentials belong to a registry, a signature or whoever else needs some. What it may see of
//! the process is handed in as an [`Environment`]; it prints nothing and asks no clock.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use ocm_config::graph::CredentialGraph;
//! use ocm_config::{Config, ConsumerIdentity, Environment};
//!
//! // A program fills this from its process; a test or a controller as it likes.
//! let env = Environment::default();
//! let config = Config::load(&[], &env).await?;
//! for warning in config.warnings() {
//!     // … is for the program to show.
//! #   let _ = warning;
//! }
//!
//! let graph = CredentialGraph::new(&config, &env);
//! let registry = ConsumerIdentity::oci_registry("https://ghcr.io/acme/shop")?;
//! match graph.resolve(&registry).await? {
//!     Some(credentials) => { /* log in with `credentials.username()` and the like */ }
//!     None => { /* go on without, and name `graph.near_misses(&registry)` on refusal */ }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Where to start
//!
//! | module or type | owns |
//! | --- | --- |
//! | [`candidates`] | where files are looked for, from weakest to strongest |
//! | [`ConfigDocument`] | one file: its typed entries, flattened; the entry for fuzzing |
//! | [`Config`] | all files: the sections, merged, each read when it is asked for |
//! | [`settings`] | what the sections carry |
//! | [`ConsumerIdentity`] | who needs credentials, and which pattern fits |
//! | [`Credentials`], [`Secret`] | what they get, never shown by accident |
//! | [`graph`] | from the one to the other, with plugins and stores |
//! | [`docker`] | Docker's and podman's files, their helpers, logging in |
//!
//! # Strength
//!
//! A document is stronger the closer to the command it was named: `--config`, then `OCM_CONFIG`,
//! the working directory, the home directory, the directory of the executable. All of them count;
//! where two say something about the same, the stronger one wins.
//!
//! # What it leaves to others
//!
//! Which repositories exist, what a resolver's repository is, how a signer is made of its
//! specification: those are typed objects here, handed on as they are.

mod config;
mod credentials;
pub mod docker;
mod document;
mod duration;
mod environment;
pub mod graph;
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
pub use self::duration::parse as parse_duration;
pub use self::environment::Environment;
pub use self::identity::{ConsumerIdentity, Mismatch, ParseIdentityError};
pub use self::limited::{Error as FileError, MAX_FILE_SIZE};
pub use self::location::{Location, Origin, Place};
pub use self::search::{Candidate, candidates};
pub use self::secret::Secret;
