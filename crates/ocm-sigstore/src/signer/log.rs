//! Transparency logs: Rekor, `POST /api/v1/log/entries` and `POST /api/v2/log/entries`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sigstore_rekor::{LogEntry, RekorEntryBody};
use sigstore_types::{KindVersion, TransparencyLogEntry};
use url::Url;

use super::{Error, Holder, Signed};
use crate::http::{Network, Service};
use crate::services::{LogVersion, TransparencyLog};

/// Adds a signature to a log, and returns the entry with the log's testimony.
pub(super) async fn add(
    log: &TransparencyLog,
    network: &dyn Network,
    signed: &Signed<'_>,
) -> Result<TransparencyLogEntry, Error> {
    let service = Service::open("Rekor", &log.url, network).await?;
    let entry = match log.version {
        LogVersion::V1 => add_v1(&service, &log.url, signed).await?,
        LogVersion::V2 => add_v2(&service, signed).await?,
    };
    if entry.inclusion_proof.is_none() {
        return Err(service
            .odd("there is no proof that the entry is in the log")
            .into());
    }
    if !is_of(&entry, signed) {
        return Err(service.odd("the entry is of another signature").into());
    }
    Ok(entry)
}

async fn add_v1(
    service: &Service,
    url: &Url,
    signed: &Signed<'_>,
) -> Result<TransparencyLogEntry, Error> {
    let request = service
        .request(Method::POST, "/api/v1/log/entries")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(signed.request_v1().to_string());
    let answer = service.send(request).await?;
    let body = match (answer.status, &answer.location) {
        (status, _) if status.is_success() => answer.body,
        // The same signature by the same key is there already, as deterministic ones can be.
        (StatusCode::CONFLICT, Some(location)) => {
            let there = url.join(location).ok();
            let there = there.filter(|it| it.origin() == url.origin());
            let there = there.ok_or_else(|| service.refusal(&answer))?;
            let path = there.path().to_owned();
            let base = url.path().trim_end_matches('/').to_owned();
            let path = path.strip_prefix(&base).unwrap_or(&path);
            let request = service.request(Method::GET, path);
            let request = request.header("accept", "application/json");
            service.call(request).await?
        }
        _ => return Err(service.refusal(&answer).into()),
    };
    let entries: BTreeMap<String, LogEntry> = service.json(&body)?;
    let entry = entries.into_values().next();
    let entry = entry.ok_or_else(|| service.odd("there is no entry"))?;
    let entry = entry.to_bundle_entry(KindVersion::HashedRekordV001);
    Ok(entry.map_err(|error| service.odd(error))?)
}

async fn add_v2(service: &Service, signed: &Signed<'_>) -> Result<TransparencyLogEntry, Error> {
    let request = service
        .request(Method::POST, "/api/v2/log/entries")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(signed.request_v2().to_string());
    let entry: TransparencyLogEntry = service.json(&service.call(request).await?)?;
    if entry.kind_version != KindVersion::HashedRekordV002 {
        return Err(service.odd("the entry is of another kind").into());
    }
    Ok(entry)
}

impl Signed<'_> {
    fn request_v1(&self) -> Value {
        let pem = match &self.holder {
            Holder::Certificate(certificate) => certificate.to_pem(),
            Holder::Key(key) => key.public_key().spki().to_pem(),
        };
        json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": self.hash.to_hex()}},
                "signature": {
                    "content": self.signature.to_base64(),
                    "publicKey": {"content": STANDARD.encode(pem)},
                },
            },
        })
    }

    fn request_v2(&self) -> Value {
        let mut verifier = json!({"keyDetails": "PKIX_ECDSA_P256_SHA_256"});
        match &self.holder {
            Holder::Certificate(certificate) => {
                verifier["x509Certificate"] = json!({"rawBytes": certificate.to_base64()});
            }
            Holder::Key(key) => {
                let key = key.public_key().spki().to_base64();
                verifier["publicKey"] = json!({"rawBytes": key});
            }
        }
        json!({
            "hashedRekordRequestV002": {
                "digest": self.hash.to_base64(),
                "signature": {"content": self.signature.to_base64(), "verifier": verifier},
            },
        })
    }
}

/// Returns whether an entry is of this signature, by its content. What the log testifies about it
/// is for who verifies.
fn is_of(entry: &TransparencyLogEntry, signed: &Signed<'_>) -> bool {
    let body = RekorEntryBody::parse(&entry.canonicalized_body, entry.kind_version);
    match body {
        Ok(RekorEntryBody::HashedRekordV001(body)) => {
            body.spec.data.hash.value.as_str() == signed.hash.to_hex()
                && body.spec.signature.content == signed.signature
        }
        Ok(RekorEntryBody::HashedRekordV002(body)) => {
            let logged = body.spec.hashed_rekord_v002;
            logged.data.digest.as_bytes() == signed.hash.as_bytes()
                && logged.signature.content == signed.signature
        }
        _ => false,
    }
}
