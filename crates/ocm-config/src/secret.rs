//! A value that is never shown.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A password, token or key.
///
/// `Debug` and `Display` print asterisks, and there is no `Serialize`: a secret leaves only where
/// code says [`expose`](Self::expose).
///
/// ```
/// use ocm_config::Secret;
///
/// let password = Secret::new("correct horse");
/// assert_eq!(format!("{password} {password:?}"), "*** Secret(***)");
/// assert_eq!(*password.expose(), "correct horse");
/// ```
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Shows the value to code that sends, signs or stores with it.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Gives the value up.
    pub fn into_exposed(self) -> T {
        self.0
    }

    /// Computes another secret from this one.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Secret<U> {
        Secret(change(self.0))
    }
}

impl Secret<String> {
    /// Hides a text.
    pub fn text(value: impl Into<String>) -> Self {
        Self(value.into())
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_inside_another_value_is_not_shown() {
        let shown = format!("{:?}", Some(vec![Secret::text("hunter2")]));
        assert_eq!(shown, "Some([Secret(***)])");
    }
}
