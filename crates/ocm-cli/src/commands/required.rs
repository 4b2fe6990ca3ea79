//! Which signatures must hold, as the command line and policy files say.

use std::path::Path;

use ocm::model::yaml;
use ocm::signing::policy::{Policy, Requirement};
use ocm::{KeyMaterial, Ocm, Scoped, Trust, key_fingerprint};

use super::keys;
use crate::error::usage;

/// Reads what must hold. The keys that are named there are trusted.
pub(crate) fn policy(
    require: &[Requirement],
    files: &[String],
    ocm: &Ocm,
    trust: &mut Trust,
) -> anyhow::Result<Option<Policy>> {
    let mut given = Policy {
        require: require.to_vec(),
    };
    resolve_keys(&mut given, Path::new(""), ocm, trust)?;
    for file in files {
        let text = String::from_utf8(keys::read(ocm, file)?);
        let text = text.map_err(|_| usage(format!("{file} is not text")))?;
        let mut policy: Policy = yaml::from_str(&text)
            .map_err(|error| usage(format!("{file} is no policy: {error}")))?;
        // A policy and its keys are carried around together.
        let beside = Path::new(file).parent().unwrap_or(Path::new(""));
        resolve_keys(&mut policy, beside, ocm, trust)?;
        given.require.append(&mut policy.require);
    }
    let is_asked = !require.is_empty() || !files.is_empty();
    Ok(is_asked.then_some(given))
}

fn resolve_keys(
    policy: &mut Policy,
    beside: &Path,
    ocm: &Ocm,
    trust: &mut Trust,
) -> anyhow::Result<()> {
    policy.resolve_keys(|file, signature| {
        let path = beside.join(file).display().to_string();
        let value = KeyMaterial::new(path.as_str(), keys::read(ocm, &path)?);
        let fingerprint = key_fingerprint(&value)
            .ok_or_else(|| usage(format!("{path} is no public key or certificate")))?;
        let signature = signature.map(str::to_owned);
        trust.keys.push(Scoped { signature, value });
        Ok(fingerprint)
    })
}
