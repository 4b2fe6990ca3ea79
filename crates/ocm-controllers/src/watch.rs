//! What is watched, and who is looked at when something changes.
//!
//! Each kind is watched once, whoever looks at it. A change that only we have made, such as of a
//! status, has nobody looked at who does not depend on it. Of secrets and config maps only the
//! metadata is watched.

mod kind;
mod queue;
mod sources;
mod stores;

pub(crate) use self::kind::watch;
pub(crate) use self::queue::{Next, Queues};
pub(crate) use self::sources::watch_sources;
pub(crate) use self::stores::{Stores, is_pending, stores, usable};

/// The annotation whose change has an object looked at.
pub(crate) const RECONCILE: &str = "delivery.ocm.software/reconcile";
