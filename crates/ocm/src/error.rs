//! Why an operation of [`Ocm`](crate::Ocm) did not do what it was asked to.

use std::path::{Path, PathBuf};

use ocm_digest::Digest;
use ocm_model::{ComponentName, ComponentVersionId, Identity, NormalisationAlgorithm};
use ocm_signing::references::RestateError;

use crate::address;
use crate::verify::VerifyError;

/// Why an operation of [`Ocm`](crate::Ocm) did not do what it was asked to. The variants pass on
/// what the crates underneath say; [`Kind::of`](crate::Kind::of) sorts them.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// A reference or a repository cannot be read.
    #[error(transparent)]
    Address(#[from] address::Error),

    /// The configuration cannot be read.
    #[error("cannot read the configuration")]
    Config(#[from] ocm_config::LoadError),

    /// A section of the configuration is malformed.
    #[error("cannot use the configuration")]
    Section(#[from] ocm_config::DocumentError),

    /// Credentials are configured but cannot be had.
    #[error("cannot obtain credentials")]
    Credentials(#[from] ocm_config::graph::Error),

    /// A repository failed.
    #[error(transparent)]
    Repository(#[from] ocm_repository::Error),

    /// A store failed.
    #[error(transparent)]
    Store(#[from] ocm_oci::Error),

    /// A transfer was not planned, or not carried out.
    #[error(transparent)]
    Transfer(#[from] ocm_transfer::Error),

    /// A component version is not what was signed.
    #[error(transparent)]
    Verify(#[from] VerifyError),

    /// A signature does not hold.
    #[error(transparent)]
    Signature(#[from] ocm_signing::verify::Error),

    /// A signature cannot be made.
    #[error(transparent)]
    Sign(#[from] ocm_signing::sign::Error),

    /// A key is of another kind than is needed, or malformed.
    #[error("cannot use {what}")]
    Key {
        what: String,
        #[source]
        source: ocm_signing::key::Error,
    },

    /// What should be OpenPGP keys is something else, or malformed.
    #[error("cannot use {what}")]
    OpenPgpKey {
        what: String,
        #[source]
        source: ocm_openpgp::ring::Error,
    },

    /// The private key is locked, and nothing is there to unlock it.
    #[error("key {key} for signature `{signature}` is protected by a passphrase")]
    PassphraseNeeded { signature: String, key: String },

    /// A file that the configuration names cannot be read.
    #[error("cannot read a configured key")]
    KeyFile(#[source] ocm_config::FileError),

    /// A file cannot be read.
    #[error("cannot {action} {path}", path = path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    /// There is nothing at this place.
    #[error("there is no repository at {location}")]
    NoRepository { location: String },

    /// What should say what the other side has is something else.
    #[error("{what} is no state of a place and no list of digests")]
    NoBase {
        what: String,
        #[source]
        source: ocm_transfer::delta::StateError,
    },

    /// What the other side has can only be left out of an archive that is made for that.
    #[error("{location} is no delta archive: nothing can be left out of it")]
    NoDelta { location: String },

    /// An archive is to be written in parts, and is no tar.
    #[error("{location} cannot be written in parts: name an archive that is a tar, `NAME.tar`")]
    NoParts { location: String },

    /// There is a file under a name that an archive needs.
    #[error("{} is there already, and not part of this archive", path.display())]
    InTheWay { path: PathBuf },

    /// An archive in parts was begun, and parts that were finished have been carried away.
    #[error(
        "{} goes on with what was begun, for which {} in {} again: {}",
        path.display(), have_to_be(.parts.len()), directory_of(path), names(parts)
    )]
    PartsAway {
        path: PathBuf,
        /// Never empty.
        parts: Vec<PathBuf>,
    },

    /// The target does not have what a delta archive leaves out.
    #[error(
        "{delta} leaves out what is in {base}, and {target} lacks {} of it: {}",
        count(.missing.len(), "blob"), shortened(.missing.iter().map(Digest::to_string))
    )]
    BaseMissing {
        delta: String,
        target: String,
        base: String,
        /// Never empty.
        missing: Vec<Digest>,
    },

    /// What is at this place is no component archive.
    #[error("{location} is no component archive: it has no component-descriptor.yaml")]
    NoComponentArchive { location: String },

    /// A repository of a kind that is not known here.
    #[error("repository `{spec}` is of a type that is not supported")]
    UnknownRepository { spec: String },

    /// A reference names no version where one is needed.
    #[error("`{reference}` names no version")]
    NoVersion { reference: String },

    /// Of the versions of a component, none is wanted.
    #[error("no version of {component} in {location} is admitted by `{constraint}`")]
    NoneAdmitted {
        component: ComponentName,
        location: String,
        constraint: String,
    },

    /// A component descriptor breaks rules of its schema, and who reads it is strict.
    #[error("the component descriptor of {id} breaks rules of its schema")]
    BrokenRules {
        id: ComponentVersionId,
        #[source]
        source: ocm_model::schema::Violations,
    },

    /// A reference states a digest that the component version does not have.
    #[error("component version {id} has digest {actual}, the reference states {expected}")]
    ReferenceDigest {
        id: ComponentVersionId,
        expected: Digest,
        actual: Digest,
    },

    /// No key is there to sign with.
    #[error("no private key for signature `{signature}` with {algorithm}")]
    NoPrivateKey {
        signature: String,
        algorithm: String,
    },

    /// Nothing here signs like that.
    #[error("no signer `{name}` is known")]
    UnknownSigner { name: String },

    /// What is said of how to sign or to verify cannot be used.
    #[error("cannot use {what}")]
    HandlerSpec {
        what: String,
        #[source]
        source: ocm_model::typed::FieldError,
    },

    /// Nobody says who signs.
    #[error("no identity token for signature `{signature}`")]
    NoToken { signature: String },

    /// What a signature of Sigstore is made or verified with cannot be used or had.
    #[error("cannot prepare signature `{signature}` of Sigstore")]
    Sigstore {
        signature: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// What there is to sign with does not go together.
    #[error("signature `{signature}` cannot be made")]
    Signer {
        signature: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The component version cannot be signed as it is.
    #[error("component version {id} cannot be signed")]
    NotDigestible {
        id: ComponentVersionId,
        #[source]
        source: ocm_model::normalisation::NotDigestible,
    },

    /// Content that a signature would cover cannot be read.
    #[error("cannot reach the content of resource {resource} of {id}, which is to be signed")]
    NotReached {
        id: ComponentVersionId,
        resource: Identity,
        #[source]
        source: ocm_repository::Error,
    },

    /// A component version that has signatures is not complete, and would be another one.
    #[error(
        "component version {id} lacks digests: with them, its signature `{signature}` would not \
         hold any more"
    )]
    Invalidates {
        id: ComponentVersionId,
        signature: String,
    },

    /// What is stored is not what was looked at any more.
    #[error("component version {id} in {location} has got other content while it was signed")]
    ChangedMeanwhile {
        id: ComponentVersionId,
        location: String,
    },

    /// The digests of a tree stand in its root, so that its parts cannot be signed for themselves.
    #[error(
        "{id} keeps the digests of all that it refers to: what is below cannot be signed with it"
    )]
    RecursiveTop { id: ComponentVersionId },

    /// What is to be deleted is part of another component version.
    #[error("component version {id} cannot be deleted: {by} in {location} refers to it")]
    ReferredTo {
        id: ComponentVersionId,
        by: ComponentVersionId,
        location: String,
    },

    /// A root keeps other digests for what is below it than stand there.
    #[error(transparent)]
    Kept(#[from] ocm_signing::nested::Error),

    /// A component version refers to itself, maybe by others.
    #[error("{id} refers to itself, directly or by others")]
    Cycle { id: ComponentVersionId },

    /// A component version that is referred to cannot be read.
    #[error("{id} refers to {reference}, which cannot be read")]
    Reference {
        id: ComponentVersionId,
        reference: ComponentVersionId,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The references do not state digests under the algorithms of a signature, and cannot.
    #[error("the references of {id} cannot be signed under {normalisation}")]
    Restate {
        id: ComponentVersionId,
        normalisation: NormalisationAlgorithm,
        #[source]
        source: RestateError,
    },

    /// The digest of content is missing and cannot be computed.
    #[error("cannot compute the digest of resource {resource} of {id}")]
    ContentDigest {
        id: ComponentVersionId,
        resource: Identity,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// No resource, source or reference has this identity, or several have.
    #[error(transparent)]
    Lookup(#[from] ocm_model::descriptor::LookupError),

    /// A resource has no content to download.
    #[error("resource {resource} of {id} has no content")]
    NoContent {
        id: ComponentVersionId,
        resource: Identity,
    },

    /// The content cannot be written where it should go.
    #[error("cannot download resource {resource} of {id}")]
    Download {
        id: ComponentVersionId,
        resource: Identity,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

pub(crate) fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

fn have_to_be(parts: usize) -> String {
    let have = if parts == 1 { "has" } else { "have" };
    format!("{} {have} to be", count(parts, "finished part"))
}

fn directory_of(path: &Path) -> String {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    directory.unwrap_or(Path::new(".")).display().to_string()
}

/// Names the first few files.
fn names(paths: &[PathBuf]) -> String {
    shortened(paths.iter().map(|path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }))
}

/// Names the first few.
fn shortened(all: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 5;
    let more = all.len().saturating_sub(SHOWN);
    let shown: Vec<String> = all.take(SHOWN).collect();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
