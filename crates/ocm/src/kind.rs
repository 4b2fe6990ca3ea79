//! What sort of error an error is, whichever crate it comes from.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use ocm_signing::references::RestateError;
use ocm_signing::role::SignError;
use ocm_sigstore::{ServiceError, TokenError};

use crate::error::Error;

/// The sort of an error, for exit codes and status messages.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Kind {
    /// What the user gave is malformed: a name, a constructor, a configuration, a key.
    Invalid,
    /// What was named does not exist.
    NotFound,
    /// A signature, a digest or content is not what was promised.
    VerificationFailed,
    /// The other side wants credentials, or better ones.
    NotAllowed,
    /// The target has something else under that name, or cannot be changed.
    Conflict,
    /// The other side or the network failed; trying again may help.
    Remote,
    /// Anything else.
    Other,
}

impl Kind {
    /// Looks at an error and its causes.
    ///
    /// Content that is not what was promised counts wherever it stands in the chain, since it is
    /// the reason for whatever failed around it. Otherwise the outermost error that has a kind
    /// decides.
    pub fn of(error: &(dyn StdError + 'static)) -> Self {
        let kinds = || causes(error).filter_map(kind_of);
        if kinds().any(|kind| kind == Self::VerificationFailed) {
            return Self::VerificationFailed;
        }
        kinds().next().unwrap_or(Self::Other)
    }

    /// Says which of several faults decides what is made of all of them, the larger the rather:
    /// something that is wrong before something that is missing, and that before everything else.
    pub const fn severity(self) -> u8 {
        match self {
            Self::VerificationFailed => 2,
            Self::NotFound => 1,
            _ => 0,
        }
    }
}

/// Returns an error and its causes, outermost first. Other than [`StdError::source`], it sees
/// through errors that are shared, so that each can be told by its type.
pub fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = unwrapped(next?);
        next = error.source();
        Some(error)
    })
}

/// Joins an error with its causes, for a report that has one line for it.
pub(crate) fn reason_of(error: &(dyn StdError + 'static)) -> String {
    let causes: Vec<String> = causes(error).map(ToString::to_string).collect();
    causes.join(": ")
}

/// Returns the error inside of one that is nothing but a wrapping of it: types are told apart by
/// what they are, and a share of an error, or an error that has passed a reader, is of another
/// type.
fn unwrapped<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    if let Some(shared) = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>() {
        return unwrapped(shared.as_ref());
    }
    if let Some(SignError(inner)) = error.downcast_ref() {
        return unwrapped(inner.as_ref());
    }
    match error.downcast_ref().and_then(io::Error::get_ref) {
        Some(inner) => unwrapped(inner),
        None => error,
    }
}

/// Returns the kind that one error has by itself.
fn kind_of(error: &(dyn StdError + 'static)) -> Option<Kind> {
    None.or_else(|| error.downcast_ref().and_then(of_operation))
        .or_else(|| error.downcast_ref().and_then(of_blob))
        .or_else(|| error.downcast_ref().and_then(of_oci))
        .or_else(|| error.downcast_ref().and_then(of_repository))
        .or_else(|| error.downcast_ref().map(of_verification))
        .or_else(|| error.downcast_ref().map(of_signature))
        .or_else(|| {
            error
                .downcast_ref()
                .map(|incomplete: &crate::Incomplete| incomplete.kind)
        })
        .or_else(|| {
            error
                .downcast_ref()
                .map(|broken: &crate::BrokenParts| broken.kind)
        })
        .or_else(|| error.downcast_ref().and_then(of_signer))
        .or_else(|| error.downcast_ref().and_then(of_token))
        .or_else(|| error.downcast_ref().and_then(of_service))
        .or_else(|| error.downcast_ref().and_then(of_transfer))
        .or_else(|| error.downcast_ref().and_then(of_build))
        .or_else(|| error.downcast_ref().map(of_input))
        .or_else(|| is_given(error).then_some(Kind::Invalid))
}

/// Returns whether an error is about a text or a file that the user gave.
fn is_given(error: &(dyn StdError + 'static)) -> bool {
    error.is::<crate::AddressError>()
        || error.is::<ocm_signing::key::Error>()
        || error.is::<ocm_sigstore::ConfigError>()
        || error.is::<ocm_sigstore::KeyError>()
        || error.is::<ocm_config::DocumentError>()
        || error.is::<ocm_config::LoadError>()
        || error.is::<ocm_constructor::ConstructorError>()
        || error.is::<ocm_constructor::template::TemplateError>()
        || error.is::<ocm_signing::algorithm::Error>()
}

fn of_operation(error: &Error) -> Option<Kind> {
    match error {
        Error::Repository(error) => of_repository(error),
        Error::Store(error) => of_oci(error),
        Error::Transfer(error) => of_transfer(error),
        Error::Verify(error) => Some(of_verification(error)),
        Error::Signature(_)
        | Error::Kept(_)
        | Error::ReferenceDigest { .. }
        | Error::Restate {
            source: RestateError::Differs { .. },
            ..
        } => Some(Kind::VerificationFailed),
        Error::Sign(ocm_signing::sign::Error::NameTaken { .. })
        | Error::ChangedMeanwhile { .. }
        | Error::NoDelta { .. }
        | Error::InTheWay { .. }
        | Error::ReferredTo { .. }
        | Error::Invalidates { .. } => Some(Kind::Conflict),
        Error::NoToken { .. } => Some(Kind::NotAllowed),
        Error::File { source, .. } if is_missing(source) => Some(Kind::NotFound),
        Error::NoRepository { .. }
        | Error::BaseMissing { .. }
        | Error::PartsAway { .. }
        | Error::Lookup(_)
        | Error::NoneAdmitted { .. }
        | Error::NoContent { .. } => Some(Kind::NotFound),
        Error::Address(_)
        | Error::Config(_)
        | Error::Section(_)
        | Error::Sign(ocm_signing::sign::Error::NoName)
        | Error::Key { .. }
        | Error::KeyFile(_)
        | Error::NoVersion { .. }
        | Error::NoComponentArchive { .. }
        | Error::NoBase { .. }
        | Error::NoParts { .. }
        | Error::UnknownRepository { .. }
        | Error::NoPrivateKey { .. }
        | Error::OpenPgpKey { .. }
        | Error::PassphraseNeeded { .. }
        | Error::UnknownSigner { .. }
        | Error::HandlerSpec { .. }
        | Error::Signer { .. }
        | Error::NotDigestible { .. }
        | Error::RecursiveTop { .. }
        | Error::Cycle { .. }
        | Error::Restate { .. } => Some(Kind::Invalid),
        // The signer says why.
        Error::Sign(_)
        | Error::Sigstore { .. }
        | Error::BrokenRules { .. }
        | Error::Credentials(_)
        | Error::File { .. }
        | Error::Download { .. }
        | Error::ContentDigest { .. }
        | Error::NotReached { .. }
        | Error::Reference { .. } => None,
    }
}

fn of_blob(error: &ocm_blob::Error) -> Option<Kind> {
    match error {
        ocm_blob::Error::File { source, .. } if is_missing(source) => Some(Kind::NotFound),
        error if error.is_mismatch() => Some(Kind::VerificationFailed),
        // Content was promised by its digest, and is missing where it should be.
        ocm_blob::Error::Source { source, .. } => match source.downcast_ref() {
            Some(ocm_oci::Error::NotFound { .. }) => Some(Kind::VerificationFailed),
            _ => None,
        },
        _ => None,
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn of_oci(error: &ocm_oci::Error) -> Option<Kind> {
    use ocm_oci::Error;
    match error {
        Error::NotFound { .. } | Error::NoPlatform { .. } => Some(Kind::NotFound),
        Error::Unauthenticated { .. } | Error::Denied { .. } => Some(Kind::NotAllowed),
        Error::ReadOnly { .. } | Error::Changed { .. } | Error::Busy { .. } => Some(Kind::Conflict),
        Error::DigestMismatch { .. } | Error::Dangling { .. } => Some(Kind::VerificationFailed),
        Error::Remote { .. } => Some(Kind::Remote),
        _ => None,
    }
}

fn of_repository(error: &ocm_repository::Error) -> Option<Kind> {
    use ocm_repository::Error;
    match error {
        Error::NotFound { .. } | Error::NoComponent { .. } => Some(Kind::NotFound),
        Error::NoLocalBlob { .. } => Some(Kind::VerificationFailed),
        Error::Changed { .. } | Error::ReadOnly { .. } => Some(Kind::Conflict),
        _ => None,
    }
}

fn of_verification(error: &crate::VerifyError) -> Kind {
    use crate::VerifyError;
    match error {
        VerifyError::NoKey { .. }
        | VerifyError::NoSignatory { .. }
        | VerifyError::UnknownKind { .. } => Kind::Invalid,
        VerifyError::Reference { .. }
        | VerifyError::OtherKind { .. }
        | VerifyError::Policy { .. }
        | VerifyError::NoSignatures { .. }
        | VerifyError::ReferenceDigest { .. }
        | VerifyError::ReferenceWithoutDigest { .. }
        | VerifyError::Content { .. }
        | VerifyError::ContentDigest { .. } => Kind::VerificationFailed,
    }
}

fn of_signer(error: &ocm_sigstore::SignError) -> Option<Kind> {
    match error {
        ocm_sigstore::SignError::Service(error) => of_service(error),
        ocm_sigstore::SignError::NoAuthority | ocm_sigstore::SignError::NoClock => {
            Some(Kind::Invalid)
        }
        _ => None,
    }
}

fn of_token(error: &TokenError) -> Option<Kind> {
    match error {
        error if error.is_not_allowed() => Some(Kind::NotAllowed),
        TokenError::Service(error) => of_service(error),
        TokenError::Malformed | TokenError::Nobody | TokenError::RequestUrl => Some(Kind::Invalid),
        _ => None,
    }
}

fn of_service(error: &ServiceError) -> Option<Kind> {
    match error {
        error if error.is_not_allowed() => Some(Kind::NotAllowed),
        ServiceError::Unreachable { .. } | ServiceError::Odd { .. } => Some(Kind::Remote),
        error if error.is_transient() => Some(Kind::Remote),
        _ => None,
    }
}

fn of_transfer(error: &ocm_transfer::Error) -> Option<Kind> {
    use ocm_transfer::Error;
    match error {
        error if error.is_verification() => Some(Kind::VerificationFailed),
        error if error.is_conflict() => Some(Kind::Conflict),
        error if error.is_not_found() => Some(Kind::NotFound),
        Error::Plan { .. } => Some(Kind::Invalid),
        Error::Repository { source, .. } => Some(Kind::of(source.as_ref())),
        _ => None,
    }
}

fn of_build(error: &ocm_constructor::build::BuildError) -> Option<Kind> {
    use ocm_constructor::build::BuildError;
    match error {
        BuildError::Exists { .. } => Some(Kind::Conflict),
        BuildError::DigestMismatch { .. } => Some(Kind::VerificationFailed),
        BuildError::NoReference { .. } => Some(Kind::NotFound),
        BuildError::Input(error) => Some(of_input(error)),
        BuildError::Cycle { .. } => Some(Kind::Invalid),
        _ => None,
    }
}

/// An input is wrong unless it comes from elsewhere, and that has failed.
fn of_input(error: &ocm_constructor::input::InputError) -> Kind {
    use ocm_constructor::input::InputError;
    let source = error.source().map(Kind::of);
    match source {
        Some(kind @ (Kind::Remote | Kind::NotAllowed | Kind::VerificationFailed)) => kind,
        Some(Kind::NotFound) if matches!(error, InputError::Backend { .. }) => Kind::NotFound,
        _ => Kind::Invalid,
    }
}

fn of_signature(_: &ocm_signing::verify::Error) -> Kind {
    Kind::VerificationFailed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_that_is_wrong_decides_wherever_it_stands() {
        let digest = ocm_digest::Digest::sha256("");
        let mismatch = ocm_blob::Error::DigestMismatch {
            expected: digest,
            actual: digest,
        };
        let remote = ocm_oci::Error::Remote {
            what: "push".to_owned(),
            reason: "the body ended early".to_owned(),
            status: None,
            transient: false,
            source: Some(Box::new(mismatch)),
        };
        assert_eq!(Kind::of(&remote), Kind::VerificationFailed);
    }

    #[test]
    fn content_that_is_wrong_decides_behind_a_reader_too() {
        let digest = ocm_digest::Digest::sha256("");
        let mismatch = ocm_blob::Error::DigestMismatch {
            expected: digest,
            actual: digest,
        };
        let read = ocm_blob::Error::source("a tar", io::Error::other(mismatch));
        assert_eq!(Kind::of(&read), Kind::VerificationFailed);
        let missing = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(Kind::of(&missing), Kind::Other);
    }

    #[test]
    fn what_content_came_from_decides_too() {
        let of = |error| Kind::of(&ocm_blob::Error::source("a blob", error));
        let denied = ocm_oci::Error::Denied {
            what: "a".to_owned(),
        };
        assert_eq!(of(denied), Kind::NotAllowed);
        assert_eq!(of(ocm_oci::Error::not_found("a")), Kind::VerificationFailed);
    }

    #[test]
    fn an_input_that_comes_from_elsewhere_is_not_to_blame() {
        let of = |status| {
            let server = ocm_oci::Error::Remote {
                what: "a chart".to_owned(),
                reason: "the server is busy".to_owned(),
                status: Some(status),
                transient: true,
                source: None,
            };
            let place = ocm_constructor::Place {
                file: "app.yaml".into(),
                position: ocm_model::yaml::Position { line: 1, column: 1 },
                path: String::new(),
            };
            let input = ocm_constructor::input::InputError::backend(place, "read", "it", server);
            Kind::of(&ocm_constructor::BuildError::Input(input))
        };
        assert_eq!(of(503), Kind::Remote);
    }

    #[test]
    fn the_outermost_kind_decides_otherwise() {
        let missing = ocm_oci::Error::not_found("a");
        let backend = ocm_repository::Error::backend("read", "a", missing);
        assert_eq!(Kind::of(&backend), Kind::NotFound);
        let what = "shop.tar".to_owned();
        assert_eq!(Kind::of(&ocm_oci::Error::Busy { what }), Kind::Conflict);
        assert_eq!(Kind::of(&io::Error::other("x")), Kind::Other);
    }
}
