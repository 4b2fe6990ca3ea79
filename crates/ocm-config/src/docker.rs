//! Docker's configuration file, as far as it is about credentials.

mod helper;
mod key;
mod repository;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

pub use self::helper::{CredentialHelper, HELPER_TIMEOUT};
pub(crate) use self::repository::DockerRepository;
use crate::credentials::Credentials;
use crate::environment::Environment;
use crate::identity::ConsumerIdentity;
use crate::limited;
use crate::location::Origin;

/// A file such as `~/.docker/config.json` or podman's `auth.json`.
///
/// What is not about credentials is kept as it is. Keys of `auths` may be hosts, hosts with a
/// port, URLs, or hosts with the beginning of a path (`ghcr.io/acme`).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use ocm_config::docker::DockerConfigFile;
/// use ocm_config::{ConsumerIdentity, Environment};
///
/// let mut file = DockerConfigFile::default();
/// file.set("ghcr.io", "robot", "secret");
///
/// let registry = ConsumerIdentity::oci_registry("https://ghcr.io/acme/shop")?;
/// let found = file.resolve(&registry, &Environment::default()).await?;
/// assert_eq!(found.unwrap().username().as_deref(), Some("robot"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct DockerConfigFile {
    fields: Map<String, Value>,
}

impl DockerConfigFile {
    /// Reads the text of a file; an empty one is an empty configuration.
    ///
    /// # Errors
    ///
    /// When the text is too large or no JSON object.
    pub fn parse(text: &str, origin: impl Into<Origin>) -> Result<Self, Error> {
        let origin = origin.into();
        if text.len() as u64 > limited::MAX_FILE_SIZE {
            return Err(Error::TooLarge { origin });
        }
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_str(text) {
            Ok(fields) => Ok(Self { fields }),
            Err(source) => Err(Error::Syntax { origin, source }),
        }
    }

    /// Reads a file; one that does not exist is an empty configuration.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is malformed.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        match limited::read_text_if_there(path).await? {
            Some(text) => Self::parse(&text, path),
            None => Ok(Self::default()),
        }
    }

    /// Returns the path of the file that Docker writes.
    pub fn default_path(env: &Environment) -> Option<PathBuf> {
        match env.var("DOCKER_CONFIG") {
            Some(dir) => Some(env.absolute(dir).join("config.json")),
            None => Some(env.home.as_ref()?.join(".docker/config.json")),
        }
    }

    /// Returns the files that hold credentials by convention, in the order in which they count:
    /// `REGISTRY_AUTH_FILE`, Docker's, and those of podman.
    pub fn default_paths(env: &Environment) -> Vec<PathBuf> {
        let podman = |dir: PathBuf| dir.join("containers/auth.json");
        let named = env.var("REGISTRY_AUTH_FILE").map(|path| env.absolute(path));
        let runtime = env.var("XDG_RUNTIME_DIR").map(|dir| podman(dir.into()));
        named
            .into_iter()
            .chain(Self::default_path(env))
            .chain(runtime)
            .chain(env.config_home().map(podman))
            .collect()
    }

    /// Finds the credentials for a registry and the path of a repository in it.
    ///
    /// What is closest to the path wins, and a helper for a host over the general one. A key
    /// without a port stands for all ports of its host, after those that name the port.
    ///
    /// # Errors
    ///
    /// When an entry is malformed, or a credential helper fails for another reason than that it
    /// knows nothing.
    pub async fn resolve(
        &self,
        registry: &ConsumerIdentity,
        env: &Environment,
    ) -> Result<Option<Credentials>, Error> {
        let candidates = key::candidates(registry);
        for candidate in candidates.iter().filter(|candidate| candidate.has_path()) {
            if let Some(found) = self.stored(candidate.as_str())? {
                return Ok(Some(found));
            }
        }
        let hosts: Vec<_> = candidates.iter().filter(|key| !key.has_path()).collect();
        for host in &hosts {
            if let Some(helper) = self.helper_for(host.as_str(), env)? {
                let found = helper.get(&key::server(host.as_str())).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        for host in hosts {
            if let Some(found) = self.stored(host.as_str())? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Returns the helper that keeps the credentials of a host, if they are not kept in the file.
    ///
    /// # Errors
    ///
    /// When the name of the helper is none.
    pub fn helper_for(
        &self,
        host: &str,
        env: &Environment,
    ) -> Result<Option<CredentialHelper>, Error> {
        let own = self.entry("credHelpers", host);
        let name = own
            .or_else(|| self.fields.get("credsStore"))
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty());
        name.map(|name| CredentialHelper::new(name, env).map_err(Error::from))
            .transpose()
    }

    /// Sets the credentials of a host in the file, in place of what was there for it.
    pub fn set(&mut self, host: &str, username: &str, password: &str) {
        let auth = BASE64.encode(format!("{username}:{password}"));
        let auths = self.object("auths");
        let entry = auths
            .entry(key::server(host))
            .or_insert_with(|| Value::Object(Map::new()));
        if !entry.is_object() {
            *entry = Value::Object(Map::new());
        }
        if let Value::Object(entry) = entry {
            for stale in ["username", "password", "identitytoken", "registrytoken"] {
                entry.shift_remove(stale);
            }
            entry.insert("auth".to_owned(), Value::String(auth));
        }
    }

    /// Removes the credentials of a host, under every spelling; tells whether there were any.
    pub fn remove(&mut self, host: &str) -> bool {
        let Some(Value::Object(auths)) = self.fields.get_mut("auths") else {
            return false;
        };
        let wanted = key::normalise(host);
        let before = auths.len();
        auths.retain(|name, _| key::normalise(name) != wanted);
        auths.len() < before
    }

    /// Writes the file such that readers see all of it or what was there before.
    ///
    /// Only its owner may read it. A symbolic link stays one.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written to; the file is as before then.
    pub async fn save(&self, path: &Path) -> Result<(), Error> {
        write::replace(path, &self.fields).await
    }

    /// Finds what the file itself has for a key.
    fn stored(&self, key: &str) -> Result<Option<Credentials>, Error> {
        match self.entry("auths", key) {
            Some(entry) => decode(key, entry),
            None => Ok(None),
        }
    }

    /// Finds an entry for a normalised key, preferably in the spelling that Docker writes.
    fn entry(&self, field: &str, key: &str) -> Option<&Value> {
        let entries = self.fields.get(field)?.as_object()?;
        entries.get(&key::server(key)).or_else(|| {
            let (_, value) = entries
                .iter()
                .find(|(name, _)| key::normalise(name) == key)?;
            Some(value)
        })
    }

    fn object(&mut self, name: &str) -> &mut Map<String, Value> {
        let value = self
            .fields
            .entry(name)
            .or_insert_with(|| Value::Object(Map::new()));
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        value.as_object_mut().expect("it was made one just before")
    }
}

impl fmt::Debug for DockerConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerConfigFile").finish_non_exhaustive()
    }
}

/// Base64 as Docker writes it, and as other tools do who leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads an entry of `auths`; one that is empty refers to a helper and says nothing.
fn decode(key: &str, entry: &Value) -> Result<Option<Credentials>, Error> {
    let field = |name: &str| {
        let text = entry.get(name)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let (username, password) = match field("auth") {
        Some(auth) => {
            let (username, password) = split_auth(&auth).ok_or_else(|| Error::Auth {
                key: key.to_owned(),
            })?;
            (Some(username), Some(password))
        }
        None => (field("username"), field("password")),
    };
    let fields: Vec<_> = [
        ("username", username),
        ("password", password),
        ("refreshToken", field("identitytoken")),
        ("accessToken", field("registrytoken")),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
    .collect();
    if fields.is_empty() {
        return Ok(None);
    }
    Ok(Some(Credentials::new("OCICredentials/v1", fields)))
}

fn split_auth(auth: &str) -> Option<(String, String)> {
    let bytes = BASE64.decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((
        username.to_owned(),
        password.trim_end_matches('\0').to_owned(),
    ))
}

/// Why a Docker configuration gives no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Error {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] limited::Error),
    /// The text is larger than any such file.
    #[error("{origin} is too large for a docker configuration")]
    TooLarge { origin: Origin },
    /// The text is no JSON object.
    #[error("{origin} is not a docker configuration")]
    Syntax {
        origin: Origin,
        source: serde_json::Error,
    },
    /// An entry is not what it should be.
    #[error(
        "the docker configuration has an `auth` for `{key}` that is not `user:password` in base64"
    )]
    Auth { key: String },
    /// A credential helper has a problem.
    #[error(transparent)]
    Helper(#[from] helper::Error),
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
}

pub use self::helper::Error as HelperError;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn stored(file: &Value, url: &str) -> Option<String> {
        let file = DockerConfigFile::parse(&file.to_string(), "test").unwrap();
        let identity = ConsumerIdentity::oci_registry(url).unwrap();
        key::candidates(&identity)
            .iter()
            .find_map(|key| file.stored(key.as_str()).unwrap())
            .and_then(|found| found.username())
    }

    #[test]
    fn the_longest_path_wins_and_the_port_over_the_host() {
        let file = json!({"auths": {
            "ghcr.io": {"username": "host", "password": "p"},
            "https://ghcr.io/acme/": {"username": "org", "password": "p"},
            "ghcr.io:444": {"username": "port", "password": "p"},
        }});
        assert_eq!(stored(&file, "ghcr.io/acme/x").as_deref(), Some("org"));
        assert_eq!(stored(&file, "ghcr.io/acmes").as_deref(), Some("host"));
        assert_eq!(stored(&file, "ghcr.io:444/x").as_deref(), Some("port"));
        assert_eq!(stored(&file, "ghcr.io:445/x").as_deref(), Some("host"));
        assert_eq!(stored(&file, "quay.io"), None);
    }

    #[test]
    fn every_name_of_docker_hub_is_found() {
        let file = json!({"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}}});
        for url in [
            "docker.io/library/x",
            "index.docker.io",
            "https://registry-1.docker.io",
        ] {
            assert_eq!(stored(&file, url).as_deref(), Some("u"), "{url}");
        }
    }

    #[test]
    fn an_entry_is_decoded() {
        let entry = json!({"auth": "dTpwOnEAAA==", "identitytoken": "t"});
        let found = decode("h", &entry).unwrap().unwrap();
        assert_eq!(found.password().unwrap().expose(), "p:q");
        assert_eq!(found.identity_token().unwrap().expose(), "t");
        assert_eq!(decode("h", &json!({})).unwrap(), None);
        for bad in ["%", "dQ==", "/w=="] {
            let error = decode("h", &json!({"auth": bad})).unwrap_err();
            assert!(!error.to_string().contains(bad));
        }
    }

    #[test]
    fn setting_keeps_what_it_does_not_know() {
        let text = json!({"auths": {"h": {"email": "e", "identitytoken": "t"}}, "x": [1]});
        let mut file = DockerConfigFile::parse(&text.to_string(), "test").unwrap();
        file.set("https://h/", "u", "p");
        assert_eq!(
            Value::Object(file.fields.clone()),
            json!({"auths": {"h": {"email": "e", "auth": "dTpw"}}, "x": [1]})
        );
        assert!(file.remove("http://h"));
        assert!(!file.remove("h"));
    }

    #[test]
    fn arbitrary_text_is_an_error_and_no_panic() {
        for text in ["[]", "{", "1", "{\"auths\": 1", "\u{0}"] {
            assert!(DockerConfigFile::parse(text, "test").is_err(), "{text}");
        }
        let mut odd = DockerConfigFile::parse("{\"auths\": 1, \"credHelpers\": []}", "t").unwrap();
        assert!(!odd.remove("h"));
        odd.set("h", "u", "p");
        assert!(odd.stored("h").unwrap().is_some());
        let large = " ".repeat(2 << 20);
        assert!(matches!(
            DockerConfigFile::parse(&large, "t"),
            Err(Error::TooLarge { .. })
        ));
    }
}
