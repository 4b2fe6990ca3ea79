//! Stores in buckets: where they are and who may use them, as configuration and surroundings say.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use ocm_bucket::{
    BucketOptions, BucketStore, FixedKeys, KeySource, Keys, Place, WebIdentity, WebIdentityOptions,
};
use ocm_config::{ConsumerIdentity, Credentials, Environment};
use ocm_oci::{RegistryOptions, Scheme};

use crate::error::Error;
use crate::session::Ocm;

/// The type of the consumer of credentials, as for objects that are accessed.
const CONSUMER: &str = "S3Bucket";

/// How the session of a role is called unless something says otherwise.
const SESSION: &str = "ocm";

impl Ocm {
    /// Opens a store in an S3-compatible bucket, such as `s3://acme/registry`.
    ///
    /// Endpoint and region that the address does not name are those of the variables of AWS
    /// (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_DEFAULT_REGION`). Keys come
    /// from the configuration (consumer `S3Bucket`), else from `AWS_ACCESS_KEY_ID` and
    /// `AWS_SECRET_ACCESS_KEY`, else from a token for a role (`AWS_WEB_IDENTITY_TOKEN_FILE`,
    /// `AWS_ROLE_ARN`), else from the profile of `AWS_PROFILE` in the file of shared credentials.
    /// Without any, requests are not signed.
    ///
    /// # Errors
    ///
    /// The address or the configuration is malformed, or the bucket is not there or not to be seen.
    pub async fn bucket(&self, address: &str) -> Result<BucketStore, Error> {
        let mut place: Place = address.parse()?;
        let environment = self.environment();
        let first = |names: &[&str]| names.iter().find_map(|name| environment.var(name));
        if place.region.is_none() {
            place.region = first(&["AWS_REGION", "AWS_DEFAULT_REGION"]).map(str::to_owned);
        }
        if place.endpoint.is_none()
            && let Some(text) = first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
        {
            place = place.with_endpoint(text)?;
        }
        let endpoint = place.endpoint()?;
        let host = endpoint.host_str().unwrap_or_default();
        let host = match endpoint.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let mut options = BucketOptions::new(Arc::new(Timestamp::now));
        options.http = self.registry_options(&host, Scheme::Auto).await?;
        options.keys = self.bucket_keys(&place, &options.http).await?;
        Ok(BucketStore::open(&place, options).await?)
    }

    async fn bucket_keys(
        &self,
        place: &Place,
        http: &RegistryOptions,
    ) -> Result<Arc<dyn KeySource>, Error> {
        let consumer = match &place.endpoint {
            Some(endpoint) => {
                ConsumerIdentity::from_url(CONSUMER, endpoint.as_str()).map_err(|error| {
                    ocm_oci::Error::malformed(format!("endpoint {endpoint}"), error.to_string())
                })?
            }
            None => ConsumerIdentity::new(CONSUMER),
        };
        let path = match &*place.prefix {
            "" => place.bucket.clone(),
            prefix => format!("{}/{prefix}", place.bucket),
        };
        let consumer = consumer.with(ConsumerIdentity::PATH, path);
        if let Some(found) = self.credentials().await?.resolve(&consumer).await? {
            return Ok(Arc::new(FixedKeys(Some(configured(&found, place)?))));
        }
        let environment = self.environment();
        if let Some(keys) = of_variables(environment)? {
            return Ok(Arc::new(FixedKeys(Some(keys))));
        }
        if let Some(options) = self.web_identity(place)? {
            let clock = Arc::new(Timestamp::now);
            return Ok(Arc::new(WebIdentity::new(options, clock, http)?));
        }
        Ok(Arc::new(FixedKeys(self.of_profile().await?)))
    }

    fn web_identity(&self, place: &Place) -> Result<Option<WebIdentityOptions>, Error> {
        let environment = self.environment();
        let variable = |name: &str| environment.var(name);
        let (Some(file), Some(role)) = (
            variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
            variable("AWS_ROLE_ARN"),
        ) else {
            return Ok(None);
        };
        let service = match variable("AWS_ENDPOINT_URL_STS") {
            Some(text) => text.to_owned(),
            None => format!("https://sts.{}.amazonaws.com", place.region()),
        };
        let service = service.parse().map_err(|error| {
            ocm_oci::Error::malformed(format!("address `{service}`"), format!("{error}"))
        })?;
        Ok(Some(WebIdentityOptions {
            service,
            role: role.to_owned(),
            session: variable("AWS_ROLE_SESSION_NAME")
                .unwrap_or(SESSION)
                .to_owned(),
            token_file: self.path(file),
        }))
    }

    async fn of_profile(&self) -> Result<Option<Keys>, Error> {
        let environment = self.environment();
        let path = match environment.var("AWS_SHARED_CREDENTIALS_FILE") {
            Some(path) => self.path(path),
            None => match &environment.home {
                Some(home) => home.join(".aws").join("credentials"),
                None => return Ok(None),
            },
        };
        let profile = environment.var("AWS_PROFILE");
        let text = match tokio::fs::read_to_string(&path).await {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && profile.is_none() => {
                return Ok(None);
            }
            Err(source) => return Err(unreadable(path, source)),
        };
        let keys = in_profile(&text, profile.unwrap_or("default"));
        match (keys, profile) {
            (None, Some(profile)) => {
                let what = format!("profile `{profile}` in {}", path.display());
                let reason = "it is not there, or has no access key with a secret";
                Err(ocm_oci::Error::malformed(what, reason).into())
            }
            (keys, _) => Ok(keys),
        }
    }
}

fn unreadable(path: PathBuf, source: std::io::Error) -> Error {
    Error::File {
        action: "read",
        path,
        source,
    }
}

fn configured(found: &Credentials, place: &Place) -> Result<Keys, Error> {
    let (Some(id), Some(secret)) = (found.access_key_id(), found.secret_access_key()) else {
        let what = format!("credentials for {place}");
        let reason = "they have no access key, or no secret for it";
        return Err(ocm_oci::Error::malformed(what, reason).into());
    };
    let keys = Keys::new(id, secret.into_exposed());
    Ok(match found.session_token() {
        Some(token) => keys.with_token(token.into_exposed()),
        None => keys,
    })
}

fn of_variables(environment: &Environment) -> Result<Option<Keys>, Error> {
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let keys = match names.map(|name| environment.var(name)) {
        [None, None] => return Ok(None),
        [Some(id), Some(secret)] => Keys::new(id, secret),
        [id, _] => {
            let [there, missing] = if id.is_some() {
                names
            } else {
                [names[1], names[0]]
            };
            let reason = format!("{missing}, which belongs to it, is not set");
            return Err(ocm_oci::Error::malformed(there, reason).into());
        }
    };
    Ok(Some(match environment.var("AWS_SESSION_TOKEN") {
        Some(token) => keys.with_token(token),
        None => keys,
    }))
}

/// Finds the keys of a profile in a file of shared credentials.
fn in_profile(text: &str, profile: &str) -> Option<Keys> {
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut is_wanted = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            is_wanted = name.trim() == profile;
        } else if is_wanted
            && !line.starts_with(['#', ';'])
            && let Some((name, value)) = line.split_once('=')
        {
            let value = Some(value.trim().to_owned());
            match name.trim() {
                "aws_access_key_id" => id = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    let keys = Keys::new(id?, secret?);
    Some(match token {
        Some(token) => keys.with_token(token),
        None => keys,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_its_own_keys() {
        let text = "# mine\n[default]\naws_access_key_id = A\naws_secret_access_key=x=y\n\
            [ other ]\nregion = z\n;aws_access_key_id=no\naws_access_key_id=B\n\
            aws_secret_access_key = s\naws_session_token = t\n[half]\naws_access_key_id=C\n";
        let id = |profile| in_profile(text, profile).map(|keys| format!("{keys:?}"));
        assert_eq!(id("default").unwrap(), r#"Keys { id: "A", .. }"#);
        assert_eq!(id("other").unwrap(), r#"Keys { id: "B", .. }"#);
        assert_eq!(id("half"), None);
        assert_eq!(id("missing"), None);
    }
}
