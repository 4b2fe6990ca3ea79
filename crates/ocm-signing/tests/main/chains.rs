//! Signatures that bring certificates verify by the roots that are trusted, and only so.

use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_model::SignatureInfo;
use ocm_signing::Signatory;
use ocm_signing::algorithm::SignatureAlgorithm;
use ocm_signing::key::{Certificate, KeyFormat, PrivateKey};
use ocm_signing::keyed::{KeySigner, KeyVerifier};
use ocm_signing::role::{Signer, Verifier, VerifyError};
use ocm_signing::trust::Trust;
use ocm_signing::value::MEDIA_TYPE_PEM;
use ocm_signing::x509::Roots;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
    KeyUsagePurpose, NameConstraints, SanType,
};

use crate::data::private_key;
use crate::pki::{Holder, authority, signer};

/// A moment at which all certificates are valid.
const NOW: &str = "2026-06-01T00:00:00Z";

fn digest() -> Digest {
    Digest::sha256(b"content")
}

/// Signs with the key of a holder, and puts certificates beside it as they are.
fn signed(holder: &Holder, others: &[&Certificate]) -> SignatureInfo {
    let key = holder.private_key();
    let algorithm = SignatureAlgorithm::of_key(&key);
    signed_with(&key, algorithm, &holder.certificate, others)
}

fn signed_with(
    key: &PrivateKey,
    algorithm: SignatureAlgorithm,
    leaf: &Certificate,
    others: &[&Certificate],
) -> SignatureInfo {
    let value = ocm_signing::value::SignatureValue {
        algorithm,
        bytes: algorithm.sign(&digest(), key).unwrap(),
        chain: std::iter::once(leaf)
            .chain(others.iter().copied())
            .cloned()
            .collect(),
    };
    let (media_type, value) = value.encode();
    assert_eq!(media_type, MEDIA_TYPE_PEM);
    SignatureInfo {
        algorithm: algorithm.as_str().to_owned(),
        media_type: media_type.to_owned(),
        value,
        ..SignatureInfo::default()
    }
}

fn trusting(root: &Holder) -> Trust {
    Trust::default().with_roots(Roots::new(vec![root.certificate.clone()]))
}

fn verify_at(trust: Trust, signature: &SignatureInfo, at: &str) -> Result<Signatory, VerifyError> {
    KeyVerifier::new(trust).verify(&digest(), signature, at.parse().unwrap())
}

fn verify(trust: Trust, signature: &SignatureInfo) -> Result<Signatory, VerifyError> {
    verify_at(trust, signature, NOW)
}

/// Returns the message with that of its causes, of an error that is about trust.
#[track_caller]
fn distrust(outcome: Result<Signatory, VerifyError>) -> String {
    let Err(VerifyError::Untrusted(error)) = outcome else {
        panic!("{outcome:?}");
    };
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// A root, an issuer and a signer.
fn infrastructure() -> (Holder, Holder, Holder) {
    let root = Holder::root("root");
    let issuer = root.issue(authority("issuer"));
    let leaf = issuer.issue(signer("release"));
    (root, issuer, leaf)
}

#[test]
fn a_signature_verifies_by_the_root_above_it() {
    let (root, issuer, leaf) = infrastructure();
    let signature = signed(&leaf, &[&issuer.certificate]);
    let fingerprint = leaf.private_key().public_key().fingerprint();
    assert_eq!(
        verify(trusting(&root), &signature).unwrap(),
        Signatory::Certificate {
            subject: "CN=release,O=acme.org".to_owned(),
            issuer: "CN=issuer,O=acme.org".to_owned(),
            fingerprint,
        }
    );
}

#[test]
fn every_kind_of_key_can_be_certified() {
    let root = Holder::root("root");
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let leaf = root.issue_for(signer("release"), key);
        verify(trusting(&root), &signed(&leaf, &[])).unwrap();
    }
    let private = private_key();
    let text = private.to_pem(KeyFormat::Pkcs8).unwrap();
    let leaf = root.issue_for(signer("release"), KeyPair::from_pem(text.expose()).unwrap());
    for algorithm in SignatureAlgorithm::ALL {
        if algorithm.fits(&private.public_key()) {
            let signature = signed_with(&private, algorithm, &leaf.certificate, &[]);
            verify(trusting(&root), &signature).unwrap();
        }
    }
}

#[test]
fn what_was_signed_must_be_the_digest() {
    let (root, issuer, leaf) = infrastructure();
    let signature = signed(&leaf, &[&issuer.certificate]);
    let verifier = KeyVerifier::new(trusting(&root));
    let other = Digest::sha256(b"other");
    let outcome = verifier.verify(&other, &signature, NOW.parse().unwrap());
    assert!(matches!(outcome, Err(VerifyError::Mismatch(_))));
}

#[test]
fn the_order_of_issuers_does_not_matter_but_the_signer_comes_first() {
    let root = Holder::root("root");
    let upper = root.issue(authority("upper"));
    let lower = upper.issue(authority("lower"));
    let leaf = lower.issue(signer("release"));
    let (upper, lower) = (&upper.certificate, &lower.certificate);
    let strange = Holder::root("strange")
        .issue(authority("stranger"))
        .certificate;
    for others in [
        &[lower, upper][..],
        &[upper, lower],
        &[upper, &strange, lower, lower],
    ] {
        verify(trusting(&root), &signed(&leaf, others)).unwrap();
    }
    let key = leaf.private_key();
    let algorithm = SignatureAlgorithm::of_key(&key);
    let swapped = signed_with(&key, algorithm, lower, &[&leaf.certificate, upper]);
    let outcome = verify(trusting(&root), &swapped);
    assert!(
        matches!(outcome, Err(VerifyError::Mismatch(_))),
        "{outcome:?}"
    );
}

#[test]
fn issuers_may_come_from_who_verifies() {
    let (root, issuer, leaf) = infrastructure();
    let signature = signed(&leaf, &[]);
    let path = "the certificate for `CN=release,O=acme.org` does not lead to a root that is \
                trusted: no issuer of it is known, or none that is valid at that time";
    assert_eq!(distrust(verify(trusting(&root), &signature)), path);
    let file = issuer.certificate.to_pem() + &root.certificate.to_pem();
    let trust = Trust::parse(file.as_bytes()).unwrap();
    verify(trust, &signature).unwrap();
    // Without the root at its end, the file has no root in it.
    let trust = Trust::parse(issuer.certificate.to_pem().as_bytes()).unwrap();
    assert!(verify(trust, &signature).is_err());
}

#[test]
fn another_root_does_not_do() {
    let (_, issuer, leaf) = infrastructure();
    let other = Holder::root("root");
    let outcome = verify(trusting(&other), &signed(&leaf, &[&issuer.certificate]));
    assert_eq!(
        distrust(outcome),
        "the certificate for `CN=release,O=acme.org` does not lead to a root that is trusted: \
         its issuer has not signed it"
    );
    let nobody = verify(Trust::default(), &signed(&leaf, &[]));
    assert!(distrust(nobody).contains("no root certificate and no public key is given"));
}

#[test]
fn a_root_in_the_signature_is_no_reason_to_trust_it() {
    let (root, issuer, leaf) = infrastructure();
    let signature = signed(&leaf, &[&issuer.certificate, &root.certificate]);
    // It is of no use, but does no harm if it is trusted anyway.
    verify(trusting(&root), &signature).unwrap();
    let outcome = verify(trusting(&Holder::root("other")), &signature);
    assert_eq!(
        distrust(outcome),
        "the signature brings the certificate for `CN=root,O=acme.org`, which is signed by itself \
         and no root that is trusted here"
    );
}

#[test]
fn dates_are_judged_as_of_the_moment_given() {
    let (root, issuer, leaf) = infrastructure();
    let signature = signed(&leaf, &[&issuer.certificate]);
    for at in ["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"] {
        verify_at(trusting(&root), &signature, at).unwrap();
    }
    assert_eq!(
        distrust(verify_at(
            trusting(&root),
            &signature,
            "2025-12-31T23:59:59Z"
        )),
        "the certificate for `CN=release,O=acme.org` is valid from 2026-01-01T00:00:00Z, but was \
         used at 2025-12-31T23:59:59Z"
    );
    assert_eq!(
        distrust(verify_at(
            trusting(&root),
            &signature,
            "2027-01-01T00:00:01Z"
        )),
        "the certificate for `CN=release,O=acme.org` was valid until 2027-01-01T00:00:00Z, and it \
         is judged as of 2027-01-01T00:00:01Z"
    );
    assert!(verify_at(trusting(&root), &signature, "1960-01-01T00:00:00Z").is_err());
}

/// Signs with a leaf below an issuer below a root, each as given, and returns why it is distrusted.
fn reason(issuer: CertificateParams, leaf: CertificateParams) -> String {
    let root = Holder::root("root");
    let issuer = root.issue(issuer);
    let leaf = issuer.issue(leaf);
    distrust(verify(
        trusting(&root),
        &signed(&leaf, &[&issuer.certificate]),
    ))
}

fn with(
    mut parameters: CertificateParams,
    change: impl FnOnce(&mut CertificateParams),
) -> CertificateParams {
    change(&mut parameters);
    parameters
}

#[test]
fn the_signer_must_be_one_of_code() {
    let not_for = "the certificate for `CN=release,O=acme.org` is not for codeSigning";
    let usages = |usages: &[ExtendedKeyUsagePurpose]| {
        let usages = usages.to_vec();
        with(signer("release"), |it| it.extended_key_usages = usages)
    };
    for leaf in [
        usages(&[]),
        usages(&[ExtendedKeyUsagePurpose::ServerAuth]),
        usages(&[ExtendedKeyUsagePurpose::Any]),
        with(signer("release"), |it| {
            it.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        }),
    ] {
        assert_eq!(reason(authority("issuer"), leaf), not_for);
    }
    let as_issuer = with(signer("release"), |it| {
        it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    assert_eq!(
        reason(authority("issuer"), as_issuer),
        "the certificate for `CN=release,O=acme.org` is that of an authority, not of a signer"
    );
}

#[test]
fn issuers_must_be_allowed_to_issue() {
    let leads = |why: &str| {
        format!(
            "the certificate for `CN=release,O=acme.org` does not lead to a root that is \
             trusted: {why}"
        )
    };
    for (issuer, why) in [
        (
            signer("issuer"),
            "an issuer is not allowed to certify anybody",
        ),
        (
            with(authority("issuer"), |it| {
                it.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            }),
            "an issuer is not allowed to certify anybody",
        ),
        (
            with(authority("issuer"), |it| {
                it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
            "an issuer is not for this purpose",
        ),
        (
            with(authority("issuer"), |it| {
                it.not_after = rcgen::date_time_ymd(2021, 1, 1);
            }),
            "an issuer is no longer valid at that time",
        ),
    ] {
        assert_eq!(reason(issuer, signer("release")), leads(why));
    }
    for usage in [
        ExtendedKeyUsagePurpose::CodeSigning,
        ExtendedKeyUsagePurpose::Any,
    ] {
        let root = Holder::root("root");
        let issuer = root.issue(with(authority("issuer"), |it| {
            it.extended_key_usages = vec![usage];
        }));
        let leaf = issuer.issue(signer("release"));
        verify(trusting(&root), &signed(&leaf, &[&issuer.certificate])).unwrap();
    }
}

#[test]
fn limits_that_issuers_set_hold() {
    let constrained = with(authority("issuer"), |it| {
        it.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("acme.org".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let named = |name: &str| {
        with(signer("release"), |it| {
            it.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        })
    };
    assert!(
        reason(constrained.clone(), named("evil.org"))
            .ends_with("an issuer is not allowed to certify that name")
    );
    let root = Holder::root("root");
    let issuer = root.issue(constrained);
    let leaf = issuer.issue(named("release.acme.org"));
    verify(trusting(&root), &signed(&leaf, &[&issuer.certificate])).unwrap();

    let none_below = with(authority("upper"), |it| {
        it.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let upper = root.issue(none_below);
    let lower = upper.issue(authority("lower"));
    let leaf = lower.issue(signer("release"));
    let signature = signed(&leaf, &[&lower.certificate, &upper.certificate]);
    assert!(
        distrust(verify(trusting(&root), &signature))
            .ends_with("an issuer is not allowed that many issuers below it")
    );
}

#[test]
fn a_root_that_is_no_longer_valid_vouches_for_nobody() {
    let root = Holder::root("root");
    let leaf = root.issue(with(signer("release"), |it| {
        it.not_after = rcgen::date_time_ymd(2050, 1, 1);
    }));
    let signature = signed(&leaf, &[]);
    verify_at(trusting(&root), &signature, "2039-12-31T00:00:00Z").unwrap();
    assert!(verify_at(trusting(&root), &signature, "2040-01-02T00:00:00Z").is_err());
}

#[test]
fn the_issuer_that_is_stated_is_the_holder_or_who_certified_it() {
    let (root, issuer, leaf) = infrastructure();
    let mut signature = signed(&leaf, &[&issuer.certificate]);
    // The first Go tool states the holder, the second compares with the issuer.
    for stated in ["CN=release,O=acme.org", "o=ACME.org, cn=issuer", " "] {
        signature.issuer = Some(stated.to_owned());
        verify(trusting(&root), &signature).unwrap();
    }
    signature.issuer = Some("CN=release,O=evil.org".to_owned());
    let outcome = verify(trusting(&root), &signature);
    let Err(VerifyError::Mismatch(error)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        error.to_string(),
        "the signature states the issuer `CN=release,O=evil.org`, but the certificate is for \
         `CN=release,O=acme.org` and by `CN=issuer,O=acme.org`"
    );
    signature.issuer = Some("CN=release,FOO=bar".to_owned());
    let outcome = verify(trusting(&root), &signature);
    assert!(matches!(outcome, Err(VerifyError::Malformed(_))));
}

#[test]
fn the_issuer_that_is_demanded_must_have_signed_or_certified() {
    let (root, issuer, leaf) = infrastructure();
    let signature = signed(&leaf, &[&issuer.certificate]);
    let demanding = |name: &str| trusting(&root).with_issuer(name.parse().unwrap());
    for name in [
        "CN=release",
        "O=acme.org",
        "CN=issuer,O=acme.org",
        "release",
    ] {
        verify(demanding(name), &signature).unwrap();
    }
    assert_eq!(
        distrust(verify(demanding("CN=boss"), &signature)),
        "the issuer must be `CN=boss`, but the certificate is for `CN=release,O=acme.org` and by \
         `CN=issuer,O=acme.org`"
    );
    assert!(verify(demanding("CN=release,O=evil.org"), &signature).is_err());
}

#[test]
fn roots_of_the_system_need_an_issuer() {
    let (root, issuer, leaf) = infrastructure();
    let signature = signed(&leaf, &[&issuer.certificate]);
    let system = || Roots::new(vec![root.certificate.clone()]);
    let outcome = verify(Trust::default().or_system_roots(system()), &signature);
    assert!(distrust(outcome).ends_with("it must be said which issuer is trusted"));
    let named = Trust::default().with_issuer("CN=release".parse().unwrap());
    verify(named.clone().or_system_roots(system()), &signature).unwrap();
    // Roots that are given are the only ones.
    let other = Roots::new(vec![Holder::root("other").certificate]);
    let given = named.with_roots(other).or_system_roots(system());
    assert!(verify(given, &signature).is_err());
}

#[test]
fn a_demanded_issuer_is_not_proved_by_a_certificate_that_nobody_vouches_for() {
    let forger = Holder::root("forger");
    let (_, _, leaf) = infrastructure();
    let text = leaf.private_key().to_pem(KeyFormat::Pkcs8).unwrap();
    let forged = forger.issue_for(signer("boss"), KeyPair::from_pem(text.expose()).unwrap());
    let trust = Trust::of_key(leaf.private_key().public_key());
    let signature = signed(&forged, &[]);
    verify(trust.clone(), &signature).unwrap();
    let demanding = trust.with_issuer("CN=boss".parse().unwrap());
    assert_eq!(
        distrust(verify(demanding, &signature)),
        "the issuer must be `CN=boss,O=acme.org`, but the public key that is trusted is in no certificate"
            .replace(",O=acme.org", "")
    );
}

#[test]
fn the_key_of_a_certificate_that_is_given_is_trusted_whatever_its_dates() {
    let (_, issuer, leaf) = infrastructure();
    let trust = Trust::parse(leaf.certificate.to_pem().as_bytes()).unwrap();
    let late = "2030-01-01T00:00:00Z";
    let signature = signed(&leaf, &[&issuer.certificate]);
    let signatory = verify_at(trust.clone(), &signature, late).unwrap();
    assert!(matches!(signatory, Signatory::Key { .. }));
    let named = |name: &str| trust.clone().with_issuer(name.parse().unwrap());
    verify_at(named("CN=release"), &signature, late).unwrap();
    assert!(verify_at(named("CN=boss"), &signature, late).is_err());
}

#[tokio::test]
async fn a_signer_leaves_roots_out() {
    let (root, issuer, leaf) = infrastructure();
    let key = leaf.private_key();
    let signer = || KeySigner::new(key.clone(), SignatureAlgorithm::of_key(&key));
    let chain = [&leaf, &issuer, &root].map(|it| it.certificate.clone());
    let signature = signer().with_chain(chain.to_vec()).unwrap();
    let signature = signature.sign(&digest()).await.unwrap();
    assert_eq!(signature.value.matches("BEGIN CERTIFICATE").count(), 2);
    verify(trusting(&root), &signature).unwrap();

    let own = root.private_key();
    let signer = KeySigner::new(own.clone(), SignatureAlgorithm::of_key(&own));
    assert_eq!(
        signer
            .with_chain(vec![root.certificate])
            .unwrap_err()
            .to_string(),
        "the certificate for `CN=root,O=acme.org` is signed by itself: nobody vouches for it, so \
         sign without it and hand the public key to those who verify"
    );
}

#[test]
fn any_moment_can_be_asked_about() {
    let (root, issuer, leaf) = infrastructure();
    let signature = signed(&leaf, &[&issuer.certificate]);
    for at in [Timestamp::MIN, Timestamp::MAX] {
        let verifier = KeyVerifier::new(trusting(&root));
        assert!(verifier.verify(&digest(), &signature, at).is_err());
    }
}

#[test]
fn no_byte_of_a_certificate_can_be_changed() {
    let (root, issuer, leaf) = infrastructure();
    let key = leaf.private_key();
    let algorithm = SignatureAlgorithm::of_key(&key);
    let good = leaf.certificate.der();
    for at in 0..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        let Ok(bad) = Certificate::from_der(&bad) else {
            continue;
        };
        let signature = signed_with(&key, algorithm, &bad, &[&issuer.certificate]);
        let outcome = verify(trusting(&root), &signature);
        assert!(outcome.is_err(), "byte {at}: {outcome:?}");
    }
}

#[test]
fn more_certificates_than_any_chain_has_are_refused() {
    let (root, issuer, leaf) = infrastructure();
    let others = vec![&issuer.certificate; 15];
    verify(trusting(&root), &signed(&leaf, &others)).unwrap();
    let others = vec![&issuer.certificate; 16];
    let outcome = verify(trusting(&root), &signed(&leaf, &others));
    assert!(
        matches!(outcome, Err(VerifyError::Malformed(_))),
        "{outcome:?}"
    );
}
