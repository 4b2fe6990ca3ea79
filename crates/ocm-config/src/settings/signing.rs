//! `signing.config.ocm.software`: which signer makes and checks a signature.

use serde_json::Value;

use crate::document::Error;
use crate::node::Node;
use crate::typed;

/// How a signature is made and checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SigningConfig {
    /// The typed specification of the signer.
    pub signer: Option<Value>,
    /// The typed specification of the verifier.
    pub verifier: Option<Value>,
}

/// An entry, with the signature that it is for.
pub(crate) struct ScopedSigning {
    /// The name of the signature; none means all.
    pub(crate) signature: Option<String>,
    pub(crate) config: SigningConfig,
}

impl SigningConfig {
    pub(crate) const TYPE: &str = "signing.config.ocm.software";

    pub(crate) fn read(node: &Node<'_>) -> Result<ScopedSigning, Error> {
        let signature = node.text_field("signature")?;
        Ok(ScopedSigning {
            signature: signature.filter(|name| !name.is_empty()),
            config: Self {
                signer: specification(node, "signer")?,
                verifier: specification(node, "verifier")?,
            },
        })
    }

    /// Lets a stronger entry win wherever it says something.
    pub(crate) fn overridden_by(self, stronger: Self) -> Self {
        Self {
            signer: stronger.signer.or(self.signer),
            verifier: stronger.verifier.or(self.verifier),
        }
    }
}

fn specification(node: &Node<'_>, name: &str) -> Result<Option<Value>, Error> {
    let Some(field) = node.get(name) else {
        return Ok(None);
    };
    field.object()?;
    match typed::type_of(field.value) {
        Some(_) => Ok(Some(field.value.clone())),
        None => Err(field.missing("type")),
    }
}
