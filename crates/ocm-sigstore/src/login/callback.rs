//! Where the browser comes back to: one address on the loopback interface, for one login.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::token::TokenError;

/// The most bytes of a request that are read, which is more than any browser sends for its first
/// line.
const MAX_REQUEST: u64 = 16 << 10;
const PATH: &str = "/auth/callback";

/// Waits for the browser.
pub(super) struct Callback {
    listener: TcpListener,
    port: u16,
    state: String,
}

impl Callback {
    pub(super) async fn open(state: String) -> Result<Self, TokenError> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(TokenError::Listen)?;
        let port = listener.local_addr().map_err(TokenError::Listen)?.port();
        Ok(Self {
            listener,
            port,
            state,
        })
    }

    /// Returns where the browser is to be sent.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Returns the code that the browser brings. What else comes by is sent away.
    pub(super) async fn code(&self) -> Result<String, TokenError> {
        loop {
            let (mut stream, _) = self.listener.accept().await.map_err(TokenError::Listen)?;
            // A connection that breaks is not the browser's last.
            let Ok(Some(target)) = target(&mut stream).await else {
                continue;
            };
            let outcome = self.read(&target);
            let (status, text) = match &outcome {
                None => ("404 Not Found", "There is nothing here."),
                Some(Ok(_)) => ("200 OK", "You are logged in. This window can be closed."),
                Some(Err(_)) => ("400 Bad Request", "The login has failed."),
            };
            let _ = answer(&mut stream, status, text).await;
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }

    /// Reads what the browser asks for; none if that is not about the login.
    fn read(&self, target: &str) -> Option<Result<String, TokenError>> {
        let url = Url::parse("http://127.0.0.1").ok()?.join(target).ok()?;
        let field = |name: &str| {
            let mut fields = url.query_pairs();
            fields
                .find(|(it, _)| it == name)
                .map(|(_, value)| value.into_owned())
        };
        // Any page can send the browser here. Only the issuer knows the state.
        if url.path() != PATH || field("state").as_deref() != Some(&self.state) {
            return None;
        }
        match (field("code"), field("error")) {
            (Some(code), None) => Some(Ok(code)),
            (_, error) => {
                let error = error.unwrap_or_else(|| "no code was given".to_owned());
                let text = error
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect();
                Some(Err(TokenError::Login(text)))
            }
        }
    }
}

/// Reads a request, and returns its target if it is a `GET`.
async fn target(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut request = Vec::new();
    let mut limited = stream.take(MAX_REQUEST);
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if limited.read_buf(&mut request).await? == 0 {
            return Ok(None);
        }
    }
    let text = String::from_utf8_lossy(&request);
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    Ok((words.next() == Some("GET")).then(|| words.next().unwrap_or_default().to_owned()))
}

async fn answer(stream: &mut TcpStream, status: &str, text: &str) -> std::io::Result<()> {
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
