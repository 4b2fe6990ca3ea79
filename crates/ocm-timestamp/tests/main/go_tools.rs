//! A timestamp that the first Go tool has put into a descriptor is read and believed.

use std::path::Path;

use ocm_model::Descriptor;
use ocm_signing::key::Certificate;
use ocm_signing::role::TimestampVerifier as _;
use ocm_signing::x509::Roots;
use ocm_timestamp::{TimestampAuthorities, Token};

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/certificates");
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn the_timestamp_of_the_first_tool_is_believed() {
    let descriptor = Descriptor::read_yaml(&String::from_utf8(read("v1.yaml")).unwrap()).unwrap();
    let signature = descriptor.signature("stamped").unwrap();
    let timestamp = signature.timestamp.unwrap();
    let roots = Certificate::parse_chain(&read("timestamp-root.pem")).unwrap();
    let authorities = TimestampAuthorities::new(Roots::new(roots));
    let digest = signature.digest.digest().unwrap();
    let time = authorities.verify(&digest, &timestamp).unwrap();
    assert_eq!(time.to_string(), "2026-11-28T03:32:12Z");
    assert_eq!(timestamp.time.as_deref(), Some("2026-11-28T03:32:12Z"));
    // It is the form that is written here, too.
    assert_eq!(
        Token::from_pem(&timestamp.value).unwrap().to_pem(),
        timestamp.value
    );
}
