//! What the Go tools have signed with OpenPGP verifies.

use ocm_model::Descriptor;
use ocm_openpgp::OpenPgpVerifier;
use ocm_signing::verify::{Clock, verify};

use crate::data::{read, ring};

#[test]
fn a_descriptor_signed_by_go_verifies() {
    for (name, key) in [("default", "subkeys"), ("locked", "locked")] {
        let descriptor = Descriptor::read_json(&read("go-product.json")).unwrap();
        let verifier = OpenPgpVerifier::new(ring(&format!("{key}.pub.asc")), None);
        let at = "2026-12-01T00:00:00Z".parse().unwrap();
        let verified = verify(descriptor, name, &verifier, Clock::at(at)).unwrap();
        assert_eq!(verified.report()[0].algorithm, "GPG");
    }
}
