//! `ocm sign component-version`.

use clap::ValueEnum;
use ocm::digest::HashAlgorithm;
use ocm::model::NormalisationAlgorithm;
use ocm::signing::SignOptions;
use ocm::{
    DEFAULT_AUTHORITY, KeyMaterial, Ocm, SignRequest, SigningKeys, SigningMethod,
    signature_algorithms,
};

use super::Session;
use super::keys::{self, KeyArgument};
use crate::error::{hinted, usage};

/// Sign a component version where it is stored
///
/// The signature covers the descriptor, and through its digests all resources and references.
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

    /// Accepted for the sake of scripts; references always count by the digests they state
    #[arg(long, short = 'R', hide = true)]
    recursive: bool,

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
    let located = session.reference(&args.reference).await?;
    let read = |key: &Option<KeyArgument>| {
        let key = key.as_ref().map(|key| for_signature(key, &args, ocm));
        key.transpose()
    };
    let keys = SigningKeys {
        private_key: read(&args.private_key)?,
        public_key: read(&args.public_key)?,
        occasion: session.occasion(),
    };
    let request = SignRequest {
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
        dry_run: args.dry_run,
    };
    let report = ocm
        .sign(&located, &request)
        .await
        .map_err(|error| with_hint(error, &args))?;
    let text = match args.output {
        SignatureFormat::Yaml => ocm::model::yaml::to_string(&report.signature)?,
        SignatureFormat::Json => serde_json::to_string_pretty(&report.signature)? + "\n",
    };
    session.ui.print(&text)?;
    let done = if args.dry_run { "would sign" } else { "signed" };
    session.ui.note(&format!(
        "{done} {} as `{}` (digest {})",
        report.component, report.signature.name, report.signature.digest.value
    ));
    Ok(())
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
        ocm::Error::NoPrivateKey { .. } => {
            "give the key with --private-key, or configure it for the consumer RSA/v1alpha1"
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
        ocm::Error::Reference { .. } => format!(
            "under {} the digests of references are computed anew: sign where they are, or name \
             the repository that has them as a resolver in the configuration",
            args.normalisation
        ),
        _ => return error.into(),
    };
    hinted(error, hint)
}
