//! Objects in S3 buckets: access `S3Bucket`, and `s3` of the first generation of the tools.
//!
//! Requests are signed by Signature Version 4 of AWS, in their address, each time they are sent.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jiff::Timestamp;
use ocm_config::{ConsumerIdentity, Credentials};
use ocm_model::Access;
use ocm_model::access::{AccessKind, S3Bucket};
use ocm_oci::{Error, Redirects};
use ocm_repository::{AccessMethod, Content};
use reqwest::Method;
use reqwest::header::HeaderMap;
use rusty_s3::{Bucket, S3Action as _, UrlStyle};
use url::Url;

use crate::access::{unsupported, with_field};
use crate::http::{HttpBlob, HttpRequest, HttpSource, Signer, parse_url};

/// The type of the consumer of credentials. The first generation of the tools calls it `S3`.
const CONSUMER: &str = "S3Bucket";

/// Where a bucket is unless the access or the service says otherwise.
const DEFAULT_REGION: &str = "us-east-1";

/// How long a signed request may be under way.
const VALIDITY: Duration = Duration::from_mins(15);

/// The header in which AWS says where a bucket is.
const REGION: &str = "x-amz-bucket-region";

/// The header with the version of an object.
const VERSION: &str = "x-amz-version-id";

/// What stands for the version of an object that has none.
const UNVERSIONED: &str = "null";

/// Reaches objects in S3 buckets: access types `S3Bucket` and `s3`.
///
/// The media type is the one in the access, else that of the answer. An access that names no
/// version is pinned to the one that there is, if the bucket has versions.
#[derive(Clone, Debug)]
pub struct S3Access {
    http: HttpSource,
}

impl S3Access {
    /// Makes requests by the given client.
    pub const fn new(http: HttpSource) -> Self {
        Self { http }
    }

    async fn open(&self, s3: &S3Bucket) -> Result<HttpBlob, Error> {
        let media_type = s3.media_type.clone().filter(|text| !text.is_empty());
        let object = Object::new(s3, None)?;
        let request = object.request();
        match self.http.blob(request, media_type.clone()).await {
            Err(error) if may_be_elsewhere(&error) => {
                let moved = self.elsewhere(s3, error).await?;
                self.http.blob(moved.request(), media_type).await
            }
            opened => opened,
        }
    }

    async fn head(&self, s3: &S3Bucket) -> Result<HeaderMap, Error> {
        let object = Object::new(s3, None)?;
        match self.http.head(&object.request()).await {
            Err(error) if may_be_elsewhere(&error) => {
                let moved = self.elsewhere(s3, error).await?;
                self.http.head(&moved.request()).await
            }
            answered => answered,
        }
    }

    /// Asks in which region the bucket is. If it is the one that was tried, the error stays.
    async fn elsewhere(&self, s3: &S3Bucket, error: Error) -> Result<Object, Error> {
        let object = Object::new(s3, None)?;
        let request = HttpRequest {
            method: Method::HEAD,
            redirects: Redirects::Refuse,
            ..HttpRequest::get(object.bucket.base_url().clone())
        };
        let answer = self.http.ask(&request).await?;
        let region = answer
            .headers()
            .get(REGION)
            .and_then(|region| region.to_str().ok())
            .filter(|region| is_region(region) && *region != object.bucket.region());
        match region {
            Some(region) => Object::new(s3, Some(region)),
            None => Err(error),
        }
    }
}

#[async_trait]
impl AccessMethod for S3Access {
    fn handles(&self, access: &Access) -> bool {
        matches!(access.kind(), Ok(AccessKind::S3Bucket(_)))
    }

    async fn content(&self, access: &Access) -> Result<Content, ocm_repository::Error> {
        let (s3, failed) = read(access)?;
        let blob = self.open(&s3).await.map_err(failed)?;
        Ok(Content::Blob(Arc::new(blob)))
    }

    async fn pin(&self, access: &Access) -> Result<Access, ocm_repository::Error> {
        let (s3, failed) = read(access)?;
        if s3.version.as_deref().is_some_and(|text| !text.is_empty()) {
            return Ok(access.clone());
        }
        let headers = self.head(&s3).await.map_err(failed)?;
        let version = headers
            .get(VERSION)
            .and_then(|version| version.to_str().ok())
            .filter(|version| !version.is_empty() && *version != UNVERSIONED);
        match version {
            Some(version) => with_field(access, "version", version.to_owned()),
            None => Ok(access.clone()),
        }
    }
}

/// Reads an access, and says how failures with it are told.
fn read(
    access: &Access,
) -> Result<(S3Bucket, impl Fn(Error) -> ocm_repository::Error + use<>), ocm_repository::Error> {
    let Ok(AccessKind::S3Bucket(s3)) = access.kind() else {
        return Err(unsupported(access));
    };
    let what = format!("object {} of bucket {}", s3.object_key, s3.bucket_name);
    let failed = move |source| ocm_repository::Error::backend("read", what.clone(), source);
    Ok((s3, failed))
}

/// Whether a service may have answered so because the bucket is in another region.
const fn may_be_elsewhere(error: &Error) -> bool {
    matches!(
        error,
        Error::Remote {
            status: Some(301 | 307 | 400),
            ..
        }
    )
}

fn is_region(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() < 64 && text.bytes().all(is_part)
}

/// An object where it is.
#[derive(Clone, Debug)]
struct Object {
    bucket: Bucket,
    key: String,
    version: Option<String>,
    consumer: ConsumerIdentity,
}

impl Object {
    /// Finds out where an object is; a region that is told counts more than that of the access.
    fn new(s3: &S3Bucket, region: Option<&str>) -> Result<Self, Error> {
        let stated = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let name = s3.bucket_name.as_str();
        let malformed = |reason: String| {
            Error::malformed(format!("object {} of {name}", s3.object_key), reason)
        };
        if name.is_empty() || s3.object_key.is_empty() {
            return Err(malformed("bucket and key must not be empty".to_owned()));
        }
        // Addresses cannot hold them: they mean the directory, and the one above it.
        if s3
            .object_key
            .split('/')
            .any(|part| matches!(part, "." | ".."))
        {
            return Err(malformed(
                "keys with `.` or `..` as a part cannot be read".to_owned(),
            ));
        }
        let region = region
            .map(str::to_owned)
            .or_else(|| stated(&s3.region))
            .unwrap_or_else(|| DEFAULT_REGION.to_owned());
        if !is_region(&region) {
            return Err(malformed(format!("`{region}` is no name of a region")));
        }
        let path = format!("{name}/{}", s3.object_key);
        let (endpoint, consumer) = match stated(&s3.endpoint) {
            Some(endpoint) => {
                let consumer = ConsumerIdentity::from_url(CONSUMER, &endpoint)
                    .map_err(|error| malformed(error.to_string()))?;
                (parse_url(&endpoint)?, consumer)
            }
            None => (
                parse_url(&format!("https://s3.{region}.amazonaws.com"))?,
                ConsumerIdentity::new(CONSUMER),
            ),
        };
        let style = if s3.use_path_style || !fits_in_host(name) {
            UrlStyle::Path
        } else {
            UrlStyle::VirtualHost
        };
        let bucket = Bucket::new(endpoint.clone(), style, name.to_owned(), region.clone())
            // Where the host is an address of the network, no bucket can stand before it.
            .or_else(|_| Bucket::new(endpoint, UrlStyle::Path, name.to_owned(), region))
            .map_err(|error| malformed(format!("it has no address: {error:?}")))?;
        Ok(Self {
            bucket,
            key: s3.object_key.clone(),
            version: stated(&s3.version),
            consumer: consumer.with(ConsumerIdentity::PATH, path),
        })
    }

    fn request(&self) -> HttpRequest {
        HttpRequest {
            // A signature holds for one host.
            redirects: Redirects::Refuse,
            consumer: Some(self.consumer.clone()),
            signer: Some(Arc::new(self.clone())),
            ..HttpRequest::get(self.bucket.object_url(&self.key))
        }
    }
}

impl Signer for Object {
    fn sign(
        &self,
        method: &Method,
        credentials: Option<&Credentials>,
        now: SystemTime,
    ) -> Result<Url, Error> {
        let unusable = |reason: &str| {
            let what = format!("credentials for bucket {}", self.bucket.name());
            Error::malformed(what, reason)
        };
        let keys = match credentials {
            None => None,
            Some(credentials) => {
                let (Some(id), Some(secret)) =
                    (credentials.access_key_id(), credentials.secret_access_key())
                else {
                    return Err(unusable("they have no access key, or no secret for it"));
                };
                let secret = secret.into_exposed();
                Some(match credentials.session_token() {
                    Some(token) => {
                        rusty_s3::Credentials::new_with_token(id, secret, token.into_exposed())
                    }
                    None => rusty_s3::Credentials::new(id, secret),
                })
            }
        };
        let now = Timestamp::try_from(now).map_err(|error| unusable(&error.to_string()))?;
        let version = self.version.as_deref();
        Ok(if *method == Method::HEAD {
            let mut action = self.bucket.head_object(keys.as_ref(), &self.key);
            if let Some(version) = version {
                action.query_mut().insert("versionId", version);
            }
            action.sign_with_time(VALIDITY, &now)
        } else {
            let mut action = self.bucket.get_object(keys.as_ref(), &self.key);
            if let Some(version) = version {
                action.query_mut().insert("versionId", version);
            }
            action.sign_with_time(VALIDITY, &now)
        })
    }
}

/// Whether a bucket can be part of the name of a host, also in certificates, which cover one label.
fn fits_in_host(bucket: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (3..=63).contains(&bucket.len())
        && bucket.bytes().all(is_part)
        && !bucket.starts_with('-')
        && !bucket.ends_with('-')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(fields: Value) -> Result<Object, Error> {
        let mut fields = fields;
        fields["type"] = "S3Bucket/v1".into();
        let Ok(AccessKind::S3Bucket(s3)) = Access::from_json(fields).unwrap().kind() else {
            panic!("not S3")
        };
        Object::new(&s3, None)
    }

    fn url(fields: Value) -> String {
        object(fields).unwrap().request().url.into()
    }

    #[test]
    fn a_bucket_stands_in_the_host_where_it_can() {
        for (fields, expected) in [
            (
                json!({"bucketName": "acme", "objectKey": "a/b c"}),
                "https://acme.s3.us-east-1.amazonaws.com/a/b%20c",
            ),
            (
                json!({"bucket": "acme.org", "key": "a", "region": "eu-west-1"}),
                "https://s3.eu-west-1.amazonaws.com/acme.org/a",
            ),
            (
                json!({"bucketName": "acme", "objectKey": "a", "endpoint": "https://s3.acme.org"}),
                "https://acme.s3.acme.org/a",
            ),
            (
                json!({"bucketName": "acme", "objectKey": "a//b?#%", "usePathStyle": true,
                    "endpoint": "https://s3.acme.org/x"}),
                "https://s3.acme.org/x/acme/a//b%3F%23%25",
            ),
            (
                json!({"bucketName": "acme", "objectKey": "a", "endpoint": "http://127.0.0.1:9000"}),
                "http://127.0.0.1:9000/acme/a",
            ),
        ] {
            assert_eq!(url(fields), expected);
        }
    }

    #[test]
    fn objects_that_have_no_address_are_refused() {
        for fields in [
            json!({"bucketName": "acme", "objectKey": ""}),
            json!({"bucketName": "", "objectKey": "a"}),
            json!({"bucketName": "acme", "objectKey": "../other/a"}),
            json!({"bucketName": "acme", "objectKey": "a", "region": "evil.org/"}),
            json!({"bucketName": "acme", "objectKey": "a", "endpoint": "s3.acme.org"}),
        ] {
            assert!(object(fields.clone()).is_err(), "{fields}");
        }
    }

    #[test]
    fn credentials_are_asked_for_by_object_and_by_the_host_that_is_named() {
        let consumer = |fields| object(fields).unwrap().consumer.to_string();
        assert_eq!(
            consumer(json!({"bucketName": "acme", "objectKey": "a/b"})),
            "S3Bucket{path=acme/a/b}"
        );
        assert_eq!(
            consumer(
                json!({"bucketName": "acme", "objectKey": "a", "endpoint": "http://h:9000/x"})
            ),
            "S3Bucket{hostname=h,path=acme/a,port=9000,scheme=http}"
        );
    }

    #[test]
    fn signatures_are_made_as_aws_makes_them() {
        let object = object(
            json!({"bucketName": "examplebucket", "objectKey": "test.txt",
            "endpoint": "https://s3.amazonaws.com"}),
        );
        let credentials = Credentials::untyped([
            ("accessKeyId", "AKIAIOSFODNN7EXAMPLE"),
            (
                "awsSecretAccessKey",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            ),
        ]);
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(380_376);
        let signed = object.unwrap().sign(&Method::GET, Some(&credentials), now);
        let signed = signed.unwrap();
        let query = |name: &str| {
            let mut pairs = signed.query_pairs();
            pairs.find(|(key, _)| key == name).unwrap().1.into_owned()
        };
        assert_eq!(
            query("X-Amz-Credential"),
            "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
        );
        assert_eq!(query("X-Amz-Date"), "20130524T000000Z");
        assert_eq!(query("X-Amz-Expires"), "900");
        // Computed by a program that gives the signature in the example of AWS, which has the same
        // fields and is valid for a day.
        assert_eq!(
            query("X-Amz-Signature"),
            "48fe7214bdb5177ffc88bb6753db570c585be48e6ea48062c7778215649b0d7e"
        );
    }
}
