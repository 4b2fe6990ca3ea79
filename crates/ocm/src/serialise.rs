//! How reports serialise what has a text of its own.

use std::fmt;

use serde::Serializer;

/// Serialises a value as the text that it is shown as.
pub(crate) fn display<T: fmt::Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// Serialises values as a list of the texts that they are shown as.
pub(crate) fn displays<'a, T, S>(
    values: impl IntoIterator<Item = &'a T>,
    to: S,
) -> Result<S::Ok, S::Error>
where
    T: fmt::Display + 'a,
    S: Serializer,
{
    to.collect_seq(values.into_iter().map(ToString::to_string))
}
