//! Git repositories, and the server that comes with git. Needs the `git` program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderMap, Method, StatusCode, Uri};
use ocm_registry::Server;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;

/// What is said where there is no `git`.
const NO_GIT: &str = "this test needs the `git` program";

/// What proves to the server who asks: user `ann` with the password `hunter2`, or that as a token.
const PROOFS: [&str; 2] = ["Basic YW5uOmh1bnRlcjI=", "Bearer hunter2"];

/// Runs git in a directory, with an author and a time of its own, and returns what it printed.
///
/// # Panics
///
/// It fails, or is not there.
pub fn git(directory: impl AsRef<Path>, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "ann")
            .env(format!("GIT_{role}_EMAIL"), "ann@acme.org")
            .env(format!("GIT_{role}_DATE"), "2026-01-01T00:00:00Z");
    }
    let output = command
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .expect(NO_GIT);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let failure = text(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {failure}");
    text(&output.stdout)
}

/// The server of git, for the repositories of a directory. It ends with the test.
///
/// What is asked for below `/secret` wants a user or a token, `/moved` redirects, `/cut` is answered
/// by less than there is, `/page` by a page of HTML.
#[derive(Debug)]
pub struct GitServer {
    host: String,
    stop: Option<oneshot::Sender<()>>,
    _thread: JoinHandle<()>,
}

impl GitServer {
    /// Starts a server for the repositories of a directory.
    pub fn start(directory: impl Into<PathBuf>) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address) = std::sync::mpsc::channel();
        let directory = directory.into();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let server = Server::bind("127.0.0.1:0").await.expect("a free port");
                let server = server.with_grace(Duration::ZERO);
                bound.send(server.address()).expect("a test that listens");
                let router = Router::new().fallback(answer).with_state(directory);
                let stopped = async { stopped.await.unwrap_or_default() };
                server.serve(router, stopped).await;
            });
        });
        let address = address.recv().expect("a server that starts");
        Self {
            host: address.to_string(),
            stop: Some(stop),
            _thread: thread,
        }
    }

    /// Returns host and port.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

async fn answer(
    State(directory): State<PathBuf>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = uri.query().unwrap_or_default();
    let (place, path) = match uri.path()[1..].split_once('/') {
        Some((place @ ("secret" | "moved" | "cut" | "page"), rest)) => (place, format!("/{rest}")),
        _ => ("", uri.path().to_owned()),
    };
    let proof = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    match place {
        "moved" => {
            let elsewhere = format!("{path}?{query}");
            return (StatusCode::FOUND, [(LOCATION, elsewhere)]).into_response();
        }
        "page" => return "<html>hello</html>".into_response(),
        "secret" if !proof.is_some_and(|proof| PROOFS.contains(&proof)) => {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        _ => {}
    }
    let output = http_backend(&directory, &method, &path, query, &headers, &body).await;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = output.split_at(end.expect("an answer of CGI") + 4);
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(head).lines() {
        response = match line.split_once(": ") {
            Some(("Status", status)) => response.status(&status.as_bytes()[..3]),
            Some((name, value)) => response.header(name, value),
            None => response,
        };
    }
    let missing = if place == "cut" && method == Method::POST {
        40
    } else {
        0
    };
    let body = body[..body.len().saturating_sub(missing)].to_vec();
    response.body(body.into()).expect("an answer")
}

/// Runs the server of git for one request (CGI, RFC 3875), and returns its output.
async fn http_backend(
    directory: &Path,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Vec<u8> {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut server = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", directory)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect(NO_GIT);
    let mut input = server.stdin.take().expect("a pipe");
    // What the server does not want to read shows in its answer.
    let _ = input.write_all(body).await;
    drop(input);
    server
        .wait_with_output()
        .await
        .expect("an answer of git")
        .stdout
}
