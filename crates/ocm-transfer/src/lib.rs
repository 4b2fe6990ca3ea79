//! Planning and executing transfers of component versions.
//!
//! A transfer is a plan that is carried out. Planning reads component descriptors, asks what the
//! target has and decides; it writes nothing. The plan is data: it can be printed, stored and
//! carried out later. Carrying it out moves content and writes descriptors, children before those
//! that refer to them, so that a reader never meets half a component version, and what was
//! interrupted is continued by planning and executing again.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ocm_backends::OciComponentRepository;
//! use ocm_model::{Descriptor, Provider};
//! use ocm_oci::MemoryStore;
//! use ocm_repository::{Expected, RepositoryRef};
//! use ocm_transfer::{ExecuteOptions, Planner, Recursion, Root, TransferOptions};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let here = Arc::new(MemoryStore::new());
//! let here: RepositoryRef = Arc::new(OciComponentRepository::new(here, None));
//! let there = Arc::new(MemoryStore::new());
//! let there: RepositoryRef = Arc::new(OciComponentRepository::new(there, None));
//! let notes =
//!     Descriptor::new("acme.org/notes".parse()?, "1.0.0".parse()?, &Provider::new("acme.org"));
//! here.put(&notes, Expected::Absent).await?;
//!
//! let options = TransferOptions {
//!     recursive: Recursion::Unlimited,
//!     ..TransferOptions::default()
//! };
//! let planner = Planner::new(there).with_options(options);
//! let transfer = planner.plan(Root::all(&here).await?).await?;
//! assert_eq!(transfer.plan().totals.add, 1);
//! let report = transfer.execute(&ExecuteOptions::default()).await?;
//! assert_eq!(report.added, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Planner`] and [`Root`] gather; [`decide`], [`merge`] and [`resource_step`] hold the rules
//!   and do no IO.
//! - [`TransferPlan`] is the plan, [`Transfer`] the plan with its repositories at hand.
//! - [`delta`] leaves out of archives what the other side has.
//! - [`diff`](mod@diff) says what differs between two component versions.
//! - [`ExecuteOptions`] limits and watches the work; [`TransferReport`] says what was done.
//!
//! # Guarantees
//!
//! - Of a component version nothing but accesses changes: digests stay, and signatures hold. This
//!   is checked before each descriptor is written.
//! - Content whose digest contradicts the descriptor is not transferred, and neither is a
//!   component version that is not the one which a reference promises.
//! - Other content at the target is never replaced unless that is asked for ([`Policy`]).
//!
//! Which signatures there must be is left to the caller, and so is which versions to start from.

mod arrival;
mod assess;
mod attached;
mod contents;
mod decide;
pub mod delta;
pub mod diff;
mod error;
mod execute;
#[cfg(test)]
mod fixture;
mod gather;
mod label;
mod merge;
mod options;
mod order;
mod parallel;
pub mod plan;
mod planner;
mod platforms;
mod progress;
mod reference;
mod relocation;
mod report;
mod standing;
mod step;
mod stored;
mod transfer;
mod transformation;

pub use decide::{Decision, Difference, decide, difference};
pub use error::{BeyondReach, Conflict, ElementId, Error};
pub use execute::ExecuteOptions;
pub use merge::{MergeError, merge};
pub use options::{Policy, Recursion, ResourceCopy, TransferOptions, UploadAs};
pub use plan::TransferPlan;
pub use planner::{Inspector, Planner, Resolver, Root};
pub use progress::TransferProgress;
pub use report::{Blobs, Note, TransferReport, VersionReport};
pub use step::{Choice, Step, resource_step, source_step};
pub use stored::StoredPlan;
pub use transfer::Transfer;
pub use transformation::{GraphTransfer, GraphVersion, read_transformation_graph};
