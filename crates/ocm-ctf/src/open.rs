//! Choosing by what is there.

/// What an archive is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Reading what is there.
    ReadOnly,
    /// Reading and writing; what is not there is created.
    ReadWrite,
}
