//! Credential helpers: the executables `docker-credential-…`.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::credentials::Credentials;
use crate::environment::Environment;
use crate::secret::Secret;

/// How long a helper may take.
pub const HELPER_TIMEOUT: Duration = Duration::from_secs(10);

/// How much a helper may answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// The user name by which a helper says that its secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// An executable that keeps credentials, found on the `PATH` of the environment.
#[derive(Clone, Debug)]
pub struct CredentialHelper {
    name: String,
    env: Environment,
}

impl CredentialHelper {
    /// Names a helper, as `credsStore` does: without `docker-credential-`.
    ///
    /// # Errors
    ///
    /// When the name would lead elsewhere than to an executable on the `PATH`.
    pub fn new(name: &str, env: &Environment) -> Result<Self, Error> {
        if name.is_empty() || name.contains(['/', '\\', '\0']) {
            return Err(Error::Name {
                name: name.to_owned(),
            });
        }
        Ok(Self {
            name: format!("docker-credential-{name}"),
            env: env.clone(),
        })
    }

    /// The name of the executable.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks for the credentials of a server.
    ///
    /// # Errors
    ///
    /// When the helper is not installed, takes too long, fails, or answers something else. That it
    /// knows nothing of the server is no error.
    pub async fn get(&self, server: &str) -> Result<Option<Credentials>, Error> {
        let answer = match self.run("get", server).await {
            Ok(answer) => answer,
            Err(Error::Failed { message, .. }) if is_unknown(&message) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(answer) = serde_json::from_slice::<Answer>(answer.expose()) else {
            return Err(Error::Answer {
                name: self.name.clone(),
            });
        };
        Ok(answer.into_credentials())
    }

    /// Lets the helper keep credentials.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn store(&self, server: &str, username: &str, password: &str) -> Result<(), Error> {
        let server = super::key::server(server);
        let input = json!({"ServerURL": server, "Username": username, "Secret": password});
        self.run("store", &input.to_string()).await.map(drop)
    }

    /// Lets the helper forget the credentials of a server.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn erase(&self, server: &str) -> Result<(), Error> {
        match self.run("erase", &super::key::server(server)).await {
            Err(Error::Failed { message, .. }) if is_unknown(&message) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Runs the helper with an input, and returns its output.
    async fn run(&self, action: &str, input: &str) -> Result<Secret<Vec<u8>>, Error> {
        let program = self.find()?;
        let mut command = Command::new(program);
        command
            .arg(action)
            .env_clear()
            .envs(&self.env.vars)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if self.env.cwd.is_dir() {
            command.current_dir(&self.env.cwd);
        }
        let child = command.spawn().map_err(|source| self.broken(source))?;
        let finished = tokio::time::timeout(HELPER_TIMEOUT, talk(child, input)).await;
        let Ok(finished) = finished else {
            return Err(Error::Timeout {
                name: self.name.clone(),
            });
        };
        let output = finished.map_err(|source| self.broken(source))?;
        if output.stdout.len() as u64 > MAX_ANSWER {
            return Err(Error::Answer {
                name: self.name.clone(),
            });
        }
        if output.status.success() {
            return Ok(Secret::new(output.stdout));
        }
        Err(Error::Failed {
            name: self.name.clone(),
            action: action.to_owned(),
            message: output.message(),
        })
    }

    /// Finds the executable on the `PATH`.
    fn find(&self) -> Result<PathBuf, Error> {
        let file = format!("{}{}", self.name, std::env::consts::EXE_SUFFIX);
        let path = self.env.var("PATH").unwrap_or_default();
        std::env::split_paths(path)
            .filter(|dir| !dir.as_os_str().is_empty())
            .map(|dir| self.env.cwd.join(dir).join(&file))
            .find(|candidate| is_executable(candidate))
            .ok_or_else(|| Error::NotInstalled {
                name: self.name.clone(),
            })
    }

    fn broken(&self, source: std::io::Error) -> Error {
        Error::Run {
            name: self.name.clone(),
            source,
        }
    }
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

impl Answer {
    fn into_credentials(self) -> Option<Credentials> {
        if self.secret.is_empty() {
            return None;
        }
        if self.username == TOKEN_USER {
            let token = [("refreshToken", self.secret)];
            return Some(Credentials::new("OCICredentials/v1", token));
        }
        Some(Credentials::basic(self.username, self.secret))
    }
}

struct Output {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    /// Returns what the helper complained about; helpers do that on either stream.
    fn message(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let message = [text(&self.stdout), text(&self.stderr)]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_else(|| self.status.to_string());
        message.chars().take(300).collect()
    }
}

/// Gives a helper its input and takes its output at the same time, so that neither waits.
async fn talk(mut child: Child, input: &str) -> std::io::Result<Output> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A helper that does not read its input says on exit what it thinks of it.
            let _ = stdin.write_all(input.as_bytes()).await;
            let _ = stdin.shutdown().await;
        }
    };
    let ((), stdout, stderr) = tokio::join!(write, drain(stdout), drain(stderr));
    Ok(Output {
        stdout: stdout?,
        stderr: stderr?,
        status: child.wait().await?,
    })
}

/// Reads to the end and keeps the beginning, one byte more than is allowed.
async fn drain(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        (&mut stream)
            .take(MAX_ANSWER + 1)
            .read_to_end(&mut kept)
            .await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// Tells whether a message means that the helper has nothing, in the words that Docker checks.
fn is_unknown(message: &str) -> bool {
    message
        .to_ascii_lowercase()
        .contains("credentials not found")
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// Why a credential helper gives no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Error {
    /// The name leads elsewhere.
    #[error("`{name}` is not the name of a credential helper")]
    Name { name: String },
    /// There is no such executable.
    #[error("credential helper {name} is not on the PATH")]
    NotInstalled { name: String },
    /// The system does not run it.
    #[error("cannot run credential helper {name}")]
    Run {
        name: String,
        source: std::io::Error,
    },
    /// It waits for something, such as a person.
    #[error("credential helper {name} did not answer within {} seconds", HELPER_TIMEOUT.as_secs())]
    Timeout { name: String },
    /// It says why it failed.
    #[error("credential helper {name} failed to {action}: {message}")]
    Failed {
        name: String,
        action: String,
        message: String,
    },
    /// Its answer is no JSON object with user and secret; it is not shown, as it may be a secret.
    #[error("credential helper {name} did not answer with a user and a secret in JSON")]
    Answer { name: String },
}
