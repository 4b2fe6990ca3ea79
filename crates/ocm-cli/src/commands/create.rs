//! `ocm create keypair`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use ocm::signing::dn::DistinguishedName;
use ocm::signing::issue::{Authority, Content};
use ocm::signing::key::{Certificate, Curve, KeyFormat, MAX_FILE_SIZE, PrivateKey};
use ocm::signing::x509::{Purpose, Roots};

use super::Session;
use crate::error::usage;

/// Make a pair of keys, or a key and a certificate for it
///
/// Files that exist are not overwritten. The private key is readable by its owner alone.
///
/// With a subject, a certificate for code signing is written instead of the public key, followed by
/// those of the authority that has issued it. Without an authority it is signed by itself.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The file of the private key, by default `rsa.priv`; the file of the public key or
    /// certificate, by default of the same name with the ending `.pub` or `.cert`; attributes of the
    /// subject
    #[arg(value_name = "FILE|ATTRIBUTE=VALUE")]
    arguments: Vec<String>,

    /// The kind of the keys
    #[arg(long = "type", value_enum, default_value_t)]
    kind: Kind,

    /// The length of RSA keys in bits: 2048, 3072 or 4096
    #[arg(long, alias = "bits", default_value_t = 4096)]
    size: usize,

    /// The curve of ECDSA keys: P-256, P-384 or P-521
    #[arg(long, default_value = "P-256", value_parser = curve)]
    curve: Curve,

    /// Whom the certificate is for, such as `CN=release,O=acme.org` (RFC 2253)
    #[arg(long, value_name = "DN")]
    subject: Option<DistinguishedName>,

    /// Make a certificate for an authority, which may issue others
    #[arg(long)]
    ca: bool,

    /// The certificate of the authority that issues, and those above it
    #[arg(long, alias = "cacert", value_name = "FILE", requires = "ca_key")]
    ca_cert: Option<PathBuf>,

    /// The private key of the authority that issues
    #[arg(long, alias = "cakey", value_name = "FILE", requires = "ca_cert")]
    ca_key: Option<PathBuf>,

    /// Make sure that the certificate leads to one of the roots in this file
    #[arg(long, value_name = "FILE", requires = "ca_cert", conflicts_with = "ca")]
    root_certs: Option<PathBuf>,

    /// How long the certificate is valid, such as `10y`, `90d` or `87600h0m0s`
    #[arg(long, default_value = "10y", value_name = "DURATION")]
    validity: Span,
}

/// The kind of a pair of keys
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Kind {
    /// For RSASSA-PSS and RSASSA-PKCS1-v1_5
    #[default]
    Rsa,
    /// For ECDSA, which the Go tools do not know
    Ecdsa,
    /// For Ed25519, which the Go tools do not know
    Ed25519,
}

impl Kind {
    const fn default_file(self) -> &'static str {
        match self {
            Self::Rsa => "rsa.priv",
            Self::Ecdsa => "ecdsa.priv",
            Self::Ed25519 => "ed25519.priv",
        }
    }
}

fn curve(text: &str) -> Result<Curve, String> {
    Curve::from_name(text).ok_or_else(|| "it is none of P-256, P-384 and P-521".to_owned())
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let is_attribute = |text: &&String| text.contains('=');
    let (attributes, files): (Vec<_>, Vec<_>) = args.arguments.iter().partition(is_attribute);
    let subject = subject(args.subject.clone(), &attributes)?;
    if subject.is_none() && (args.ca || args.ca_cert.is_some()) {
        return Err(usage(
            "a certificate needs a subject: give one with --subject",
        ));
    }
    let (private, public) = match files.as_slice() {
        [] => (args.kind.default_file(), None),
        [private] => (private.as_str(), None),
        [private, public] => (private.as_str(), Some(public.as_str())),
        _ => return Err(usage("there are more than two files")),
    };
    let private = session.ocm.path(private);
    let ending = if subject.is_some() { "cert" } else { "pub" };
    let public = public.map_or_else(
        || private.with_extension(ending),
        |path| session.ocm.path(path),
    );
    if private == public {
        return Err(usage("private and public key cannot be in the same file"));
    }
    let (kind, size, curve) = (args.kind, args.size, args.curve);
    let key = tokio::task::spawn_blocking(move || match kind {
        Kind::Rsa => PrivateKey::generate_rsa(size),
        Kind::Ecdsa => PrivateKey::generate_ecdsa(curve),
        Kind::Ed25519 => PrivateKey::generate_ed25519(),
    });
    let key = key.await??;
    let (what, counterpart) = match subject {
        Some(subject) => ("certificate", certificates(args, subject, &key, session)?),
        None => ("public key", key.public_key().to_pem(KeyFormat::Pkcs8)),
    };
    let pem = key.to_pem(KeyFormat::Pkcs8)?;
    write_new(&private, pem.expose().as_bytes(), 0o600)?;
    let written = write_new(&public, counterpart.as_bytes(), 0o644);
    if written.is_err() {
        // A key whose counterpart is missing is of no use.
        std::fs::remove_file(&private).ok();
    }
    written?;
    session.ui.note(&format!(
        "created private key {} and {what} {}",
        private.display(),
        public.display()
    ));
    Ok(())
}

/// Puts a subject together out of the attributes that the first Go tool takes, under their names
/// there.
fn subject(
    given: Option<DistinguishedName>,
    attributes: &[&String],
) -> anyhow::Result<Option<DistinguishedName>> {
    if attributes.is_empty() {
        return Ok(given);
    }
    if given.is_some() {
        return Err(usage("there is a subject beside single attributes of one"));
    }
    let mut parts = Vec::new();
    let mut has_name = false;
    for attribute in attributes {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let name = match name.to_ascii_lowercase().as_str() {
            "issuer" | "common-name" => "CN".to_owned(),
            "organization" | "org" => "O".to_owned(),
            "organizational-unit" | "org-unit" => "OU".to_owned(),
            "postal-code" => "POSTALCODE".to_owned(),
            "locality" => "L".to_owned(),
            "province" => "ST".to_owned(),
            "country" => "C".to_owned(),
            _ => name.to_owned(),
        };
        has_name |= name.eq_ignore_ascii_case("CN");
        parts.push(format!("{name}={}", DistinguishedName::escape(value)));
    }
    if !has_name {
        return Err(usage(
            "the subject of a certificate needs a common name (CN)",
        ));
    }
    let text = parts.join(",");
    let parsed = text.parse::<DistinguishedName>();
    parsed.map(Some).map_err(|error| usage(error.to_string()))
}

/// Makes the certificate, and returns it as PEM with those above it.
fn certificates(
    args: &Args,
    subject: DistinguishedName,
    key: &PrivateKey,
    session: &Session,
) -> anyhow::Result<String> {
    let now = Timestamp::now();
    let until = now.to_zoned(TimeZone::UTC).checked_add(args.validity);
    let until = until.map_err(|error| usage(format!("--validity is out of range: {error}")))?;
    let content = Content {
        subject,
        validity: (now, until.timestamp()),
        authority: args.ca,
    };
    let (Some(ca_cert), Some(ca_key)) = (&args.ca_cert, &args.ca_key) else {
        return Ok(content.self_signed(key)?.to_pem());
    };
    let read = |path: &Path| read(&session.ocm.path(path));
    let ca_key = PrivateKey::parse(&read(ca_key)?)
        .with_context(|| format!("{} is no private key", ca_key.display()))?;
    let chain = |path: &Path| {
        Certificate::parse_chain(&read(path)?)
            .with_context(|| format!("{} has no certificate", path.display()))
    };
    let issued = Authority::new(chain(ca_cert)?, ca_key)?.issue(&content, &key.public_key())?;
    if let (Some(roots), [leaf, above @ ..]) = (&args.root_certs, issued.as_slice()) {
        let above: Vec<_> = above.iter().collect();
        Roots::new(chain(roots)?).verify(leaf, &above, Purpose::CodeSigning, now)?;
    }
    Ok(issued.iter().map(Certificate::to_pem).collect())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = |error| usage(format!("cannot read {}: {error}", path.display()));
    let size = std::fs::metadata(path).map_err(cannot)?.len();
    if size > MAX_FILE_SIZE as u64 {
        return Err(usage(format!("{} is too large for a key", path.display())));
    }
    std::fs::read(path).map_err(cannot)
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(content)
        .with_context(|| format!("cannot write {}", path.display()))
}
