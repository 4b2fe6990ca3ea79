//! Manifests: reading, storing, removing.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, stream};
use http::header::{self, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};
use ocm_digest::Digest;
use ocm_oci::lookup::{self, Answer, Found, Lookup, Wanted};
use ocm_oci::{Descriptor, Document, RawManifest, Reference, RepositoryName, Tag};

use crate::access::{Action, Rights};
use crate::failure::{Code, Failure, OrFail as _};
use crate::incoming::Incoming;
use crate::query::Query;
use crate::registry::{Inner, created, insert, is_known, json, not_modified, tag_content};

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAGS: HeaderName = HeaderName::from_static("oci-tag");

/// How many tags a manifest can be given in one request.
const MAX_TAGS: usize = 64;

impl Inner {
    pub(crate) async fn head_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        headers: &HeaderMap,
    ) -> Result<Response, Failure> {
        let found = self.store.resolve(repository, reference).await;
        let descriptor = found.or_fail(Code::ManifestUnknown)?;
        if is_known(headers, &descriptor.digest) {
            return Ok(not_modified(&descriptor.digest));
        }
        Ok(with_head(&descriptor, Body::empty()))
    }

    pub(crate) async fn get_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        headers: &HeaderMap,
    ) -> Result<Response, Failure> {
        if headers.contains_key(header::IF_NONE_MATCH) {
            let found = self.store.resolve(repository, reference).await;
            let digest = found.or_fail(Code::ManifestUnknown)?.digest;
            if is_known(headers, &digest) {
                return Ok(not_modified(&digest));
            }
        }
        let found = self.store.manifest(repository, reference).await;
        let manifest = found.or_fail(Code::ManifestUnknown)?;
        Ok(with_head(
            &manifest.descriptor(),
            Body::from(manifest.bytes().clone()),
        ))
    }

    /// Says what many references point to.
    pub(crate) async fn look_up(
        &self,
        headers: &HeaderMap,
        body: Body,
        rights: &Rights,
    ) -> Result<Response, Failure> {
        let incoming = Incoming::new(headers, body, self.options.body_idle)?;
        let lookup = Lookup::parse(&incoming.collect(lookup::MAX_BYTES).await?);
        let lookup = lookup.map_err(|error| Failure::bad(Code::Unsupported, error.to_string()))?;
        let found = stream::iter(lookup.manifests)
            .map(|wanted| self.look_up_one(wanted, rights))
            .buffered(lookup::MAX_REFERENCES);
        let answer = Answer {
            manifests: found.collect().await,
        };
        let answer = serde_json::to_vec(&answer).map_err(|error| {
            tracing::error!(%error, "what has been looked up cannot be written");
            Failure::internal()
        })?;
        Ok(json(answer))
    }

    async fn look_up_one(&self, wanted: Wanted, rights: &Rights) -> Found {
        let Wanted {
            repository,
            reference,
        } = wanted;
        if !rights.may(Action::Pull, &repository) {
            return Found::nothing(StatusCode::FORBIDDEN.as_u16());
        }
        let found = self.store.resolve(&repository, &reference).await;
        match found.or_fail(Code::ManifestUnknown) {
            Ok(Descriptor {
                media_type,
                digest,
                size,
                ..
            }) => Found::at(Descriptor::new(media_type, digest, size)),
            Err(failure) => Found::nothing(failure.status.as_u16()),
        }
    }

    pub(crate) async fn put_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        query: &Query,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Failure> {
        let tags = query.tags()?;
        if tags.len() > MAX_TAGS {
            let message = format!("more than {MAX_TAGS} tags");
            return Err(Failure::new(
                StatusCode::URI_TOO_LONG,
                Code::ManifestInvalid,
                message,
            ));
        }
        let named = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => query.digest("digest")?,
        };
        let mut incoming = Incoming::new(headers, body, self.options.body_idle)?;
        incoming.charge(self.quota.clone());
        let bytes = incoming.collect(self.options.max_manifest).await?;
        let mut manifest = RawManifest::new(bytes, content_type(headers));
        if let Some(digest) = named {
            manifest = manifest
                .with_digest(digest)
                .or_fail(Code::ManifestUnknown)?;
        }
        let document = check(&manifest)?;

        let tag = match reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        let tagged: Vec<_> = tag.into_iter().chain(&tags).collect();
        let mut pushes: Vec<_> = tagged.iter().copied().map(Some).collect();
        if pushes.is_empty() {
            pushes.push(None);
        }
        for tag in pushes {
            let pushed = self.store.push_manifest(repository, &manifest, tag).await;
            pushed.or_fail(Code::ManifestUnknown)?;
        }
        let digest = manifest.digest();
        self.commit(Some((repository, &digest))).await?;

        let location = format!("/v2/{repository}/manifests/{digest}");
        let mut response = created(&location, &digest);
        let answer = response.headers_mut();
        if let Some(subject) = document.subject() {
            insert(answer, SUBJECT, &subject.digest.to_string());
        }
        if !tags.is_empty() {
            let tags: Vec<_> = tags.iter().map(Tag::as_str).collect();
            insert(answer, TAGS, &tags.join(", "));
        }
        Ok(response)
    }

    pub(crate) async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Response, Failure> {
        let deleted = self.store.delete_manifest(repository, reference).await;
        deleted.or_fail(Code::ManifestUnknown)?;
        self.commit(None).await?;
        Ok(StatusCode::ACCEPTED.into_response())
    }

    /// Makes durable what a request has changed, before its client hears of it: also the manifest
    /// that it has pushed, if it has.
    pub(crate) async fn commit(
        &self,
        own: Option<(&RepositoryName, &Digest)>,
    ) -> Result<(), Failure> {
        let committed = self.store.commit_own(own).await;
        committed.or_fail(Code::Unknown)
    }
}

fn with_head(descriptor: &Descriptor, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    insert(headers, header::CONTENT_TYPE, &descriptor.media_type);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(descriptor.size));
    tag_content(headers, &descriptor.digest);
    response
}

/// Returns the media type that a request gives, without parameters.
fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    text.split(';').next().unwrap_or("").trim()
}

/// Reads a manifest and checks what a store takes for granted.
fn check(manifest: &RawManifest) -> Result<Document, Failure> {
    let invalid = |message: String| Failure::bad(Code::ManifestInvalid, message);
    let document = manifest.parse().or_fail(Code::ManifestUnknown)?;
    let (version, media_type) = match &document {
        Document::Image(image) => (image.schema_version, &image.media_type),
        Document::Index(index) => (index.schema_version, &index.media_type),
    };
    if version != 2 {
        return Err(invalid(format!("schema version {version} is not known")));
    }
    match media_type {
        Some(inner) if inner != manifest.media_type() => Err(invalid(format!(
            "the manifest calls itself `{inner}` and the request `{}`",
            manifest.media_type()
        ))),
        _ => Ok(document),
    }
}
