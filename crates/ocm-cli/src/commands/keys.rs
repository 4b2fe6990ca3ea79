//! Keys on the command line: `[name=]file`, as the first Go tool took them.

use std::str::FromStr;

use anyhow::Context as _;
use ocm::Ocm;
use ocm::signing::key::{PrivateKey, PublicKey};

use crate::error::usage;

/// A key file, and the signature it is for if it is not for all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KeyFile {
    pub(crate) signature: Option<String>,
    path: String,
}

impl FromStr for KeyFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (signature, path) = match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !name.contains(['/', '.']) => {
                (Some(name.to_owned()), path)
            }
            _ => (None, text),
        };
        if path.is_empty() {
            return Err("it names no file".to_owned());
        }
        Ok(Self {
            signature,
            path: path.to_owned(),
        })
    }
}

impl KeyFile {
    pub(crate) fn read_public(&self, ocm: &Ocm) -> anyhow::Result<PublicKey> {
        PublicKey::parse(&self.read(ocm)?)
            .with_context(|| format!("{} is no public key", self.path))
    }

    pub(crate) fn read_private(&self, ocm: &Ocm) -> anyhow::Result<PrivateKey> {
        PrivateKey::parse(&self.read(ocm)?)
            .with_context(|| format!("{} is no private key", self.path))
    }

    fn read(&self, ocm: &Ocm) -> anyhow::Result<Vec<u8>> {
        let path = ocm.path(&self.path);
        let size = std::fs::metadata(&path).map(|metadata| metadata.len());
        if size
            .as_ref()
            .is_ok_and(|size| *size > ocm::signing::key::MAX_FILE_SIZE as u64)
        {
            return Err(usage(format!("{} is too large for a key", self.path)));
        }
        std::fs::read(&path)
            .map_err(|error| usage(format!("cannot read key {}: {error}", self.path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, signature: Option<&str>, path: &str) {
        let key: KeyFile = text.parse().unwrap();
        assert_eq!(
            (key.signature.as_deref(), key.path.as_str()),
            (signature, path)
        );
    }

    #[test]
    fn a_name_may_stand_before_the_file() {
        check("release=keys/acme.pub", Some("release"), "keys/acme.pub");
        check("acme.pub", None, "acme.pub");
        check("./a=b.pub", None, "./a=b.pub");
        assert!("release=".parse::<KeyFile>().is_err());
    }
}
