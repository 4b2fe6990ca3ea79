//! The configuration and the credentials that objects bring along, and hand on.
//!
//! Two steps: [`effective`] says which secrets and config maps count for an object, which is a pure
//! rule; [`load`] reads them, under the [`Rules`] of who may use what of other namespaces.

mod effective;
mod grant;
mod load;
mod sections;
mod users;

pub use self::effective::{EffectiveError, ObjectKey, Referrer, effective, references};
pub use self::grant::{ALLOWED_NAMESPACES, Refusal, Rules};
pub use self::load::{LoadError, Loaded, Source, SourceKind, load};
pub use self::sections::SectionError;
pub use self::users::{Used, Users};
