//! `ocm verify component-version`.

use std::sync::Arc;

use clap::ArgAction;
use ocm::model::{ComponentVersionId, Identity};
use ocm::oci::CopyOptions;
use ocm::signing::policy::Requirement;
use ocm::signing::{Checked, SigningTime};
use ocm::{
    ContentOutcome, FailingSignature, KeyMaterial, Ocm, Trust, VerifyError, VerifyOptions,
    VerifyReport,
};

use super::Session;
use super::keys::{self, IssuerArgument, KeyArgument};
use super::required;
use crate::error::hinted;
use crate::output::{Columns, Format, bytes, count, data};
use crate::progress::Progress;

/// Verify signatures, references and content of a component version
///
/// Checks the signatures, then the digest of every referenced component version all the way down,
/// then the content of every resource that can be reached, and prints what was checked.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag")]
pub(crate) struct Args {
    /// The component version, such as `./shop.ctf//acme.org/shop:1.0.0`
    reference: String,

    /// A signature that must hold; by default all that are there
    #[arg(long, short, value_name = "NAME")]
    signature: Vec<String>,

    /// Verify with the key, or the certificate, in this file
    #[arg(long, short = 'k', value_name = "[NAME=]FILE")]
    public_key: Vec<KeyArgument>,

    /// Trust the authorities in this file to certify signers and timestamps, instead of those that the
    /// system trusts with signers
    #[arg(long, value_name = "FILE")]
    ca_cert: Vec<String>,

    /// Whom a certificate must be for, or by: a distinguished name such as `CN=release,O=acme.org`, or
    /// some attributes of one
    #[arg(long, short = 'I', value_name = "[NAME:=]DN")]
    issuer: Vec<IssuerArgument>,

    /// Verify signatures of its kind as this file says: a typed specification
    #[arg(long, value_name = "FILE")]
    verifier_spec: Vec<String>,

    /// What must hold, such as `release`, `2`, `2 of audit, qa`, `release: key=FILE`; then other
    /// signatures need not
    #[arg(long, value_name = "REQUIREMENT")]
    require: Vec<Requirement>,

    /// Require what this file says
    #[arg(long, value_name = "FILE")]
    policy: Vec<String>,

    /// Do not read content: check signatures and references only
    #[arg(long)]
    skip_content: bool,

    /// The same as `--skip-content`
    #[arg(long, short = 'L', hide = true)]
    local: bool,

    /// Fail if a component descriptor breaks a rule of its schema, instead of warning
    #[arg(long)]
    strict: bool,

    /// Look for what is referred to in this repository as well
    #[arg(long, value_name = "REPOSITORY")]
    lookup: Vec<String>,

    /// The repository of the reference, which is COMPONENT[:VERSION] then
    #[arg(long, value_name = "REPOSITORY")]
    repo: Option<String>,

    /// Accepted for the sake of scripts; digests are compared with content unless `--skip-content`
    /// is given
    #[arg(long, short = 'V', hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_name = "BOOL")]
    verify: Option<bool>,

    /// Accepted for the sake of scripts; a private key holds its public one
    #[arg(long, short = 'K', hide = true, value_name = "[NAME=]FILE")]
    private_key: Vec<KeyArgument>,

    /// Accepted for the sake of scripts; the signature says how it is verified
    #[arg(long, hide = true)]
    keyless: bool,

    /// Accepted for the sake of scripts; without a version the newest one is meant
    #[arg(long, hide = true)]
    latest: bool,

    /// Accepted for the sake of scripts; what is downloaded is compared with its digest anyway
    #[arg(long, hide = true, value_name = "FILE")]
    verified: Option<String>,

    /// How many blobs are read at a time
    #[arg(long, default_value_t = 4, value_name = "N")]
    concurrency_limit: usize,

    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let ocm = &session.ocm;
    let located = session
        .reference_in(args.repo.as_deref(), &args.reference)
        .await?;
    let mut trust = trust(&args, ocm)?;
    let policy = required::policy(&args.require, &args.policy, ocm, &mut trust)?;
    let lookup = args.lookup.iter().map(|text| session.repository(text));
    let lookup = lookup.collect::<Result<_, _>>()?;
    let timestamps = Some(ocm.timestamp_verifier(&trust.roots)?);
    let rules = super::rules(args.strict);
    let progress = Progress::start(&session.ui, "verifying");
    let options = VerifyOptions {
        now: ocm::Timestamp::now(),
        signatures: args.signature.clone(),
        policy,
        trust,
        timestamps,
        lookup,
        rules: Some(Arc::clone(&rules)),
        skip_content: args.skip_content || args.local,
        copy: CopyOptions::new(args.concurrency_limit).with_progress(progress.of_copies()),
        progress: progress.of_verification(),
    };
    let outcome = ocm.verify(&located, &options).await;
    progress.finish();
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            return Err(with_hint(error, "--public-key", || {
                format!("{} is not verified", args.reference)
            }));
        }
    };
    match data(args.output, std::slice::from_ref(&report))? {
        Some(text) => session.ui.print(&text)?,
        None => session.ui.print(&table(&report))?,
    }
    warn_of_signatures(&report, session);
    session.ui.warn_broken(&rules);
    session.ui.warn_unchecked(&report.content);
    session.ui.note(&summary(&report));
    Ok(())
}

/// Says what is odd about signatures, though all that must hold do.
pub(crate) fn warn_of_signatures(report: &VerifyReport, session: &Session) {
    for signature in &report.signatures {
        if let SigningTime::Unverified { reason } = &signature.time {
            session.ui.warn(&format!(
                "the timestamp of signature `{}` does not count: {reason}",
                signature.signature
            ));
        }
    }
    for FailingSignature { name, reason } in &report.failing {
        session
            .ui
            .warn(&format!("signature `{name}` does not hold: {reason}"));
    }
}

/// Adds what helps where nobody has said whom to trust, and else what is not verified.
pub(crate) fn with_hint(
    error: ocm::Error,
    flag: &str,
    what: impl FnOnce() -> String,
) -> anyhow::Error {
    match error {
        ocm::Error::Verify(VerifyError::NoKey { .. }) => hinted(
            error,
            format!(
                "give the key with {flag}, or configure it for the consumer RSA/v1alpha1 \
                 (GPG/v1alpha1 for OpenPGP)"
            ),
        ),
        ocm::Error::Verify(VerifyError::NoSignatory { .. }) => hinted(
            error,
            "say who must have signed: a SigstoreVerificationConfiguration, configured for \
             the signature or given with --verifier-spec",
        ),
        error => anyhow::Error::new(error).context(what()),
    }
}

/// Reads whom the user trusts.
fn trust(args: &Args, ocm: &Ocm) -> anyhow::Result<Trust> {
    let mut trust = Trust::default();
    for key in args.public_key.iter().chain(&args.private_key) {
        trust.keys.push(key.scoped(ocm)?);
    }
    for file in &args.ca_cert {
        let bytes = keys::read(ocm, file)?;
        trust.roots.push(KeyMaterial::new(file.as_str(), bytes));
    }
    trust.issuers = args.issuer.iter().map(|it| it.0.clone()).collect();
    for file in &args.verifier_spec {
        trust.verifiers.extend(keys::specs(ocm, file)?);
    }
    Ok(trust)
}

/// Returns who has signed, and when, as far as somebody testifies that.
fn verified_by(checked: &Checked) -> String {
    match checked.signed_at() {
        Some(time) => format!("verified, by {}, at {time}", checked.signatory),
        None => format!("verified, by {}", checked.signatory),
    }
}

fn table(report: &VerifyReport) -> String {
    let mut columns = Columns::new(&["CHECKED", "COMPONENT VERSION", "WHAT", "OUTCOME"]);
    for signature in &report.signatures {
        let what = format!("{} ({})", signature.signature, signature.algorithm);
        row(
            &mut columns,
            "signature",
            &report.component,
            what,
            verified_by(signature),
        );
    }
    for reference in &report.references {
        let what = short(&reference.digest.value);
        row(
            &mut columns,
            "reference",
            &reference.component,
            what,
            "verified".to_owned(),
        );
    }
    for content in &report.content {
        let outcome = match &content.outcome {
            ContentOutcome::Verified { size } => format!("verified, {}", bytes(*size)),
            ContentOutcome::Excluded => "not covered".to_owned(),
            ContentOutcome::Unchecked { .. } => "not checked".to_owned(),
        };
        row(
            &mut columns,
            "content",
            &content.component,
            name_of(&content.resource),
            outcome,
        );
    }
    columns.render()
}

fn row(columns: &mut Columns, kind: &str, id: &ComponentVersionId, what: String, outcome: String) {
    columns.row([kind.to_owned(), id.to_string(), what, outcome]);
}

/// Returns the identity of a resource without its version, which is rarely of interest.
fn name_of(identity: &Identity) -> String {
    let name = identity.get(Identity::NAME).unwrap_or_default();
    let rest: Vec<String> = identity
        .iter()
        .filter(|(key, _)| *key != Identity::NAME && *key != Identity::VERSION)
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if rest.is_empty() {
        name.to_owned()
    } else {
        format!("{name} ({})", rest.join(","))
    }
}

fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

fn summary(report: &VerifyReport) -> String {
    let verified = report
        .content
        .iter()
        .filter(|content| matches!(content.outcome, ContentOutcome::Verified { .. }))
        .count();
    format!(
        "verified {}: {}, {}, content of {verified} of {} ({})",
        report.component,
        count(report.signatures.len(), "signature"),
        count(report.references.len(), "reference"),
        count(report.content.len(), "resource"),
        bytes(report.size()),
    )
}
