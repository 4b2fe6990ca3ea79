//! What is asked of an authority, and which answers are taken.

use std::error::Error as _;
use std::sync::Mutex;

use async_trait::async_trait;
use ocm_digest::Digest;
use ocm_model::TimestampSpec;
use ocm_signing::role::{BoxError, SignError, TimestampVerifier as _, Timestamper as _};
use ocm_timestamp::{Post, TimestampClient};

use crate::authority::{Authority, Fault, INTEGER, SEQUENCE, der, granted, read_request};
use crate::openssl::data;

/// Answers as it is told, and keeps what was asked.
struct Answering<F> {
    answer: F,
    asked: Mutex<Vec<Vec<u8>>>,
}

#[async_trait]
impl<F: Fn(&[u8]) -> Result<Vec<u8>, BoxError> + Send + Sync> Post for &Answering<F> {
    async fn post(&self, url: &str, media_type: &str, body: Vec<u8>) -> Result<Vec<u8>, BoxError> {
        assert_eq!(url, "http://tsa.example");
        assert_eq!(media_type, "application/timestamp-query");
        let answer = (self.answer)(&body);
        self.asked.lock().unwrap().push(body);
        answer
    }
}

const URL: &str = "http://tsa.example";

fn digest() -> Digest {
    Digest::sha256(data("content.txt"))
}

async fn stamp(
    answer: impl Fn(&[u8]) -> Result<Vec<u8>, BoxError> + Send + Sync,
) -> Result<TimestampSpec, SignError> {
    let post = Answering {
        answer,
        asked: Mutex::new(Vec::new()),
    };
    let client = TimestampClient::new(URL.to_owned(), &post);
    client.stamp(&digest()).await
}

#[track_caller]
fn reason(outcome: Result<TimestampSpec, SignError>) -> String {
    let error = outcome.unwrap_err();
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[tokio::test]
async fn a_request_is_that_of_openssl_but_for_the_nonce() {
    let authority = Authority::new();
    let post = Answering {
        answer: |request: &[u8]| Ok(authority.answer(request, &digest(), Fault::None)),
        asked: Mutex::new(Vec::new()),
    };
    let client = TimestampClient::new(URL.to_owned(), &post).trusting(authority.believers());
    for _ in 0..2 {
        client.stamp(&digest()).await.unwrap();
    }
    let asked = post.asked.lock().unwrap();
    assert_ne!(asked[0], asked[1]);
    let (_, nonce) = read_request(&asked[0]);
    let mut without = asked[0].clone();
    let at = without.len() - 3 - nonce.len() - 2;
    without.drain(at..at + nonce.len() + 2);
    without[1] -= u8::try_from(nonce.len() + 2).unwrap();
    assert_eq!(without, data("request.tsq"));
}

#[tokio::test]
async fn a_timestamp_is_believed_by_who_believes_the_authority() {
    let authority = Authority::new();
    let spec = stamp(|request| Ok(authority.answer(request, &digest(), Fault::None)))
        .await
        .unwrap();
    assert_eq!(spec.time.as_deref(), Some("2026-06-01T12:00:00Z"));
    let time = authority.believers().verify(&digest(), &spec).unwrap();
    assert_eq!(time.to_string(), "2026-06-01T12:00:00.75Z");
}

#[tokio::test]
async fn answers_that_are_no_timestamp_of_this_digest_are_refused() {
    let authority = Authority::new();
    let refusal = der(
        SEQUENCE,
        &[&der(
            SEQUENCE,
            &[
                &der(INTEGER, &[&[2]]),
                &der(SEQUENCE, &[&der(0x0c, &[b"closed"])]),
            ],
        )],
    );
    assert_eq!(
        reason(stamp(|_| Ok(refusal.clone())).await),
        "http://tsa.example refuses to make a timestamp: status 2 closed"
    );
    for answer in [&b""[..], b"<html>", &[0x30, 0], &granted(&[])[..6]] {
        assert_eq!(
            reason(stamp(|_| Ok(answer.to_vec())).await),
            "http://tsa.example does not answer as a timestamp authority"
        );
    }
    let other = "http://tsa.example has made a timestamp of something else";
    let stale = Mutex::new(None);
    let answer = |request: &[u8]| {
        let answer = authority.answer(request, &digest(), Fault::None);
        Ok(stale.lock().unwrap().get_or_insert(answer).clone())
    };
    stamp(answer).await.unwrap();
    assert_eq!(reason(stamp(answer).await), other);
    let token = |request: &[u8], digest: &Digest, fault: Fault| {
        Ok(authority.answer(request, digest, fault))
    };
    let outcome = stamp(|request| token(request, &Digest::sha256("other"), Fault::None));
    assert_eq!(reason(outcome.await), other);
    let outcome = stamp(|request| token(request, &digest(), Fault::Signature));
    assert_eq!(
        reason(outcome.await),
        "http://tsa.example has made a timestamp that is not valid: the signature of the \
         timestamp does not match the certificate in it"
    );
    let unreachable = stamp(|_| Err("no route".into()));
    assert_eq!(
        reason(unreachable.await),
        "cannot ask http://tsa.example for a timestamp: no route"
    );
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_found_out_at_once() {
    let authority = Authority::new();
    let post = Answering {
        answer: |request: &[u8]| Ok(authority.answer(request, &digest(), Fault::None)),
        asked: Mutex::new(Vec::new()),
    };
    let other = Authority::new().believers();
    let client = TimestampClient::new(URL.to_owned(), &post).trusting(other);
    assert_eq!(
        reason(client.stamp(&digest()).await),
        "http://tsa.example has made a timestamp, but is not trusted: the certificate for \
         `CN=authority` does not lead to a root that is trusted"
    );
}
