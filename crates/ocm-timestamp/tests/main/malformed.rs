//! Damaged timestamps are refused, or say the same as before.

use ocm_timestamp::{MAX_SIZE, Token, TokenError};
use proptest::prelude::*;

use crate::openssl::token;

#[test]
fn no_byte_of_a_timestamp_can_be_changed_so_that_it_says_something_else() {
    for name in ["rsa.sha256.tsr", "ec.sha384.tsr"] {
        let der = token(name);
        let good = Token::from_der(&der).unwrap();
        for at in 0..der.len() {
            let mut bad = der.clone();
            bad[at] ^= 1;
            // The versions of structures and the certificates of issuers are not signed.
            if let Ok(token) = Token::from_der(&bad) {
                assert_eq!(token.time(), good.time(), "{name}, byte {at}");
                assert_eq!(token.imprint(), good.imprint(), "{name}, byte {at}");
                assert_eq!(token.signer(), good.signer(), "{name}, byte {at}");
            }
        }
    }
}

#[test]
fn a_cut_timestamp_is_refused() {
    let der = token("ec.sha256.tsr");
    for length in 0..der.len() {
        assert!(Token::from_der(&der[..length]).is_err(), "{length}");
    }
    let mut long = der;
    long.push(0);
    assert!(Token::from_der(&long).is_err());
}

#[test]
fn pem_must_be_one_block_of_its_kind() {
    let text = Token::from_der(&token("ec.sha256.tsr")).unwrap().to_pem();
    let reason = |text: &str| Token::from_pem(text).unwrap_err();
    assert_eq!(reason(""), TokenError::NoBlock);
    assert_eq!(reason(&text.repeat(2)), TokenError::NoBlock);
    let renamed = text.replace("TIMESTAMP INFO", "CERTIFICATE");
    assert_eq!(reason(&renamed), TokenError::NoBlock);
    let cut = text.replace("-----END", "-----");
    assert!(matches!(reason(&cut), TokenError::Pem(_)));
    let size = MAX_SIZE + 1;
    let long = " ".repeat(size);
    assert_eq!(reason(&long), TokenError::TooLarge { size });
}

proptest! {
    #[test]
    fn any_bytes_may_be_handed_in(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Token::from_der(&bytes).is_err());
    }

    #[test]
    fn any_damage_is_survived(
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut der = token("rsa.sha512.tsr");
        *at.get_mut(&mut der) = value;
        der.truncate(cut.index(der.len()) + 1);
        drop(Token::from_der(&der));
    }
}
