//! Keys and specifications on the command line: `[name=]file`, as the first Go tool took them.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocm::model::{TypedSpec, yaml};
use ocm::signing::dn::{DistinguishedName, ParseDnError};
use ocm::{KeyMaterial, Ocm, Scoped};

use crate::error::usage;

/// A key or certificates, and the signature they are for if it is not for all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KeyArgument {
    pub(crate) signature: Option<String>,
    source: Source,
}

/// Where a key is.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Source {
    File(String),
    /// On the command line itself: text, or base64 of anything.
    Inline(Vec<u8>),
}

impl FromStr for KeyArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (signature, value) = match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !name.contains(['/', '.', '!']) => {
                (Some(name.to_owned()), value)
            }
            _ => (None, text),
        };
        let source = if let Some(encoded) = value.strip_prefix('!') {
            let decoded = STANDARD.decode(encoded.trim());
            Source::Inline(decoded.map_err(|_| "after `!` it is not base64".to_owned())?)
        } else if let Some(literal) = value.strip_prefix('=') {
            Source::Inline(literal.as_bytes().to_vec())
        } else if value.is_empty() {
            return Err("it names no file".to_owned());
        } else {
            Source::File(value.to_owned())
        };
        Ok(Self { signature, source })
    }
}

impl KeyArgument {
    /// Reads the content. Whether it is a key says whoever needs one.
    pub(crate) fn read(&self, ocm: &Ocm) -> anyhow::Result<KeyMaterial> {
        match &self.source {
            Source::Inline(bytes) => Ok(KeyMaterial::new(
                "the key on the command line",
                bytes.clone(),
            )),
            Source::File(path) => Ok(KeyMaterial::new(path.as_str(), read(ocm, path)?)),
        }
    }

    /// Reads the content for the signature that it is for.
    pub(crate) fn scoped(&self, ocm: &Ocm) -> anyhow::Result<Scoped<KeyMaterial>> {
        Ok(Scoped {
            signature: self.signature.clone(),
            value: self.read(ocm)?,
        })
    }
}

/// A distinguished name, and the signature whose signer must have it.
///
/// A name of a signature ends in `:=`, since distinguished names have `=` in them.
#[derive(Clone, Debug)]
pub(crate) struct IssuerArgument(pub(crate) Scoped<DistinguishedName>);

impl FromStr for IssuerArgument {
    type Err = ParseDnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (signature, name) = match text.split_once(":=") {
            Some((signature, name)) => (Some(signature.to_owned()), name),
            None => (None, text),
        };
        let value = name.parse()?;
        Ok(Self(Scoped { signature, value }))
    }
}

/// Reads the typed specifications in a file, one in each YAML document.
pub(crate) fn specs(ocm: &Ocm, path: &str) -> anyhow::Result<Vec<TypedSpec>> {
    let text = String::from_utf8(read(ocm, path)?);
    let text = text.map_err(|_| usage(format!("{path} is not text")))?;
    let documents = yaml::parse_documents(&text)
        .map_err(|error| usage(format!("cannot read {path}: {error}")))?;
    let specs = documents.into_iter().map(TypedSpec::from_json);
    let specs: Vec<_> = specs
        .collect::<Result<_, _>>()
        .map_err(|error| usage(format!("{path} is no specification: {error}")))?;
    if specs.is_empty() {
        return Err(usage(format!("{path} has no specification")));
    }
    Ok(specs)
}

/// Reads a small file that the user names.
pub(crate) fn read(ocm: &Ocm, path: &str) -> anyhow::Result<Vec<u8>> {
    let full = ocm.path(path);
    let size = std::fs::metadata(&full).map(|metadata| metadata.len());
    if size.is_ok_and(|size| size > ocm::signing::key::MAX_FILE_SIZE as u64) {
        return Err(usage(format!(
            "{path} is too large to be what is asked for"
        )));
    }
    std::fs::read(&full).map_err(|error| usage(format!("cannot read {path}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, signature: Option<&str>, path: &str) {
        let key: KeyArgument = text.parse().unwrap();
        assert_eq!(key.signature.as_deref(), signature);
        assert_eq!(key.source, Source::File(path.to_owned()));
    }

    #[test]
    fn a_name_may_stand_before_the_file() {
        check("release=keys/acme.pub", Some("release"), "keys/acme.pub");
        check("acme.pub", None, "acme.pub");
        check("./a=b.pub", None, "./a=b.pub");
        assert!("release=".parse::<KeyArgument>().is_err());
    }

    #[test]
    fn an_issuer_may_be_for_one_signature() {
        let issuer: IssuerArgument = "release:=CN=a,O=b".parse().unwrap();
        assert_eq!(issuer.0.signature.as_deref(), Some("release"));
        assert_eq!(issuer.0.value.to_string(), "CN=a,O=b");
        let issuer: IssuerArgument = "acme.org".parse().unwrap();
        assert_eq!(issuer.0.signature, None);
        assert_eq!(issuer.0.value.to_string(), "CN=acme.org");
        assert!("release:=".parse::<IssuerArgument>().is_err());
    }

    #[test]
    fn a_key_may_stand_on_the_command_line() {
        let inline = |text: &str| {
            let key: KeyArgument = text.parse().unwrap();
            match key.source {
                Source::Inline(bytes) => (key.signature, String::from_utf8(bytes).unwrap()),
                Source::File(path) => panic!("a file {path}"),
            }
        };
        assert_eq!(inline("=PEM"), (None, "PEM".to_owned()));
        assert_eq!(
            inline("release==a=b"),
            (Some("release".to_owned()), "a=b".to_owned())
        );
        assert_eq!(inline("!UEVN"), (None, "PEM".to_owned()));
        assert_eq!(inline("!UEU="), (None, "PE".to_owned()));
        assert_eq!(inline("release=!UEVN").0.as_deref(), Some("release"));
        assert!("!UEV".parse::<KeyArgument>().is_err());
    }
}
