//! What is sent to an authority, and what it answers.

use ocm_digest::Digest;

use crate::asn1::{
    self, BOOLEAN, INTEGER, NULL, OCTET_STRING, OID, Reader, SEQUENCE, Tag, constructed, write,
    write_all,
};
use crate::oid;

/// A request for a timestamp (`TimeStampReq`, RFC 3161, 2.4.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Request {
    digest: Digest,
    nonce: [u8; 8],
}

impl Request {
    /// Asks for a timestamp of a digest. The nonce, random, tells the answer from earlier ones.
    pub(crate) const fn new(digest: Digest, nonce: [u8; 8]) -> Self {
        Self { digest, nonce }
    }

    /// Returns what is sent, as `application/timestamp-query`.
    ///
    /// The authority is asked to put its certificates into the timestamp, which is verified long
    /// after.
    pub(crate) fn to_der(&self) -> Vec<u8> {
        let algorithm = write_all(
            SEQUENCE,
            &[
                write(OID, oid::of_hash(self.digest.algorithm())),
                write(NULL, &[]),
            ],
        );
        let imprint = [algorithm, write(OCTET_STRING, self.digest.as_bytes())];
        write_all(
            SEQUENCE,
            &[
                write(INTEGER, &[1]),
                write_all(SEQUENCE, &imprint),
                write(INTEGER, &self.nonce_content()),
                write(BOOLEAN, &[0xff]),
            ],
        )
    }

    /// Returns the content of the nonce as an integer, which is positive and as short as can be.
    pub(crate) fn nonce_content(&self) -> Vec<u8> {
        let zeros = self.nonce.iter().take_while(|byte| **byte == 0).count();
        let digits = &self.nonce[zeros..];
        let mut content = Vec::with_capacity(9);
        if digits.first().is_none_or(|byte| byte & 0x80 != 0) {
            content.push(0);
        }
        content.extend_from_slice(digits);
        content
    }
}

/// What an authority says about a request (`PKIStatusInfo`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Status {
    /// 0 and 1 say that there is a timestamp.
    pub(crate) code: u8,
    /// What the authority says in words.
    pub(crate) text: String,
}

impl Status {
    /// Tells whether a timestamp was made.
    pub(crate) const fn is_granted(&self) -> bool {
        self.code <= 1
    }
}

/// Takes an answer apart (`TimeStampResp`, RFC 3161, 2.4.2): the status and the timestamp in DER.
///
/// Returns nothing if it is no such answer.
pub(crate) fn read_answer(der: &[u8]) -> Option<(Status, Option<&[u8]>)> {
    const UTF8_STRING: Tag = 0x0c;
    let mut answer = asn1::only(der, SEQUENCE)?.reader();
    let mut status = answer.take(SEQUENCE)?.reader();
    let &[code] = status.take(INTEGER)?.content else {
        return None;
    };
    let mut text = Vec::new();
    if let Some(texts) = status.take(SEQUENCE) {
        let mut texts = texts.reader();
        while let Some(part) = texts.take(UTF8_STRING) {
            text.push(String::from_utf8_lossy(part.content).into_owned());
        }
    }
    let text = text.join("; ");
    let token = answer.next().map(|token| token.whole);
    answer.is_at_end().then_some((Status { code, text }, token))
}

/// Returns `SignedData` in DER, with or without the `ContentInfo` around it.
pub(crate) fn unwrap_content(der: &[u8]) -> Option<&[u8]> {
    let mut outer = asn1::only(der, SEQUENCE)?.reader();
    let Some(kind) = outer.take(OID) else {
        return Some(der);
    };
    if kind.content != oid::SIGNED_DATA {
        return None;
    }
    let mut inner: Reader<'_> = outer.take(constructed(0))?.reader();
    let data = inner.take(SEQUENCE)?;
    (inner.is_at_end() && outer.is_at_end()).then_some(data.whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_a_positive_integer() {
        let content = |nonce| Request::new(Digest::sha256("x"), nonce).nonce_content();
        assert_eq!(content([0; 8]), [0]);
        assert_eq!(content([0, 0, 0, 0, 0, 0, 0, 0x7f]), [0x7f]);
        assert_eq!(content([0, 0, 0, 0, 0, 0, 0, 0x80]), [0, 0x80]);
        assert_eq!(content([0xff; 8])[..2], [0, 0xff]);
    }

    #[test]
    fn a_refusal_is_read_with_its_reason() {
        let refusal = [0x30, 9, 0x30, 7, 2, 1, 2, 0x30, 2, 0x0c, 0];
        let (status, token) = read_answer(&refusal).unwrap();
        assert!(!status.is_granted() && token.is_none());
        assert_eq!(read_answer(&refusal[..10]), None);
    }
}
