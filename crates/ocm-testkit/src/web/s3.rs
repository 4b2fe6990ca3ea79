//! A bucket of S3, whose server checks signatures.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use bytes::Bytes;
use http::HeaderName;
use http::header::{CONTENT_TYPE, HOST};

use super::{Answer, Asked, hex};

/// A bucket with objects that have versions, at a server that takes addresses with the bucket in
/// their path.
#[derive(Clone, Debug)]
pub struct S3 {
    /// The bucket.
    pub bucket: String,
    /// The region of the bucket.
    pub region: String,
    /// The access key and its secret; without them, the bucket is open to everyone.
    pub key: Option<(String, String)>,
    /// The session token that comes with the access key.
    pub token: Option<String>,
    objects: BTreeMap<String, Vec<Bytes>>,
}

impl S3 {
    /// Makes an empty bucket in `eu-central-1`.
    pub fn new(bucket: &str) -> Self {
        Self {
            bucket: bucket.to_owned(),
            region: "eu-central-1".to_owned(),
            key: None,
            token: None,
            objects: BTreeMap::new(),
        }
    }

    /// Adds a version of an object, `v1` being the first.
    #[must_use]
    pub fn with(mut self, key: &str, content: impl Into<Bytes>) -> Self {
        let versions = self.objects.entry(key.to_owned()).or_default();
        versions.push(content.into());
        self
    }

    /// Takes those only who have signed with a key.
    #[must_use]
    pub fn for_key(mut self, id: &str, secret: &str) -> Self {
        self.key = Some((id.to_owned(), secret.to_owned()));
        self
    }

    /// Answers as the server does.
    pub fn answer(self) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
        move |asked| {
            let query = Query::of(asked);
            let root = format!("/{}/", self.bucket);
            let Some(key) = asked.path().strip_prefix(&root) else {
                return refusal(404, "NoSuchBucket");
            };
            if key.is_empty() {
                let region = HeaderName::from_static("x-amz-bucket-region");
                return Answer::status(403).with(region, &self.region);
            }
            let signers = self.key.as_ref().map(|(id, secret)| Signers {
                id,
                secret,
                token: self.token.as_deref(),
                region: &self.region,
            });
            if let Some(Err(answer)) = signers.map(|signers| signers.admit(asked, &query)) {
                return answer;
            }
            let versions = self.objects.get(&decoded(key));
            let versions = versions.map_or(&[][..], Vec::as_slice);
            let wanted = match query.get("versionId") {
                None => versions.len(),
                Some(name) => name
                    .strip_prefix('v')
                    .and_then(|number| number.parse().ok())
                    .unwrap_or_default(),
            };
            let content = wanted.checked_sub(1).and_then(|index| versions.get(index));
            match content {
                None => refusal(404, "NoSuchKey"),
                Some(content) => Answer::file(content.clone())
                    .with(CONTENT_TYPE, "text/x-object")
                    .with(
                        HeaderName::from_static("x-amz-version-id"),
                        &format!("v{wanted}"),
                    ),
            }
        }
    }
}

/// Whose signatures a server takes.
pub(super) struct Signers<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a str,
    pub(super) token: Option<&'a str>,
    pub(super) region: &'a str,
}

impl Signers<'_> {
    /// Checks the signature of a request (AWS, "Authenticating requests: using query parameters").
    pub(super) fn admit(&self, asked: &Asked, query: &Query) -> Result<(), Answer> {
        let Self { id, secret, .. } = self;
        let stated = |name: &str| query.get(name).unwrap_or_default();
        let credential = stated("X-Amz-Credential").to_owned();
        let [key, day, region, service, end] = credential.split('/').collect::<Vec<_>>()[..] else {
            return Err(refusal(403, "AccessDenied"));
        };
        if key != *id || stated("X-Amz-Security-Token") != self.token.unwrap_or_default() {
            return Err(refusal(403, "InvalidAccessKeyId"));
        }
        if region != self.region {
            return Err(refusal(400, "AuthorizationQueryParametersError"));
        }
        let time = stated("X-Amz-Date");
        if !time.starts_with(day)
            || (service, end) != ("s3", "aws4_request")
            || stated("X-Amz-Algorithm") != "AWS4-HMAC-SHA256"
            || stated("X-Amz-SignedHeaders") != "host"
        {
            return Err(refusal(403, "AccessDenied"));
        }
        let request = format!(
            "{}\n{}\n{}\nhost:{}\n\nhost\nUNSIGNED-PAYLOAD",
            asked.method,
            asked.path(),
            query.canonical(),
            asked.header(HOST)
        );
        let scope = format!("{day}/{region}/s3/aws4_request");
        let hash = hex(digest(&SHA256, request.as_bytes()).as_ref());
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
        let mut signed = format!("AWS4{secret}").into_bytes();
        for part in [day, region, "s3", "aws4_request", text.as_str()] {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &signed);
            signed = hmac::sign(&key, part.as_bytes()).as_ref().to_vec();
        }
        if hex(&signed) == stated("X-Amz-Signature") {
            Ok(())
        } else {
            Err(refusal(403, "SignatureDoesNotMatch"))
        }
    }
}

pub(super) fn refusal(status: u16, code: &str) -> Answer {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
    Answer::status(status).saying(text)
}

impl Answer {
    pub(super) fn saying(mut self, text: String) -> Self {
        self.body = text.into();
        self
    }
}

/// The parts of a query, by their names; the values as they were sent, and as they are meant.
pub(super) struct Query(BTreeMap<String, (String, String)>);

impl Query {
    pub(super) fn of(asked: &Asked) -> Self {
        let query = asked.uri.query().unwrap_or_default();
        let parts = query.split('&').filter_map(|part| part.split_once('='));
        Self(
            parts
                .map(|(name, value)| (name.to_owned(), (value.to_owned(), decoded(value))))
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(_, value)| value.as_str())
    }

    /// All parts but the signature, in order.
    fn canonical(&self) -> String {
        let parts = self.0.iter().filter(|(name, _)| *name != "X-Amz-Signature");
        let parts = parts.map(|(name, (sent, _))| format!("{name}={sent}"));
        parts.collect::<Vec<_>>().join("&")
    }
}

pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let digits = after.get(..2).filter(|_| *first == b'%');
        let byte = digits
            .and_then(|digits| str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
