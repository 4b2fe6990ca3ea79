//! What a parent says of its set.

use super::scope::Scope;
use crate::resource_version::is_newer;

/// What a parent says of its set.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(super) scope: Scope,
    /// Whether all of it is as we write it.
    pub(super) by_us: bool,
    /// Whether nobody has ever written anything.
    pub(super) is_new: bool,
    /// The version of the parent that says so.
    pub(super) version: String,
}

impl Recorded {
    /// Tells whether this is of a later version of the parent.
    pub(crate) fn is_later_than(&self, other: &Self) -> bool {
        is_newer(&self.version, &other.version)
    }
}
