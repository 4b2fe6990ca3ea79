//! The settings that entries of a configuration carry, one module for each type of entry.

mod filesystem;
mod http;
mod resolvers;
mod signing;
mod transfer;

pub use self::filesystem::FilesystemConfig;
pub use self::http::{HttpConfig, HttpSettings, KeepAlive, Retries, RetrySettings};
pub use self::resolvers::{PrefixResolver, Resolver};
pub use self::signing::SigningConfig;
pub use self::transfer::{CopyMode, Recursion, TransferConfig, UploadType};
