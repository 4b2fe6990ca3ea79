//! Who signs requests.

use std::fmt;

use async_trait::async_trait;
use ocm_oci::Error;
use zeroize::Zeroizing;

/// An access key of S3. The secret never shows in `Debug`.
#[derive(Clone)]
pub struct Keys {
    pub(crate) id: String,
    pub(crate) secret: Zeroizing<String>,
    pub(crate) token: Option<Zeroizing<String>>,
}

impl Keys {
    /// Takes an access key with its secret.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: Zeroizing::new(secret.into()),
            token: None,
        }
    }

    /// Adds the session token that belongs to a key that is good for a while.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Zeroizing::new(token.into()));
        self
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Where keys come from. It is asked for each request, and remembers what costs something.
#[async_trait]
pub trait KeySource: fmt::Debug + Send + Sync {
    /// Returns the keys to sign with now; `None` if requests go unsigned.
    ///
    /// # Errors
    ///
    /// There should be some, and cannot be had.
    async fn keys(&self) -> Result<Option<Keys>, Error>;
}

/// Keys that stay as they are.
#[derive(Clone, Debug)]
pub struct FixedKeys(pub Option<Keys>);

#[async_trait]
impl KeySource for FixedKeys {
    async fn keys(&self) -> Result<Option<Keys>, Error> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show() {
        let keys = Keys::new("id", "hidden").with_token("hidden");
        assert_eq!(format!("{keys:?}"), "Keys { id: \"id\", .. }");
    }
}
