//! Credentials: a typed object whose fields are secret.

mod files;

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

pub(crate) use self::files::Bases;
use crate::limited;
use crate::node;
use crate::secret::Secret;
use crate::typed;

/// What proves who we are: a password, a token, a key, with a type.
///
/// `Credentials/v1` has free properties; other types, such as `OCICredentials/v1`, have fields of
/// their own. The accessors find a value under all its names, with no regard to case, dashes and
/// underscores: `privateKeyPEM` is `private_key_pem`.
///
/// ```
/// use ocm_config::Credentials;
///
/// let credentials = Credentials::untyped([("username", "robot"), ("identity_token", "t")]);
/// assert_eq!(credentials.username().as_deref(), Some("robot"));
/// assert_eq!(credentials.identity_token().unwrap().expose(), "t");
/// assert!(!format!("{credentials:?}").contains("robot"));
/// ```
#[derive(Clone)]
pub struct Credentials {
    kind: String,
    fields: Map<String, Value>,
    bases: Option<Arc<Bases>>,
}

impl Credentials {
    /// The type of credentials with free properties.
    pub const UNTYPED: &str = "Credentials/v1";

    /// Makes credentials of a type.
    pub fn new<N: Into<String>, V: Into<String>>(
        kind: impl Into<String>,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self {
            kind: kind.into(),
            fields: fields
                .into_iter()
                .map(|(name, value)| (name.into(), Value::String(value.into())))
                .collect(),
            bases: None,
        }
    }

    /// Makes credentials with free properties.
    pub fn untyped<N: Into<String>, V: Into<String>>(
        properties: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self::new(Self::UNTYPED, properties)
    }

    /// Makes credentials for an OCI registry.
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::new(
            "OCICredentials/v1",
            [("username", username.into()), ("password", password.into())],
        )
    }

    /// Reads an object with a `type`; none if it is not one.
    pub fn from_value(value: &Value) -> Option<Self> {
        let kind = typed::type_of(value)?.to_owned();
        let fields = if is_untyped(&kind) {
            match value.get("properties") {
                None | Some(Value::Null) => Map::new(),
                Some(Value::Object(properties)) => properties.clone(),
                Some(_) => return None,
            }
        } else {
            let mut fields = value.as_object()?.clone();
            fields.shift_remove("type");
            fields
        };
        Some(Self {
            kind,
            fields,
            bases: None,
        })
    }

    /// Writes the object **with its secrets**, as a plugin gets it.
    pub fn exposed(&self) -> Value {
        let mut object = Map::from_iter([("type".to_owned(), Value::from(self.kind.clone()))]);
        if self.is_untyped() {
            object.insert("properties".to_owned(), Value::Object(self.fields.clone()));
        } else {
            object.extend(self.fields.clone());
        }
        Value::Object(object)
    }

    /// The type as it is written.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Tells whether these are free properties.
    pub fn is_untyped(&self) -> bool {
        is_untyped(&self.kind)
    }

    /// The names of the fields, which are no secret.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Returns a field under any spelling of its name.
    pub fn get(&self, name: &str) -> Option<Secret<String>> {
        self.first(&[name]).map(Secret::new)
    }

    /// The user.
    pub fn username(&self) -> Option<String> {
        self.first(&["username"])
    }

    /// The password of the user.
    pub fn password(&self) -> Option<Secret<String>> {
        self.secret(&["password"])
    }

    /// A token that a registry exchanges for access tokens; Docker calls it identity token.
    pub fn identity_token(&self) -> Option<Secret<String>> {
        self.secret(&["refreshToken", "identityToken"])
    }

    /// A token that is sent as it is.
    pub fn access_token(&self) -> Option<Secret<String>> {
        self.secret(&["accessToken", "registryToken"])
    }

    /// The token of a service that knows only one, such as GitHub.
    pub fn token(&self) -> Option<Secret<String>> {
        self.secret(&["token"])
    }

    /// The passphrase of a private key.
    pub fn passphrase(&self) -> Option<Secret<String>> {
        self.secret(&["passphrase"])
    }

    /// The certificates, as PEM, that the server's certificate comes from.
    pub fn certificate_authority(&self) -> Option<Secret<String>> {
        self.secret(&["certificateAuthority"])
    }

    /// The name of an access key of S3.
    pub fn access_key_id(&self) -> Option<String> {
        self.first(&["accessKeyId", "awsAccessKeyID"])
    }

    /// The secret of an access key of S3.
    pub fn secret_access_key(&self) -> Option<Secret<String>> {
        self.secret(&["secretAccessKey", "awsSecretAccessKey"])
    }

    /// The session token of S3.
    pub fn session_token(&self) -> Option<Secret<String>> {
        self.secret(&["sessionToken", "awsSessionToken", "token"])
    }

    /// Reads a private key in PEM.
    ///
    /// # Errors
    ///
    /// When it stands in a file that cannot be read; so for all of the following.
    pub async fn private_key_pem(&self) -> Result<Option<Secret<Vec<u8>>>, limited::Error> {
        self.content(&["privateKeyPEM"], &["privateKeyPEMFile"])
            .await
    }

    /// Reads a public key or certificate chain in PEM.
    pub async fn public_key_pem(&self) -> Result<Option<Secret<Vec<u8>>>, limited::Error> {
        self.content(&["publicKeyPEM"], &["publicKeyPEMFile"]).await
    }

    /// Reads a private key of `OpenPGP`.
    pub async fn private_key_pgp(&self) -> Result<Option<Secret<Vec<u8>>>, limited::Error> {
        self.content(&["privateKeyPGP"], &["privateKeyPGPFile"])
            .await
    }

    /// Reads a public key of `OpenPGP`.
    pub async fn public_key_pgp(&self) -> Result<Option<Secret<Vec<u8>>>, limited::Error> {
        self.content(&["publicKeyPGP"], &["publicKeyPGPFile"]).await
    }

    /// Reads the token of an `OpenID` Connect provider.
    pub async fn oidc_token(&self) -> Result<Option<Secret<Vec<u8>>>, limited::Error> {
        self.content(&["token"], &["tokenFile"]).await
    }

    /// Reads the trusted root of Sigstore, in JSON.
    pub async fn trusted_root_json(&self) -> Result<Option<Secret<Vec<u8>>>, limited::Error> {
        self.content(&["trustedRootJSON"], &["trustedRootJSONFile"])
            .await
    }

    /// Reads the certificate with which a TLS client names itself, in PEM.
    pub async fn client_certificate(&self) -> Result<Option<Secret<Vec<u8>>>, limited::Error> {
        self.content(&["certificate"], &["certFile", "certificateFile"])
            .await
    }

    /// Reads the key of the [`client_certificate`](Self::client_certificate), in PEM.
    pub async fn client_key(&self) -> Result<Option<Secret<Vec<u8>>>, limited::Error> {
        self.content(&["privateKey"], &["keyFile", "privateKeyFile"])
            .await
    }

    /// Reads the keyring that Helm charts are verified with.
    pub async fn keyring(&self) -> Result<Option<Secret<Vec<u8>>>, limited::Error> {
        self.content(&[], &["keyring"]).await
    }

    /// Sets where relative paths start.
    pub(crate) fn with_bases(mut self, bases: Arc<Bases>) -> Self {
        self.bases = Some(bases);
        self
    }

    /// Adds the fields of others; of equal ones theirs count.
    pub(crate) fn overridden_by(mut self, stronger: Self) -> Self {
        for (name, value) in stronger.fields {
            self.fields.retain(|own, _| !same_name(own, &name));
            self.fields.insert(name, value);
        }
        self.bases = stronger.bases.or(self.bases);
        self
    }

    /// Returns the first of some fields that has a value.
    fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| {
            let exact = self.fields.get(*name);
            let similar = || {
                let (_, value) = self.fields.iter().find(|(own, _)| same_name(own, name))?;
                Some(value)
            };
            exact
                .or_else(similar)
                .and_then(node::scalar)
                .filter(|text| !text.is_empty())
        })
    }

    fn secret(&self, names: &[&str]) -> Option<Secret<String>> {
        self.first(names).map(Secret::new)
    }

    /// Returns what stands in a field, or in the file that another field names.
    async fn content(
        &self,
        inline: &[&str],
        files: &[&str],
    ) -> Result<Option<Secret<Vec<u8>>>, limited::Error> {
        if let Some(text) = self.first(inline) {
            return Ok(Some(Secret::new(text.into_bytes())));
        }
        let Some(path) = self.first(files) else {
            return Ok(None);
        };
        let path = match &self.bases {
            Some(bases) => bases.locate(&path).await,
            None => path.into(),
        };
        limited::read(&path)
            .await
            .map(|bytes| Some(Secret::new(bytes)))
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.fields == other.fields
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.field_names().collect();
        f.debug_struct("Credentials")
            .field("kind", &self.kind)
            .field("fields", &names)
            .finish_non_exhaustive()
    }
}

/// Tells whether credentials of this type may stand in a configuration.
pub(crate) fn is_known_type(kind: &str) -> bool {
    const KNOWN: [&str; 9] = [
        "OCICredentials",
        "HelmHTTPCredentials",
        "RSACredentials",
        "GPGCredentials",
        "OIDCIdentityToken",
        "TrustedRoot",
        "WgetCredentials",
        "GitHubCredentials",
        "S3Credentials",
    ];
    is_untyped(kind) || KNOWN.contains(&typed::name(kind))
}

fn is_untyped(kind: &str) -> bool {
    matches!(typed::name(kind), "Credentials" | "DirectCredentials")
}

/// Compares names of fields with no regard to case, dashes and underscores.
fn same_name(one: &str, other: &str) -> bool {
    let plain = |name: &'_ str| {
        name.chars()
            .filter(|c| !matches!(c, '_' | '-'))
            .map(|c| c.to_ascii_lowercase())
            .collect::<String>()
    };
    one == other || plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn typed_and_untyped_objects_are_read_alike() {
        for value in [
            json!({"type": "Credentials/v1", "properties": {"username": "u", "password": 7}}),
            json!({"type": "DirectCredentials", "properties": {"username": "u", "password": "7"}}),
            json!({"type": "OCICredentials/v1", "username": "u", "password": "7"}),
        ] {
            let credentials = Credentials::from_value(&value).unwrap();
            assert_eq!(credentials.username().as_deref(), Some("u"));
            assert_eq!(credentials.password().unwrap().expose(), "7");
            assert_eq!(credentials.exposed()["type"], value["type"]);
        }
    }

    #[test]
    fn what_is_no_typed_object_is_refused() {
        for value in [
            json!(null),
            json!({"username": "u"}),
            json!({"type": 1}),
            json!({"type": "Credentials", "properties": []}),
        ] {
            assert!(Credentials::from_value(&value).is_none(), "{value}");
        }
    }

    #[test]
    fn an_unknown_field_survives_the_way_to_a_plugin() {
        let value = json!({"type": "X/v1", "deep": {"a": [1]}});
        assert_eq!(Credentials::from_value(&value).unwrap().exposed(), value);
    }

    #[test]
    fn the_stronger_value_replaces_another_spelling() {
        let weak = Credentials::untyped([("identityToken", "a"), ("username", "u")]);
        let strong = Credentials::untyped([("identity_token", "b")]);
        let merged = weak.overridden_by(strong);
        assert_eq!(merged.identity_token().unwrap().expose(), "b");
        assert_eq!(merged.username().as_deref(), Some("u"));
    }

    #[test]
    fn the_spelling_asked_for_is_preferred() {
        let credentials = Credentials::untyped([("PASSWORD", "a"), ("password", "b")]);
        assert_eq!(credentials.password().unwrap().expose(), "b");
    }
}
