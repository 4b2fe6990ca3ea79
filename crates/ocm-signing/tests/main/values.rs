//! Signatures keep their meaning through the text that descriptors hold.

use ocm_signing::key::Certificate;
use ocm_signing::rsa::RsaAlgorithm;
use ocm_signing::value::{MEDIA_TYPE_PEM, SignatureValue};

use crate::data::key;

fn value(algorithm: RsaAlgorithm, chain: Vec<Certificate>) -> SignatureValue {
    SignatureValue {
        algorithm: algorithm.into(),
        bytes: vec![1, 2, 0xfe],
        chain,
    }
}

#[test]
fn a_plain_value_reads_as_it_is_written() {
    for algorithm in [RsaAlgorithm::Pss, RsaAlgorithm::Pkcs1V15] {
        let value = value(algorithm, Vec::new());
        let (media_type, text) = value.encode();
        assert_eq!(
            (media_type, text.as_str()),
            (algorithm.media_type(), "0102fe")
        );
        let again = SignatureValue::decode(algorithm.as_str(), media_type, &text);
        assert_eq!(again, Ok(value));
    }
}

#[test]
fn a_value_with_certificates_is_pem_as_the_go_tools_write_it() {
    let certificate = key("test-rsa-2048.cert.pem");
    let chain = Certificate::parse_chain(&certificate).unwrap();
    let value = value(RsaAlgorithm::Pss, chain);
    let (media_type, text) = value.encode();
    assert_eq!(media_type, MEDIA_TYPE_PEM);
    let expected = "-----BEGIN SIGNATURE-----\nSignature Algorithm: RSASSA-PSS\n\nAQL+\n-----END SIGNATURE-----\n";
    assert_eq!(
        text,
        format!("{expected}{}", String::from_utf8(certificate).unwrap())
    );
    for algorithm in ["RSASSA-PSS", ""] {
        assert_eq!(
            SignatureValue::decode(algorithm, media_type, &text),
            Ok(value.clone())
        );
    }
}
