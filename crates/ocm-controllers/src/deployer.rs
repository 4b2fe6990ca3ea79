//! What a [`Deployer`](crate::api::Deployer) does.

mod metadata;

pub use metadata::{MANAGER, Origin};
