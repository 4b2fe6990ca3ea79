//! The Docker daemon (Docker Engine API, "Export an image").

use std::fmt;
use std::time::Duration;

use ocm_blob::OpenFile;
use ocm_ctf::Scratch;
use ocm_oci::Error;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, ClientBuilder, StatusCode};
use tokio::time::timeout;

use crate::body::{body, failed, no_progress};

/// Where a daemon listens if nothing else is said.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// How long the daemon may be silent. It reads whole layers before it says anything.
const PATIENCE: Duration = Duration::from_mins(2);

/// What may stand in the path of a URL as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_');

/// How a Docker daemon is reached, or Podman in its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DockerDaemon {
    host: String,
}

impl DockerDaemon {
    /// Takes the value of `DOCKER_HOST`: `unix:///path` or `tcp://host:port`. Without it, the
    /// socket is the usual one.
    pub fn new(host: Option<&str>) -> Self {
        let host = host.filter(|host| !host.is_empty());
        let host = host.map_or_else(|| format!("unix://{DEFAULT_SOCKET}"), str::to_owned);
        Self { host }
    }

    /// Exports an image into a temporary file.
    pub(super) async fn save(&self, image: &str) -> Result<OpenFile, Error> {
        let what = format!("image {image} of {self}");
        let (client, base) = self.client()?;
        let url = format!("{base}/images/{}/get", utf8_percent_encode(image, PATH));
        let answer = timeout(PATIENCE, client.get(url).send())
            .await
            .map_err(|_| failed(&what, no_progress(PATIENCE), None))?
            .map_err(|error| failed(&what, "cannot connect".to_owned(), Some(error)))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(Error::not_found(what)),
            status => {
                return Err(Error::Remote {
                    what,
                    reason: format!("the daemon answered {status}"),
                    status: Some(status.as_u16()),
                    transient: status.is_server_error(),
                    source: None,
                });
            }
        }
        Scratch::default()
            .spool(body(answer, what.clone(), PATIENCE))
            .await
            .map_err(|source| Error::blob("read", what, source))
    }

    /// Returns a client, and the start of all addresses.
    fn client(&self) -> Result<(Client, String), Error> {
        let builder = Client::builder().no_proxy();
        let (builder, base) = if let Some(socket) = self.host.strip_prefix("unix://") {
            (at_socket(builder, socket)?, "http://docker".to_owned())
        } else if let Some(address) = self.host.strip_prefix("tcp://") {
            (builder, format!("http://{}", address.trim_end_matches('/')))
        } else {
            let reason = "its address starts with neither `unix://` nor `tcp://`";
            return Err(Error::malformed(self.to_string(), reason));
        };
        let client = builder
            .build()
            .map_err(|error| failed(&self.to_string(), "cannot be used".to_owned(), Some(error)))?;
        Ok((client, base))
    }
}

#[cfg(unix)]
#[expect(
    clippy::unnecessary_wraps,
    reason = "other systems have no such sockets"
)]
fn at_socket(builder: ClientBuilder, socket: &str) -> Result<ClientBuilder, Error> {
    Ok(builder.unix_socket(std::path::PathBuf::from(socket)))
}

#[cfg(not(unix))]
fn at_socket(_: ClientBuilder, socket: &str) -> Result<ClientBuilder, Error> {
    Err(Error::Unsupported {
        store: format!("the Docker daemon at {socket}"),
        operation: "being reached from this system",
    })
}

impl fmt::Display for DockerDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Docker daemon at {}", self.host)
    }
}
