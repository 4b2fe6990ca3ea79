//! Tokens: who has proved to be somebody, and what for.
//!
//! A token is a JSON Web Token (RFC 7519) under HMAC-SHA256, with the claims of the distribution
//! token specification. Only registries with the same key make and read them; to everybody else
//! it is opaque.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::rules::Subject;

/// The longest token that is looked at, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// The shortest key, in bytes.
const MIN_KEY: usize = 32;

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Signs tokens and checks them.
pub(crate) struct Tokens {
    key: hmac::Key,
    life: Duration,
    service: String,
}

impl Tokens {
    /// `service` is whom the tokens are for.
    pub(crate) fn new(key: &[u8], life: Duration, service: &str) -> Result<Self, Error> {
        if key.len() < MIN_KEY {
            return Err(Error::Short);
        }
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            life,
            service: service.to_owned(),
        })
    }

    /// How long tokens are good for.
    pub(crate) const fn life(&self) -> Duration {
        self.life
    }

    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// Makes a token. `now` is in seconds since 1970.
    pub(crate) fn issue(&self, subject: &Subject, access: Access, now: u64) -> String {
        let claims = Claims {
            iss: self.service.clone(),
            sub: match subject {
                Subject::Anonymous => String::new(),
                Subject::User(name) => name.clone(),
            },
            aud: self.service.clone(),
            iat: now,
            nbf: now,
            exp: now.saturating_add(self.life.as_secs()),
            access: access.into_list(),
        };
        let claims = serde_json::to_vec(&claims).unwrap_or_default();
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(HEADER),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let tag = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Reads a token: whose it is and what it is good for. `None` if it is not ours, or no longer
    /// good.
    pub(crate) fn read(&self, token: &str, now: u64) -> Option<(Subject, Access)> {
        if token.len() > MAX_LENGTH {
            return None;
        }
        let (signed, tag) = token.rsplit_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &tag).ok()?;
        // Whatever is signed has the one header that is written here.
        let (_, claims) = signed.split_once('.')?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        if claims.aud != self.service || now < claims.nbf || now >= claims.exp {
            return None;
        }
        let subject = if claims.sub.is_empty() {
            Subject::Anonymous
        } else {
            Subject::User(claims.sub)
        };
        Some((subject, Access::from_list(claims.access)))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("service", &self.service)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize, Serialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    access: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    actions: BTreeSet<String>,
}

/// What a token is good for: actions on resources, by `(kind, name)`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Access(BTreeMap<(String, String), BTreeSet<String>>);

/// The number of resources that a client may ask for at a time.
const MAX_RESOURCES: usize = 64;

impl Access {
    /// Reads scopes such as `repository:acme/shop:pull,push registry:catalog:*`. What is none is
    /// left out, as the specification has it.
    pub(crate) fn parse<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut access = Self::default();
        for scope in scopes.into_iter().flat_map(str::split_ascii_whitespace) {
            let parts = scope
                .split_once(':')
                .and_then(|(kind, rest)| Some((kind, rest.rsplit_once(':')?)));
            if let Some((kind, (name, actions))) = parts {
                // A kind may have a class, as in `repository(plugin)`.
                let kind = kind.split('(').next().unwrap_or(kind);
                access.add(kind, name, actions.split(','));
            }
            if access.0.len() >= MAX_RESOURCES {
                break;
            }
        }
        access
    }

    fn add<'a>(&mut self, kind: &str, name: &str, actions: impl IntoIterator<Item = &'a str>) {
        let key = (kind.to_owned(), name.to_owned());
        let actions = actions.into_iter().map(str::to_owned);
        self.0.entry(key).or_default().extend(actions);
    }

    /// Returns what of this is granted.
    pub(crate) fn granted(self, grant: impl Fn(&str, &str, &str) -> bool) -> Self {
        let granted = self.0.into_iter().filter_map(|(key, mut actions)| {
            actions.retain(|action| grant(&key.0, &key.1, action));
            (!actions.is_empty()).then_some((key, actions))
        });
        Self(granted.collect())
    }

    pub(crate) fn covers(&self, kind: &str, name: &str, action: &str) -> bool {
        let actions = self.0.get(&(kind.to_owned(), name.to_owned()));
        actions.is_some_and(|actions| actions.contains(action))
    }

    fn into_list(self) -> Vec<Entry> {
        let entry = |((kind, name), actions)| Entry {
            kind,
            name,
            actions,
        };
        self.0.into_iter().map(entry).collect()
    }

    fn from_list(list: Vec<Entry>) -> Self {
        let pair = |entry: Entry| ((entry.kind, entry.name), entry.actions);
        Self(list.into_iter().map(pair).collect())
    }
}

/// Why a key cannot sign tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    #[error("a key has at least {MIN_KEY} bytes")]
    Short,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_mins(1);

    fn tokens(key: u8) -> Tokens {
        Tokens::new(&[key; 32], LIFE, "shop").unwrap()
    }

    fn access() -> Access {
        Access::parse(["repository:a/b:pull,push registry:catalog:*"])
    }

    #[test]
    fn a_token_is_good_for_its_time_alone() {
        let alice = Subject::User("alice".to_owned());
        let token = tokens(1).issue(&alice, access(), 1000);
        assert_eq!(tokens(1).read(&token, 1059), Some((alice, access())));
        assert_eq!(tokens(1).read(&token, 999), None);
        assert_eq!(tokens(1).read(&token, 1060), None);
        let token = tokens(1).issue(&Subject::Anonymous, Access::default(), 1000);
        let expected = (Subject::Anonymous, Access::default());
        assert_eq!(tokens(1).read(&token, 1000), Some(expected));
    }

    #[test]
    fn a_token_of_others_is_none() {
        let token = tokens(1).issue(&Subject::Anonymous, access(), 1000);
        assert_eq!(tokens(2).read(&token, 1000), None);
        let elsewhere = Tokens::new(&[1; 32], LIFE, "other").unwrap();
        assert_eq!(elsewhere.read(&token, 1000), None);
        assert!(Tokens::new(&[1; 31], LIFE, "other").is_err());
    }

    #[test]
    fn a_token_that_was_changed_is_none() {
        let token = tokens(1).issue(&Subject::Anonymous, access(), 1000);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(tokens(1).read(&changed, 1000), None, "{at}");
        }
        let unsigned = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
            token.split('.').nth(1).unwrap()
        );
        for text in ["", ".", "..", &unsigned, &"a".repeat(MAX_LENGTH + 1)] {
            assert_eq!(tokens(1).read(text, 1000), None);
        }
    }

    #[test]
    fn scopes_that_are_none_are_left_out() {
        let access = Access::parse([
            "repository:host:5000/a:pull",
            "nonsense : :: repository(plugin):b:push",
        ]);
        assert!(access.covers("repository", "host:5000/a", "pull"));
        assert!(access.covers("repository", "b", "push"));
        assert!(!access.covers("repository", "b", "pull"));
        let many: Vec<_> = (0..1000).map(|n| format!("repository:r{n}:pull")).collect();
        let many = many.join(" ");
        assert_eq!(Access::parse([many.as_str()]).0.len(), MAX_RESOURCES);
        let none = Access::parse(["repository:a:pull"]).granted(|_, _, _| false);
        assert_eq!(none, Access::default());
    }
}
