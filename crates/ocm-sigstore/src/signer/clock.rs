//! Timestamp authorities (RFC 3161): `POST` of a query.

use aws_lc_rs::rand;
use ocm_digest::Digest;
use reqwest::Method;
use sigstore_types::TimestampToken;
use url::Url;

use super::Error;
use crate::http::{Network, Service};
use crate::key::KeyError;

/// Has an authority testify that a signature exists, and returns its answer.
pub(super) async fn stamp(
    url: &Url,
    network: &dyn Network,
    signature: &[u8],
) -> Result<TimestampToken, Error> {
    let service = Service::open("the timestamp authority", url, network).await?;
    let mut nonce = [0; 8];
    rand::fill(&mut nonce).map_err(|_| KeyError::Library)?;
    let imprint = Digest::sha256(signature);
    let request = service
        .request_here(Method::POST)
        .header("content-type", "application/timestamp-query")
        .body(query(&imprint, nonce));
    let answer = service.call(request).await?;
    // Whether the authority is trusted is for who verifies. Here it is about what was stamped: the
    // imprint and the nonce stand in the answer as they stood in the query.
    let stands = |part: &[u8]| answer.windows(part.len()).any(|window| window == part);
    if !stands(imprint.as_bytes()) || !stands(&integer(nonce)) {
        return Err(service.odd("the timestamp is of something else").into());
    }
    Ok(TimestampToken::new(answer))
}

/// A `TimeStampReq` for the SHA-256 of something, with the certificates of the authority wanted.
fn query(imprint: &Digest, nonce: [u8; 8]) -> Vec<u8> {
    /// `AlgorithmIdentifier` of SHA-256, with the parameter that some authorities insist on.
    const SHA256: &[u8] = &[
        0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    ];
    let message_imprint = tlv(0x30, &[SHA256, &tlv(0x04, &[imprint.as_bytes()])]);
    let version = tlv(0x02, &[&[1]]);
    let wants_certificates = tlv(0x01, &[&[0xff]]);
    tlv(
        0x30,
        &[
            &version,
            &message_imprint,
            &integer(nonce),
            &wants_certificates,
        ],
    )
}

/// A positive `INTEGER` of DER.
fn integer(bytes: [u8; 8]) -> Vec<u8> {
    let significant = bytes.iter().position(|&byte| byte != 0).unwrap_or(7);
    let bytes = &bytes[significant..];
    if bytes[0] >= 0x80 {
        tlv(0x02, &[&[0], bytes])
    } else {
        tlv(0x02, &[bytes])
    }
}

/// A value of DER of fewer than 128 bytes, which all of a query are.
fn tlv(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    debug_assert!(length < 128, "no part of a query is that long");
    [&[tag, length][..], &content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_positive_and_short() {
        assert_eq!(integer([0; 8]), [2, 1, 0]);
        assert_eq!(integer([0, 0, 0, 0, 0, 0, 1, 0]), [2, 2, 1, 0]);
        assert_eq!(integer([0xff; 8])[..3], [2, 9, 0]);
    }

    #[test]
    fn a_query_is_one_sequence() {
        let query = query(&Digest::sha256("a"), [1; 8]);
        assert_eq!(usize::from(query[1]), query.len() - 2);
        assert!(query.ends_with(&[1, 1, 0xff]));
    }
}
