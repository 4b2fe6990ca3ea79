//! `ocm sign component-version`.

use clap::{ArgAction, ValueEnum};
use ocm::config::Secret;
use ocm::digest::HashAlgorithm;
use ocm::model::NormalisationAlgorithm;
use ocm::oci::CopyOptions;
use ocm::signing::SignOptions;
use ocm::{
    DEFAULT_AUTHORITY, DigestMode, KeyMaterial, Ocm, SignReport, SignRequest, SigningKeys,
    SigningMethod, signature_algorithms,
};

use super::Session;
use super::keys::{self, KeyArgument};
use crate::error::{hinted, usage};
use crate::passphrase;
use crate::progress::Progress;

/// Sign a component version where it is stored
///
/// The signature covers the descriptor, and through its digests all resources and references. Each
/// of these digests is compared with the content before, and filled in if it is missing.
/// The private key is the one given, or the one that the configuration has for the signature.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag")]
pub(crate) struct Args {
    /// The component version, such as `./shop.ctf//acme.org/shop:1.0.0`
    reference: String,

    /// The name of the signature
    #[arg(long, short, default_value = "default", value_name = "NAME")]
    signature: String,

    /// Sign with the key in this file
    #[arg(long, short = 'K', value_name = "[NAME=]FILE")]
    private_key: Option<KeyArgument>,

    /// Take the passphrase of the key from this environment variable; without, it is asked for
    #[arg(long, value_name = "VARIABLE")]
    passphrase_env: Option<String>,

    /// Put the certificates in this file beside the signature, where its kind has them
    #[arg(long, short = 'k', value_name = "[NAME=]FILE")]
    public_key: Option<KeyArgument>,

    /// How the signature is made; by default as configured, as the key suggests, or RSASSA-PSS
    #[arg(long, short = 'S', value_name = "ALGORITHM", value_parser = algorithm)]
    algorithm: Option<String>,

    /// Sign as this file says: a typed specification, such as `RSASigningConfiguration/v1alpha1`
    #[arg(long, value_name = "FILE", conflicts_with = "algorithm")]
    signer_spec: Option<String>,

    /// Have a timestamp authority testify when the signature was made
    #[arg(long)]
    tsa: bool,

    /// The timestamp authority to ask; by default one that is open to everybody
    #[arg(long, value_name = "URL")]
    tsa_url: Option<String>,

    /// How the descriptor is hashed
    #[arg(long, short = 'H', default_value = "SHA-256", value_name = "ALGORITHM", value_parser = hash)]
    hash: HashAlgorithm,

    /// How the descriptor becomes bytes
    #[arg(
        long,
        short = 'N',
        alias = "normalization",
        default_value = "jsonNormalisation/v4alpha1",
        value_name = "ALGORITHM"
    )]
    normalisation: NormalisationAlgorithm,

    /// Replace a signature of the same name
    #[arg(long)]
    force: bool,

    /// Compute and print the signature, but do not store it
    #[arg(long)]
    dry_run: bool,

    /// Sign everything that is referred to as well, each before what refers to it
    #[arg(long, short = 'R')]
    recursive: bool,

    /// Compare every digest that the signature covers with the content; `--verify=false` believes
    /// them
    #[arg(long, short = 'V', default_value_t = true, default_missing_value = "true",
        num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    verify: bool,

    /// The same as `--verify=false`
    #[arg(long, hide = true)]
    no_verify: bool,

    /// Fill in digests that are missing, also in what is referred to; `--update=false` refuses to
    /// sign then
    #[arg(long, default_value_t = true, default_missing_value = "true",
        num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    update: bool,

    /// Where digests go that are missing in what is referred to
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    digest_mode: Mode,

    /// Look for what is referred to in this repository as well
    #[arg(long, value_name = "REPOSITORY")]
    lookup: Vec<String>,

    /// The repository of the reference, which is COMPONENT[:VERSION] then
    #[arg(long, value_name = "REPOSITORY")]
    repo: Option<String>,

    /// How many blobs are read at a time
    #[arg(long, default_value_t = 4, value_name = "N")]
    concurrency_limit: usize,

    /// Accepted for the sake of scripts; without a version the newest one is meant
    #[arg(long, hide = true)]
    latest: bool,

    /// Accepted for the sake of scripts; what is downloaded is compared with its digest anyway
    #[arg(long, hide = true, value_name = "FILE")]
    verified: Option<String>,

    /// How to print the signature
    #[arg(long, short, value_enum, default_value_t)]
    output: SignatureFormat,
}

/// How a signature is printed
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum SignatureFormat {
    /// As in a component descriptor
    #[default]
    Yaml,
    /// One JSON document
    Json,
}

/// Where digests of what is referred to go
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Mode {
    /// Into each component version
    #[default]
    Local,
    /// All into the signed one, so that the others stay as they are
    Top,
}

fn algorithm(text: &str) -> Result<String, String> {
    let known = signature_algorithms();
    let found = known.iter().find(|name| name.eq_ignore_ascii_case(text));
    let found = found.map(|&name| name.to_owned());
    found.ok_or_else(|| format!("it is none of {}", known.join(", ")))
}

pub(super) fn hash(text: &str) -> Result<HashAlgorithm, String> {
    HashAlgorithm::from_name(text)
        .ok_or_else(|| "it is none of SHA-256, SHA-384 and SHA-512".to_owned())
}

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let ocm = &session.ocm;
    let located = session
        .reference_in(args.repo.as_deref(), &args.reference)
        .await?;
    let read = |key: &Option<KeyArgument>| {
        let key = key.as_ref().map(|key| for_signature(key, &args, ocm));
        key.transpose()
    };
    let keys = SigningKeys {
        private_key: read(&args.private_key)?,
        public_key: read(&args.public_key)?,
        passphrase: passphrase(&args, ocm)?,
        occasion: session.occasion(),
    };
    let lookup = args.lookup.iter().map(|text| session.repository(text));
    let progress = Progress::start(&session.ui, "checking");
    let mut request = SignRequest {
        options: SignOptions {
            name: args.signature.clone(),
            normalisation: args.normalisation,
            hash: args.hash,
            replace: args.force,
        },
        method: method(&args, ocm)?,
        keys,
        timestamper: match (&args.tsa_url, args.tsa) {
            (Some(url), _) => Some(ocm.timestamper(url)),
            (None, true) => Some(ocm.timestamper(DEFAULT_AUTHORITY)),
            (None, false) => None,
        },
        verify: args.verify && !args.no_verify,
        update: args.update,
        recursive: args.recursive,
        digests: match args.digest_mode {
            Mode::Local => DigestMode::Local,
            Mode::Top => DigestMode::Top,
        },
        lookup: lookup.collect::<Result<_, _>>()?,
        copy: CopyOptions::new(args.concurrency_limit).with_progress(progress.of_copies()),
        progress: progress.of_verification(),
        dry_run: args.dry_run,
    };
    let mut outcome = ocm.sign(&located, &request).await;
    if let Err(ocm::Error::PassphraseNeeded { key, .. }) = &outcome
        && let Some(typed) = passphrase::ask(&format!("passphrase of key {key}"))?
    {
        request.keys.passphrase = Some(typed);
        outcome = ocm.sign(&located, &request).await;
    }
    progress.finish();
    let report = outcome.map_err(|error| with_hint(error, &args))?;
    let text = match args.output {
        SignatureFormat::Yaml => ocm::model::yaml::to_string(&report.signature)?,
        SignatureFormat::Json => serde_json::to_string_pretty(&report.signature)? + "\n",
    };
    session.ui.print(&text)?;
    tell(&report, &args, session);
    Ok(())
}

/// Says what was done, and what the user may not expect.
fn tell(report: &SignReport, args: &Args, session: &Session) {
    let (signed, completed) = if args.dry_run {
        ("would sign", "would fill in digests of")
    } else {
        ("signed", "filled in digests of")
    };
    for id in &report.completed {
        session.ui.note(&format!("{completed} {id}"));
    }
    let root = [(report.component.clone(), report.signature.clone())];
    for (id, signature) in report.below.iter().chain(&root) {
        session.ui.note(&format!(
            "{signed} {id} as `{}` (digest {})",
            signature.name, signature.digest.value
        ));
    }
    for label in &report.unmarked_labels {
        session.ui.warn(&format!(
            "{label} is not marked as signed, but the signature covers it: it does not hold any \
             more when the label changes"
        ));
    }
}

/// Reads a key, which must not be for another signature.
fn for_signature(key: &KeyArgument, args: &Args, ocm: &Ocm) -> anyhow::Result<KeyMaterial> {
    match &key.signature {
        Some(name) if *name != args.signature => Err(usage(format!(
            "the key is for signature `{name}`, but signature `{}` is made",
            args.signature
        ))),
        _ => key.read(ocm),
    }
}

/// Returns the passphrase in the variable that the user names.
fn passphrase(args: &Args, ocm: &Ocm) -> anyhow::Result<Option<Secret<String>>> {
    let Some(name) = &args.passphrase_env else {
        return Ok(None);
    };
    let value = ocm.environment().var(name);
    let value = value.ok_or_else(|| usage(format!("environment variable {name} is not set")))?;
    Ok(Some(Secret::text(value)))
}

/// Returns how the user wants to sign.
fn method(args: &Args, ocm: &Ocm) -> anyhow::Result<SigningMethod> {
    if let Some(algorithm) = &args.algorithm {
        return Ok(SigningMethod::Algorithm(algorithm.clone()));
    }
    let Some(path) = &args.signer_spec else {
        return Ok(SigningMethod::Configured);
    };
    let mut specs = keys::specs(ocm, path)?;
    if specs.len() > 1 {
        return Err(usage(format!("{path} has more than one specification")));
    }
    Ok(SigningMethod::Spec(specs.remove(0)))
}

fn with_hint(error: ocm::Error, args: &Args) -> anyhow::Error {
    let hint = match &error {
        ocm::Error::NoPrivateKey { algorithm, .. } => {
            let consumer = if algorithm == ocm::openpgp::ALGORITHM {
                "GPG/v1alpha1"
            } else {
                "RSA/v1alpha1"
            };
            format!("give the key with --private-key, or configure it for the consumer {consumer}")
        }
        ocm::Error::PassphraseNeeded { .. } => {
            "name the environment variable that has it with --passphrase-env, or configure it as \
             `passphrase` beside the key"
                .to_owned()
        }
        ocm::Error::NoToken { .. } => "set SIGSTORE_ID_TOKEN, run as a job that may have a token, \
             configure one for the consumer SigstoreSigner/v1alpha1, or log in at a terminal"
            .to_owned(),
        ocm::Error::Sign(ocm::signing::sign::Error::NameTaken { .. }) => {
            format!(
                "sign under another name, or replace `{}` with --force",
                args.signature
            )
        }
        ocm::Error::Reference { .. } => {
            "name the repository that has it with --lookup, or as a resolver in the configuration"
                .to_owned()
        }
        ocm::Error::NotReached { .. } => {
            "--verify=false believes the digests that are there".to_owned()
        }
        ocm::Error::NotDigestible { .. } if !args.update => {
            "without --update=false, digests that are missing are computed".to_owned()
        }
        ocm::Error::Invalidates { .. } => {
            "with --digest-mode top, the digests go into the signed component version".to_owned()
        }
        _ => return error.into(),
    };
    hinted(error, hint)
}
