//! Descriptors are signed and verified, and each way to fail has its own error.

use ocm_digest::HashAlgorithm;
use ocm_model::{Descriptor, NormalisationAlgorithm, Provider, SignatureInfo};
use ocm_signing::key::PrivateKey;
use ocm_signing::keyed::{KeySigner, KeyVerifier};
use ocm_signing::rsa::RsaAlgorithm;
use ocm_signing::trust::Trust;
use ocm_signing::verify::Error;
use ocm_signing::{SignOptions, verify};

use crate::data::{check_now, clock, go_key, private_key, sign_now};

fn descriptor() -> Descriptor {
    let provider = Provider::new("acme.org");
    let (name, version) = ("acme.org/notes".parse(), "1.0.0".parse());
    Descriptor::new(name.unwrap(), version.unwrap(), &provider)
}

fn signer(algorithm: RsaAlgorithm) -> KeySigner {
    KeySigner::new(private_key(), algorithm)
}

fn trusted() -> KeyVerifier {
    KeyVerifier::with_key(private_key().public_key().clone())
}

fn named(name: &str) -> SignOptions {
    SignOptions {
        name: name.to_owned(),
        ..SignOptions::default()
    }
}

fn signed() -> Descriptor {
    let mut descriptor = descriptor();
    let signature = sign_now(&descriptor, &named("default"), &signer(RsaAlgorithm::Pss)).unwrap();
    descriptor.add_signature(&signature).unwrap();
    descriptor
}

/// Returns a descriptor with one signature whose fields have been changed.
fn with(change: impl FnOnce(&mut SignatureInfo)) -> Descriptor {
    let mut descriptor = signed();
    let mut signature = descriptor.signature("default").unwrap();
    change(&mut signature.signature);
    descriptor.replace_signature(&signature);
    descriptor
}

/// Returns an error and its cause, as users see them.
#[track_caller]
fn reason(descriptor: &Descriptor, name: &str, verifier: &KeyVerifier) -> (Error, String) {
    let error = check_now(descriptor, name, verifier).unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    (error, text)
}

#[test]
fn every_combination_of_algorithms_verifies() {
    for normalisation in NormalisationAlgorithm::ALL {
        for hash in [
            HashAlgorithm::Sha256,
            HashAlgorithm::Sha384,
            HashAlgorithm::Sha512,
        ] {
            for algorithm in [RsaAlgorithm::Pss, RsaAlgorithm::Pkcs1V15] {
                let mut descriptor = descriptor();
                let options = SignOptions {
                    normalisation,
                    hash,
                    ..SignOptions::default()
                };
                let signature = sign_now(&descriptor, &options, &signer(algorithm)).unwrap();
                assert_eq!(signature.digest.hash_algorithm, hash.ocm_name());
                assert_eq!(
                    signature.digest.normalisation_algorithm,
                    normalisation.as_str()
                );
                descriptor.add_signature(&signature).unwrap();
                let verified = verify(descriptor, "default", &trusted(), clock()).unwrap();
                assert_eq!(verified.report()[0].normalisation, normalisation);
            }
        }
    }
}

#[test]
fn a_second_signature_does_not_break_the_first() {
    let mut descriptor = signed();
    let second = sign_now(
        &descriptor,
        &named("second"),
        &signer(RsaAlgorithm::Pkcs1V15),
    )
    .unwrap();
    descriptor.add_signature(&second).unwrap();
    let verified = verify(descriptor, "default", &trusted(), clock()).unwrap();
    let verified = verified.and("second", &trusted(), clock()).unwrap();
    let names: Vec<_> = verified.report().iter().map(|it| &it.signature).collect();
    assert_eq!(names, ["default", "second"]);
}

#[test]
fn a_signature_is_replaced_only_when_asked() {
    let descriptor = signed();
    let signer = signer(RsaAlgorithm::Pss);
    let error = sign_now(&descriptor, &named("default"), &signer).unwrap_err();
    assert_eq!(error.to_string(), "signature `default` exists already");
    let options = SignOptions {
        replace: true,
        ..named("default")
    };
    assert!(sign_now(&descriptor, &options, &signer).is_ok());
}

#[test]
fn a_signature_has_a_name() {
    let error = sign_now(&descriptor(), &named(""), &signer(RsaAlgorithm::Pss)).unwrap_err();
    assert_eq!(error.to_string(), "a signature needs a name");
}

#[test]
fn a_missing_signature_names_those_there_are() {
    let (error, text) = reason(&signed(), "other", &trusted());
    assert!(matches!(error, Error::NoSignature { .. }));
    assert_eq!(text, "no signature `other`, there is `default`");
    let (_, text) = reason(&descriptor(), "other", &trusted());
    assert_eq!(text, "no signature `other`, there is none at all");
}

#[test]
fn two_signatures_of_one_name_are_not_guessed_between() {
    let mut document = signed().to_document();
    let list = document["signatures"].as_array_mut().unwrap();
    list.push(list[0].clone());
    let doubled = Descriptor::from_document(document).unwrap();
    let (error, text) = reason(&doubled, "default", &trusted());
    assert!(matches!(error, Error::Ambiguous { .. }));
    assert_eq!(text, "there is more than one signature `default`");
}

#[test]
fn changed_content_is_told_from_a_wrong_key() {
    let mut changed = signed();
    let before = changed
        .signature("default")
        .unwrap()
        .digest
        .digest()
        .unwrap();
    changed.set_creation_time("2026-01-01T00:00:00Z");
    let after = changed
        .normalise(NormalisationAlgorithm::JsonV4Alpha1)
        .digest(HashAlgorithm::Sha256);
    let (error, text) = reason(&changed, "default", &trusted());
    assert!(matches!(error, Error::ContentChanged { .. }));
    assert_eq!(
        text,
        format!(
            "the content is not what was signed: signature `default` is of {before}, \
             the descriptor has {after}"
        )
    );

    let (error, text) = reason(&signed(), "default", &KeyVerifier::with_key(go_key()));
    assert!(matches!(error, Error::Mismatch { .. }));
    assert_eq!(
        text,
        "signature `default` is not valid: the signature does not match the public key"
    );
}

#[test]
fn other_failures_say_what_they_are() {
    let unknown = with(|info| info.algorithm = "GPG".to_owned());
    let (error, text) = reason(&unknown, "default", &trusted());
    assert!(matches!(error, Error::UnknownAlgorithm { .. }));
    assert_eq!(
        text,
        "cannot verify signature `default`: signature algorithm `GPG` is not known"
    );

    let malformed = with(|info| info.value.push('x'));
    let (error, text) = reason(&malformed, "default", &trusted());
    assert!(matches!(error, Error::Malformed { .. }));
    assert_eq!(
        text,
        "signature `default` is malformed: the signature value is not hexadecimal"
    );

    let (error, text) = reason(&signed(), "default", &KeyVerifier::new(Trust::default()));
    assert!(matches!(error, Error::Untrusted { .. }));
    assert_eq!(
        text,
        "signature `default` cannot be trusted: \
         no public key is given to verify the signature with"
    );
}

#[test]
fn unknown_digests_and_normalisations_say_what_they_are() {
    let mut descriptor = signed();
    let good = descriptor.signature("default").unwrap();
    let mut signature = good.clone();
    signature.digest.normalisation_algorithm = "jsonNormalisation/v9".to_owned();
    descriptor.replace_signature(&signature);
    let (error, text) = reason(&descriptor, "default", &trusted());
    assert!(matches!(error, Error::UnknownNormalisation { .. }));
    assert_eq!(
        text,
        "cannot compute what signature `default` covers: \
         normalisation algorithm `jsonNormalisation/v9` is not known"
    );

    let mut signature = good;
    signature.digest.hash_algorithm = "MD5".to_owned();
    descriptor.replace_signature(&signature);
    let (error, text) = reason(&descriptor, "default", &trusted());
    assert!(matches!(error, Error::Digest { .. }));
    assert_eq!(
        text,
        "signature `default` has no digest that can be computed: \
         digest algorithm `MD5` is not known"
    );
}

#[test]
fn a_signature_of_the_right_digest_by_a_stranger_is_not_valid() {
    let mut descriptor = descriptor();
    let stranger = KeySigner::new(PrivateKey::generate_rsa(2048).unwrap(), RsaAlgorithm::Pss);
    let signature = sign_now(&descriptor, &named("default"), &stranger).unwrap();
    descriptor.add_signature(&signature).unwrap();
    let (error, _) = reason(&descriptor, "default", &trusted());
    assert!(matches!(error, Error::Mismatch { .. }));
}
