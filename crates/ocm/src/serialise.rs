//! How reports serialise what has a text of its own.

use std::fmt;

use serde::Serializer;

/// Serialises a value as the text that it is shown as.
pub(crate) fn display<T: fmt::Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}
