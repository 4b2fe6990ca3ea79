//! Web servers that want certificates, and have some that nobody knows.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use ocm_backends::HttpSource;
use ocm_backends::wget::WgetAccess;
use ocm_blob::read_to_end;
use ocm_model::Access;
use ocm_repository::{AccessMethod as _, Content};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};
use serde_json::json;

use crate::input::chain;
use crate::web;

/// A server with a certificate of an own authority, and a client that the authority knows.
pub(crate) struct Guarded {
    /// Where it is, `https://…`.
    pub(crate) address: String,
    /// The certificate of the authority, in PEM.
    pub(crate) authority: String,
    certificate: String,
    key: String,
}

/// Starts a server that answers with files, by their paths; if it is strict, only to those who
/// have a certificate. It ends with the test.
pub(crate) fn start(strict: bool, files: Vec<(&'static str, Vec<u8>)>) -> Guarded {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let issue = || {
        let key = KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap();
        (certificate.signed_by(&key, &authority).unwrap(), key)
    };
    let (certificate, key) = issue();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let builder = ServerConfig::builder();
    let builder = if strict {
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
        builder.with_client_cert_verifier(verifier.unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![certificate.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let files: BTreeMap<_, _> = files.into_iter().collect();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = Stream::new(&mut connection, &mut socket);
            let mut request = [0; 4096];
            // Whoever is refused hangs up.
            let Ok(length) = stream.read(&mut request) else {
                continue;
            };
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
            let (status, body) = match files.get(path.as_str()) {
                Some(body) => ("200 OK", body.as_slice()),
                None => ("404 Not Found", &b""[..]),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(&[head.as_bytes(), body].concat());
            connection.send_close_notify();
            let _ = connection.write_tls(&mut socket);
        }
    });
    let (certificate, key) = issue();
    Guarded {
        address,
        authority: authority.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

/// A client with credentials for the server.
fn client(server: &Guarded, fields: &[(&str, &str)]) -> HttpSource {
    let port = server.address.rsplit(':').next().unwrap();
    let mut credentials = json!({"type": "WgetCredentials/v1"});
    for (name, value) in fields {
        credentials[*name] = (*value).into();
    }
    let consumer = json!({
        "identity": {"type": "Wget", "hostname": "127.0.0.1", "port": port},
        "credentials": [credentials],
    });
    web::client_with(&json!([consumer]).to_string())
}

async fn read(server: &Guarded, fields: &[(&str, &str)]) -> Result<String, String> {
    let access = json!({"type": "Wget", "url": format!("{}/data", server.address)});
    let access = Access::from_json(access).unwrap();
    let method = WgetAccess::new(client(server, fields));
    match method.content(&access).await {
        Ok(Content::Blob(blob)) => {
            let bytes = read_to_end(blob.as_ref(), 100).await;
            let bytes = bytes.map_err(|error| chain(&error))?;
            Ok(String::from_utf8(bytes.to_vec()).unwrap())
        }
        Ok(Content::Artifact(_)) => panic!("not a blob"),
        Err(error) => Err(chain(&error)),
    }
}

#[tokio::test]
async fn an_authority_that_nobody_knows_is_trusted_for_its_server() {
    let server = start(false, vec![("/data", b"hello".to_vec())]);
    let error = read(&server, &[]).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    let trusting = [("certificateAuthority", server.authority.as_str())];
    assert_eq!(read(&server, &trusting).await.as_deref(), Ok("hello"));
}

#[tokio::test]
async fn a_server_may_want_a_certificate() {
    let server = start(true, vec![("/data", b"hello".to_vec())]);
    let authority = ("certificateAuthority", server.authority.as_str());
    let certificate = ("certificate", server.certificate.as_str());
    let key = ("privateKey", server.key.as_str());
    assert!(read(&server, &[authority]).await.is_err());
    assert_eq!(
        read(&server, &[authority, certificate, key])
            .await
            .as_deref(),
        Ok("hello")
    );
    let error = read(&server, &[authority, certificate]).await.unwrap_err();
    assert!(
        error.contains("a certificate needs its private key"),
        "{error}"
    );
    let malformed = ("privateKey", "hunter2");
    let error = read(&server, &[authority, certificate, malformed]).await;
    let error = error.unwrap_err();
    assert!(
        error.contains("certificate or key of the client"),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");
}
