//! Access and input `wget`: what an HTTP request returns.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocm_constructor::input::{InputError, InputResult};
use ocm_constructor::{InputContext, InputMethod, InputSpec};
use ocm_model::Access;
use ocm_model::access::{AccessKind, Wget};
use ocm_oci::Redirects;
use ocm_repository::{AccessMethod, Content, Error};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::access::unsupported;
use crate::http::{HttpRequest, HttpSource, parse_url, without_query};

/// The type of the consumer of credentials.
const CONSUMER: &str = "Wget";

/// Reaches what web servers have: access type `Wget`.
///
/// The media type is the one in the access, else that of the answer. Anything but a status from
/// 200 to 299 is an error.
#[derive(Clone, Debug)]
pub struct WgetAccess {
    http: HttpSource,
}

impl WgetAccess {
    /// Makes requests by the given client.
    pub const fn new(http: HttpSource) -> Self {
        Self { http }
    }
}

#[async_trait]
impl AccessMethod for WgetAccess {
    fn handles(&self, access: &Access) -> bool {
        matches!(access.kind(), Ok(AccessKind::Wget(_)))
    }

    async fn content(&self, access: &Access) -> Result<Content, Error> {
        let Ok(AccessKind::Wget(wget)) = access.kind() else {
            return Err(unsupported(access));
        };
        download(&self.http, wget).await
    }
}

/// The input `wget`, with `url`, `mediaType`, `header`, `verb`, `body` and `noRedirect`.
#[derive(Clone, Debug)]
pub struct WgetInput {
    http: HttpSource,
}

impl WgetInput {
    /// Makes requests by the given client.
    pub const fn new(http: HttpSource) -> Self {
        Self { http }
    }
}

const FIELDS: [&str; 7] = [
    "url",
    "URL",
    "mediaType",
    "header",
    "verb",
    "body",
    "noRedirect",
];

#[async_trait]
impl InputMethod for WgetInput {
    fn types(&self) -> &[&'static str] {
        &["wget", "Wget"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        _: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&FIELDS)?;
        // Access and input have the same types and fields.
        let kind = Access::new(input.spec.clone()).kind();
        let AccessKind::Wget(wget) = kind.map_err(|error| input.field_error(&error))? else {
            let reason = "is not the type of a request";
            return Err(InputError::unusable(input.place_of("type"), reason));
        };
        let content = download(&self.http, wget).await;
        let content = content.map_err(|error| {
            InputError::backend(input.place_of("url"), "read", "the address", error)
        })?;
        Ok(content.into())
    }
}

async fn download(http: &HttpSource, wget: Wget) -> Result<Content, Error> {
    let url = without_query(&wget.url).to_owned();
    let media_type = wget.media_type.clone().filter(|text| !text.is_empty());
    let request = request(wget).map_err(|source| Error::backend("address", url, source))?;
    let what = request.url.host_str().unwrap_or_default().to_owned();
    let blob = http.blob(request, media_type).await;
    let blob = blob.map_err(|source| Error::backend("read from", what, source))?;
    Ok(Content::Blob(Arc::new(blob)))
}

/// Makes the request that a specification describes.
fn request(wget: Wget) -> Result<HttpRequest, ocm_oci::Error> {
    let malformed =
        |what: &str| ocm_oci::Error::malformed(what.to_owned(), "HTTP does not allow it");
    let verb = wget.verb.filter(|verb| !verb.is_empty());
    let verb = verb.as_deref().unwrap_or("GET");
    let mut headers = HeaderMap::new();
    for (name, values) in &wget.header {
        let header =
            HeaderName::try_from(name).map_err(|_| malformed(&format!("header `{name}`")))?;
        for value in values {
            let value = HeaderValue::try_from(value)
                .map_err(|_| malformed(&format!("value of header `{name}`")))?;
            headers.append(&header, value);
        }
    }
    let body = match &wget.body {
        None => Vec::new(),
        Some(body) => STANDARD
            .decode(body)
            .map_err(|error| ocm_oci::Error::malformed("body", error.to_string()))?,
    };
    Ok(HttpRequest {
        method: Method::from_bytes(verb.as_bytes())
            .map_err(|_| malformed(&format!("method `{verb}`")))?,
        headers,
        body: body.into(),
        redirects: if wget.no_redirect {
            Redirects::Refuse
        } else {
            Redirects::Follow
        },
        ..HttpRequest::get(parse_url(&wget.url)?).by(CONSUMER)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: serde_json::Value) -> Result<HttpRequest, ocm_oci::Error> {
        let mut fields = fields;
        fields["type"] = "wget".into();
        let Ok(AccessKind::Wget(wget)) = Access::from_json(fields).unwrap().kind() else {
            panic!("not a request")
        };
        request(wget)
    }

    #[test]
    fn every_field_enters_the_request() {
        let request = read(json!({
            "url": "https://acme.org/x", "verb": "POST", "body": "aGVsbG8=", "noRedirect": true,
            "header": {"Accept": ["a/b", "c/d"]},
        }))
        .unwrap();
        assert_eq!(
            (request.method, &request.body[..]),
            (Method::POST, &b"hello"[..])
        );
        assert_eq!(request.redirects, Redirects::Refuse);
        assert_eq!(request.headers.get_all("accept").iter().count(), 2);
        let plain = read(json!({"URL": "http://acme.org"})).unwrap();
        assert_eq!(
            (plain.method, plain.redirects),
            (Method::GET, Redirects::Follow)
        );
    }

    #[test]
    fn what_http_does_not_allow_is_refused() {
        for fields in [
            json!({"url": "acme.org"}),
            json!({"url": "http://acme.org", "verb": "A B"}),
            json!({"url": "http://acme.org", "body": "?"}),
            json!({"url": "http://acme.org", "header": {"a b": ["x"]}}),
            json!({"url": "http://acme.org", "header": {"a": ["x\n"]}}),
        ] {
            assert!(read(fields.clone()).is_err(), "{fields}");
        }
    }
}
