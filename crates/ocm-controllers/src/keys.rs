//! The keys with which the signatures of a component are verified.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use ocm::KeyMaterial;
use ocm_kube::ApiError;

use crate::api::Verification;

/// What a secret with several entries may call its key, if it does not use the name of the
/// signature.
const FALLBACKS: [&str; 2] = ["key", "public.pem"];

/// A signature that must hold, and the key that verifies it.
#[derive(Clone, Debug)]
pub struct Verifying {
    /// The name of the signature.
    pub signature: String,
    /// A public key, or certificates.
    pub key: KeyMaterial,
}

/// Where a key is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place<'a> {
    /// In a secret of the namespace of the object.
    Secret(&'a str),
    /// In the object itself.
    Value(Vec<u8>),
}

/// Reads the keys that an object of a namespace states.
///
/// # Errors
///
/// A key is not there, or it is not clear which one it is.
pub async fn read(
    client: &Client,
    namespace: &str,
    verifications: &[Verification],
) -> Result<Vec<Verifying>, Error> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let mut keys = Vec::new();
    for verification in verifications {
        let signature = verification.signature.clone();
        let (origin, bytes) = match place(verification)? {
            Place::Value(bytes) => (format!("the key of signature {signature}"), bytes),
            Place::Secret(name) => {
                let origin = format!("secret {namespace}/{name}");
                let found = secrets.get_opt(name).await.map_err(|error| Error::Read {
                    secret: name.to_owned(),
                    source: error.into(),
                })?;
                let secret = found.ok_or_else(|| Error::NoSecret {
                    secret: name.to_owned(),
                })?;
                let data = secret.data.unwrap_or_default();
                let data = data.into_iter().map(|(name, bytes)| (name, bytes.0));
                (origin, in_secret(name, &data.collect(), &signature)?)
            }
        };
        keys.push(Verifying {
            signature,
            key: KeyMaterial::new(origin, bytes),
        });
    }
    Ok(keys)
}

/// Returns where a key is.
///
/// # Errors
///
/// None or two places are stated, or the value is no Base64.
pub fn place(verification: &Verification) -> Result<Place<'_>, Error> {
    let signature = || verification.signature.clone();
    let secret = verification.secret_ref.as_ref().map(|it| it.name.as_str());
    let secret = secret.filter(|it| !it.is_empty());
    let value = verification.value.as_deref().filter(|it| !it.is_empty());
    match (secret, value) {
        (None, None) => Err(Error::Neither {
            signature: signature(),
        }),
        (Some(_), Some(_)) => Err(Error::Both {
            signature: signature(),
        }),
        (Some(secret), None) => Ok(Place::Secret(secret)),
        (None, Some(value)) => {
            // Go's decoder skips line breaks.
            let value: String = value
                .chars()
                .filter(|it| !matches!(it, '\r' | '\n'))
                .collect();
            let bytes = STANDARD.decode(value).map_err(|source| Error::Value {
                signature: signature(),
                source: Box::new(source),
            })?;
            Ok(Place::Value(bytes))
        }
    }
}

/// Returns the key in the data of a secret: what has the name of the signature, else the only
/// entry, else one with a usual name.
fn in_secret(
    secret: &str,
    data: &BTreeMap<String, Vec<u8>>,
    signature: &str,
) -> Result<Vec<u8>, Error> {
    let only = || data.values().next().filter(|_| data.len() == 1);
    let usual = || FALLBACKS.iter().find_map(|name| data.get(*name));
    let found = data.get(signature).or_else(only).or_else(usual);
    found.cloned().ok_or_else(|| Error::NoKey {
        secret: secret.to_owned(),
        signature: signature.to_owned(),
    })
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Error {
    /// No place is stated.
    #[error("value and secret ref cannot both be empty for signature: {signature}")]
    Neither { signature: String },
    /// Two places are stated.
    #[error("value and secret ref cannot both be set for signature: {signature}")]
    Both { signature: String },
    /// The value is no Base64.
    #[error("failed to decode public key value for signature \"{signature}\"")]
    Value {
        signature: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The secret is not there.
    #[error("secret \"{secret}\" does not exist")]
    NoSecret { secret: String },
    /// The secret has several entries, and none of them is the one.
    #[error("secret \"{secret}\" does not contain key \"{signature}\" for signature verification")]
    NoKey { secret: String, signature: String },
    /// The secret cannot be read.
    #[error("cannot read secret \"{secret}\"")]
    Read { secret: String, source: ApiError },
}

impl Error {
    /// Tells whether the same may succeed without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.is_transient())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::LocalRef;

    fn verification(secret: Option<&str>, value: Option<&str>) -> Verification {
        Verification {
            signature: "acme".to_owned(),
            secret_ref: secret.map(|name| LocalRef { name: name.into() }),
            value: value.map(str::to_owned),
        }
    }

    #[test]
    fn exactly_one_place_is_stated() {
        let both = verification(Some("s"), Some("YQ=="));
        let neither = verification(Some(""), Some(""));
        let message = |it: &Verification| place(it).expect_err("refused").to_string();
        assert_eq!(
            message(&both),
            "value and secret ref cannot both be set for signature: acme"
        );
        assert_eq!(
            message(&neither),
            "value and secret ref cannot both be empty for signature: acme"
        );
        assert_eq!(
            message(&verification(None, Some("%"))),
            "failed to decode public key value for signature \"acme\""
        );
    }

    #[test]
    fn a_value_is_base64_also_over_several_lines() {
        let value = verification(None, Some("a2\nV5\r\n"));
        let found = place(&value).expect("a key");
        assert_eq!(found, Place::Value(b"key".to_vec()));
        let secret = verification(Some("s"), None);
        assert_eq!(place(&secret).expect("a place"), Place::Secret("s"));
    }

    #[test]
    fn a_key_has_the_name_of_the_signature_or_is_found_otherwise() {
        for (names, expected) in [
            (&["acme", "key", "public.pem"][..], Some("acme")),
            (&["whatever"], Some("whatever")),
            (&["other", "public.pem"], Some("public.pem")),
            (&["key", "other", "public.pem"], Some("key")),
            (&["one", "other"], None),
            (&[], None),
        ] {
            let data = names
                .iter()
                .map(|it| ((*it).to_owned(), it.as_bytes().to_vec()));
            let found = in_secret("s", &data.collect(), "acme").ok();
            assert_eq!(
                found,
                expected.map(|it| it.as_bytes().to_vec()),
                "{names:?}"
            );
        }
    }
}
