//! What the Go tools have signed with certificates verifies by the root above them.

use ocm_model::Descriptor;
use ocm_signing::key::Certificate;
use ocm_signing::keyed::KeyVerifier;
use ocm_signing::trust::Trust;
use ocm_signing::verify::{Error, check};
use ocm_signing::x509::Roots;
use ocm_signing::{Checked, Clock, Signatory};

use crate::data::conformance;

fn read(name: &str) -> Vec<u8> {
    std::fs::read(conformance("certificates").join(name)).unwrap()
}

fn trust() -> Trust {
    let roots = Certificate::parse_chain(&read("root.pem")).unwrap();
    Trust::default().with_roots(Roots::new(roots))
}

fn v1() -> Descriptor {
    Descriptor::read_yaml(&String::from_utf8(read("v1.yaml")).unwrap()).unwrap()
}

fn v2() -> Descriptor {
    Descriptor::read_json(&read("v2.json")).unwrap()
}

fn verify(descriptor: &Descriptor, name: &str, trust: Trust) -> Result<Checked, Error> {
    let at = "2030-01-01T00:00:00Z".parse().unwrap();
    check(descriptor, name, &KeyVerifier::new(trust), Clock::at(at))
}

#[track_caller]
fn holds(descriptor: &Descriptor, name: &str, algorithm: &str, holder: &str) {
    let checked = verify(descriptor, name, trust()).unwrap();
    assert_eq!(checked.algorithm, algorithm);
    let Signatory::Certificate {
        subject, issuer, ..
    } = checked.signatory
    else {
        panic!("{:?}", checked.signatory);
    };
    assert_eq!(subject, format!("CN={holder},OU=Release,O=acme.org,C=DE"));
    assert_eq!(issuer, "CN=test issuer,O=acme.org");
}

#[test]
fn what_the_second_tool_signs_verifies() {
    holds(&v2(), "pem", "RSASSA-PSS", "test signer");
    holds(&v2(), "pem-pkcs1", "RSASSA-PKCS1-V1_5", "test signer");
}

#[test]
fn what_the_first_tool_signs_verifies() {
    holds(&v1(), "pkcs1", "RSASSA-PKCS1-V1_5", "pkcs1");
    holds(&v1(), "full", "RSASSA-PSS", "full");
    holds(&v1(), "stamped", "RSASSA-PSS", "stamped");
}

#[test]
fn a_root_that_the_first_tool_puts_into_a_signature_is_not_trusted_for_that() {
    let outcome = verify(&v1(), "full", Trust::default());
    assert!(
        matches!(outcome, Err(Error::Untrusted { .. })),
        "{outcome:?}"
    );
    let other = Certificate::parse_chain(&read("timestamp-root.pem")).unwrap();
    let trust = Trust::default().with_roots(Roots::new(other));
    let outcome = verify(&v1(), "full", trust);
    let Err(Error::Untrusted { source, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(source.to_string().contains("no root that is trusted here"));
}

#[test]
fn the_name_that_the_first_tool_states_is_checked() {
    let mut descriptor = v1();
    let mut signature = descriptor.signature("pkcs1").unwrap();
    signature.signature.issuer = Some("CN=somebody else".to_owned());
    descriptor.replace_signature(&signature);
    let outcome = verify(&descriptor, "pkcs1", trust());
    assert!(
        matches!(outcome, Err(Error::Mismatch { .. })),
        "{outcome:?}"
    );
    // One tool compares with the holder, the other with the issuer.
    signature.signature.issuer = Some("CN=test issuer,O=acme.org".to_owned());
    descriptor.replace_signature(&signature);
    verify(&descriptor, "pkcs1", trust()).unwrap();
}
