//! Who may make timestamps, when, and of what.

use ocm_digest::Digest;
use ocm_model::TimestampSpec;
use ocm_signing::role::{TimestampVerifier as _, VerifyError};
use ocm_timestamp::TokenError;
use serde_json::Map;

use crate::authority::{Authority, Fault, Purposes};

const TIME: &str = "20260601120000Z";

fn digest() -> Digest {
    Digest::sha256("content")
}

fn spec(authority: &Authority, time: &str, stated: Option<&str>) -> TimestampSpec {
    TimestampSpec {
        value: authority.stamp(&digest(), time).to_pem(),
        time: stated.map(str::to_owned),
        extra: Map::new(),
    }
}

#[test]
fn a_certificate_of_an_authority_is_for_timestamps_alone() {
    for purposes in [
        Purposes::NotCritical,
        Purposes::WithOthers,
        Purposes::Others,
        Purposes::None,
    ] {
        let authority = Authority::with(purposes);
        let outcome = authority
            .believers()
            .verify(&digest(), &spec(&authority, TIME, None));
        let Err(VerifyError::Untrusted(error)) = outcome else {
            panic!("{purposes:?}: {outcome:?}");
        };
        assert_eq!(
            error.to_string(),
            "the certificate for `CN=authority` is not for timeStamping"
        );
    }
}

#[test]
fn an_authority_is_judged_as_of_its_own_time() {
    let authority = Authority::new();
    let verify = |time: &str| {
        authority
            .believers()
            .verify(&digest(), &spec(&authority, time, None))
    };
    assert!(verify("20250101000000Z").is_ok());
    assert!(verify("20270101000000Z").is_ok());
    for time in ["20241231235959Z", "20270101000001Z"] {
        assert!(matches!(verify(time), Err(VerifyError::Untrusted(_))));
    }
}

#[test]
fn the_time_beside_a_timestamp_is_the_one_in_it() {
    let authority = Authority::new();
    let verify = |stated: &str| {
        let spec = spec(&authority, "20260601120000.999Z", Some(stated));
        authority.believers().verify(&digest(), &spec)
    };
    for stated in ["2026-06-01T12:00:00Z", "2026-06-01T14:00:00+02:00"] {
        assert!(verify(stated).is_ok(), "{stated}");
    }
    for stated in ["2026-06-01T12:00:02Z", "2026-05-31T12:00:00Z", "noon"] {
        let outcome = verify(stated);
        assert!(matches!(outcome, Err(VerifyError::Mismatch(_))), "{stated}");
    }
}

#[test]
fn what_is_wrong_with_a_timestamp_is_named() {
    let authority = Authority::new();
    let attributes = TokenError::Malformed {
        what: "set of signed attributes",
    };
    for (fault, expected) in [
        (Fault::Content, TokenError::Changed),
        (Fault::ContentType, TokenError::OtherContent),
        (Fault::OtherContent, TokenError::OtherContent),
        (Fault::NoCertificateName, attributes.clone()),
        (Fault::OtherCertificateName, TokenError::OtherCertificate),
        (Fault::Twice, attributes),
        (
            Fault::TwoSigners,
            TokenError::Malformed { what: "SignedData" },
        ),
        (Fault::Signature, TokenError::Signature),
    ] {
        let outcome = authority.try_stamp(&digest(), TIME, fault);
        assert_eq!(outcome.unwrap_err(), expected, "{fault:?}");
    }
}

#[test]
fn times_of_other_forms_are_refused() {
    let authority = Authority::new();
    for time in [
        "20260601120000",
        "20260601120000+0200",
        "202606011200Z",
        "20261301120000Z",
        "20260601120060Z",
        "2026060112000 Z",
        "20260601120000.Z",
        "20260601120000.xZ",
        "+0260601120000Z",
    ] {
        assert_eq!(
            authority
                .try_stamp(&digest(), time, Fault::None)
                .unwrap_err(),
            TokenError::Malformed { what: "time" },
            "{time}"
        );
    }
}
