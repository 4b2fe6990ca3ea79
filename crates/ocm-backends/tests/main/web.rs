//! A web server on this machine.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use ocm_backends::HttpSource;
use ocm_oci::{RegistryCredentials, RegistryOptions};

/// What the server has been asked.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// Starts a server that knows some files. Returns its address.
///
/// `/moved` redirects, `/echo` tells the request back, `/secret` wants a password.
pub(crate) async fn start(files: Vec<(&'static str, Vec<u8>)>) -> (String, Log) {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        seen.lock()
            .unwrap()
            .push(format!("{method} {}", uri.path()));
        let response = respond(&files, &method, uri.path(), &headers, &body);
        async move { response }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = axum::serve(listener, Router::new().fallback(answer));
    tokio::spawn(server.into_future());
    (address, log)
}

fn respond(
    files: &[(&'static str, Vec<u8>)],
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    let authorized = headers.get(header::AUTHORIZATION).is_some();
    match path {
        "/moved" => (StatusCode::FOUND, [(header::LOCATION, "/hello.txt")]).into_response(),
        "/broken" => StatusCode::BAD_GATEWAY.into_response(),
        "/secret" if !authorized => StatusCode::UNAUTHORIZED.into_response(),
        "/secret" => format!("{:?}", headers[header::AUTHORIZATION]).into_response(),
        "/echo" => {
            let extra = headers
                .get("x-extra")
                .map_or("", |value| value.to_str().unwrap());
            let text = str::from_utf8(body).unwrap();
            (
                [(header::CONTENT_TYPE, "text/echo")],
                format!("{method} {extra} {text}"),
            )
                .into_response()
        }
        _ => match files.iter().find(|(name, _)| *name == path) {
            None => StatusCode::NOT_FOUND.into_response(),
            Some((_, content)) => content.clone().into_response(),
        },
    }
}

/// A client without credentials.
pub(crate) fn client() -> HttpSource {
    HttpSource::new(RegistryOptions::new("unused"))
}

/// A client with a user and a password.
pub(crate) fn client_of(username: &str, password: &str) -> HttpSource {
    let credentials = RegistryCredentials::Basic {
        username: username.to_owned(),
        password: password.to_owned(),
    };
    HttpSource::new(RegistryOptions {
        credentials: Arc::new(credentials),
        ..RegistryOptions::new("unused")
    })
}
