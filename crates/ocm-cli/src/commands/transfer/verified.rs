//! Verifying what a transfer starts from, before anything is written.

use ocm::signing::policy::Requirement;
use ocm::{Trust, VerifyOptions};

use super::Planned;
use crate::commands::keys::KeyArgument;
use crate::commands::verify::{warn_of_signatures, with_hint};
use crate::commands::{Session, required};
use crate::output::count;

/// Which signatures must hold before anything is copied
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Verified {
    /// Copy only what this key, or the certificate, in a file has signed; look at the copy
    /// afterwards
    #[arg(long, value_name = "[NAME=]FILE")]
    verify: Vec<KeyArgument>,

    /// Copy only where this holds, such as `release`, `2`, `2 of audit, qa`, `release: key=FILE`
    #[arg(long, value_name = "REQUIREMENT")]
    require: Vec<Requirement>,

    /// Copy only where what this file says holds
    #[arg(long, value_name = "FILE")]
    policy: Vec<String>,
}

impl Verified {
    /// Returns whether anything must hold.
    pub(super) fn is_asked(&self) -> bool {
        !(self.verify.is_empty() && self.require.is_empty() && self.policy.is_empty())
    }

    /// Verifies the component versions that a transfer starts from: their signatures, and their
    /// references all the way down. Content is checked while it moves.
    pub(super) async fn check(&self, planned: &Planned, session: &Session) -> anyhow::Result<()> {
        let ocm = &session.ocm;
        let mut trust = Trust::default();
        for key in &self.verify {
            trust.keys.push(key.scoped(ocm)?);
        }
        let policy = required::policy(&self.require, &self.policy, ocm, &mut trust)?;
        let names = self.verify.iter().filter_map(|key| key.signature.clone());
        let options = VerifyOptions {
            signatures: names.collect(),
            policy,
            timestamps: Some(ocm.timestamp_verifier(&trust.roots)?),
            trust,
            skip_content: true,
            lookup: planned.lookup.clone(),
            ..VerifyOptions::new(ocm::Timestamp::now())
        };
        for (repository, version) in planned.transfer.roots()? {
            let report = ocm.verify_planned(repository, version, &options).await;
            let report = report.map_err(|error| match error {
                ocm::Error::Transfer(error) => super::with_hint(error, planned.origin),
                error => with_hint(error, "--verify", || {
                    format!("{} is not verified", version.id)
                }),
            })?;
            warn_of_signatures(&report, session);
            session.ui.note(&format!(
                "verified {}: {}, {}",
                report.component,
                count(report.signatures.len() as u64, "signature"),
                count(report.references.len() as u64, "reference"),
            ));
        }
        Ok(())
    }
}
