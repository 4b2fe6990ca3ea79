//! The certificate authority: Fulcio, `POST /api/v2/signingCert`.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use sigstore_crypto::parse_certificate_info;
use sigstore_types::DerCertificate;
use url::Url;

use super::{AUTHORITY, Error};
use crate::http::{Network, Service};
use crate::key::PrivateKey;
use crate::token::IdentityToken;

/// Has a key certified for the holder of a token, and returns the certificate.
///
/// That the key is at hand is proved by a signature of who the holder is.
pub(super) async fn certify(
    url: &Url,
    network: &dyn Network,
    token: &IdentityToken,
    key: &PrivateKey,
) -> Result<DerCertificate, Error> {
    let service = Service::open(AUTHORITY, url, network).await?;
    let proof = key.sign(token.subject().as_bytes())?;
    let request = json!({
        "credentials": {"oidcIdentityToken": token.expose()},
        "publicKeyRequest": {
            "publicKey": {
                "algorithm": "ECDSA",
                "content": key.public_key().spki().to_pem(),
            },
            "proofOfPossession": proof.to_base64(),
        },
    });
    let request = service
        .request(Method::POST, "/api/v2/signingCert")
        .header("content-type", "application/json")
        .body(request.to_string());
    let answer: Answer = service.json(&service.call(request).await?)?;
    let chain = (answer.signed_certificate_embedded_sct).or(answer.signed_certificate_detached_sct);
    let pem = chain.and_then(|it| it.chain.certificates.into_iter().next());
    let pem = pem.ok_or_else(|| service.odd("there is no certificate"))?;
    let certificate = DerCertificate::from_pem(&pem).map_err(|error| service.odd(error))?;
    let info = parse_certificate_info(&certificate).map_err(|error| service.odd(error))?;
    if info.public_key != *key.public_key().spki() {
        return Err(service.odd("the certificate is for another key").into());
    }
    Ok(certificate)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    signed_certificate_embedded_sct: Option<Certified>,
    signed_certificate_detached_sct: Option<Certified>,
}

#[derive(Deserialize)]
struct Certified {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}
