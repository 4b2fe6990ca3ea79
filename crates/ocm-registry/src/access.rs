//! Who asks, and what they may do.
//!
//! Users prove who they are by a password (RFC 7617), with each request or for a token that
//! `/token` gives out (distribution token specification). Rules say what they may do.

mod htpasswd;
mod rules;
mod token;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::Authority;
use http::{StatusCode, Uri};
use ocm_oci::RepositoryName;
use url::Url;

use self::htpasswd::{Outcome, Users};
use self::rules::{Rules, Subject};
use self::token::{Access, Tokens};
use crate::failure::{Code, Failure};
use crate::route::Route;
use crate::watched::{FileError, Watched, read_all};

pub(crate) use self::rules::Action;

/// Returns the seconds since 1970.
pub type Clock = fn() -> u64;

/// How clients are asked to prove who they are. A password is taken in either case.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scheme {
    /// By a password with each request.
    #[default]
    Basic,
    /// By a token, which a password buys.
    Token,
}

/// How an [`Authentication`] is set up.
#[derive(Clone, Debug)]
pub struct AuthenticationOptions {
    /// The users, in a file that `htpasswd -B` writes. It is read again when it changes.
    pub htpasswd: PathBuf,
    /// What users may do; see [`Authentication`]. It is read again when it changes. Default:
    /// everything.
    pub rules: Option<PathBuf>,
    /// Everybody may pull everything. Default: no.
    pub anonymous_pull: bool,
    /// How clients are asked.
    pub scheme: Scheme,
    /// A file of at least 32 bytes that tokens are signed with, for registries that take each
    /// other's tokens. Default: bytes that nobody else has, and that end with the process.
    pub token_key: Option<PathBuf>,
    /// How long tokens are good for. Default: five minutes.
    pub token_life: Duration,
    /// The URL that clients know this registry by, if it is not that of their requests: behind
    /// something that ends TLS, it is not.
    pub public_url: Option<Url>,
    /// What time it is.
    pub clock: Clock,
}

impl AuthenticationOptions {
    /// Takes the users of a file, and the defaults.
    pub fn new(htpasswd: PathBuf, clock: Clock) -> Self {
        Self {
            htpasswd,
            rules: None,
            anonymous_pull: false,
            scheme: Scheme::default(),
            token_key: None,
            token_life: Duration::from_mins(5),
            public_url: None,
            clock,
        }
    }
}

/// Decides who may do what with a [`Registry`](crate::Registry).
///
/// A file of rules allows users, groups of them, or everybody to pull from, push to or delete from
/// the repositories that patterns name:
///
/// ```yaml
/// groups:
///   release: [alice, ci]
/// rules:
///   - groups: [release]
///     repositories: ["acme/**"]
///     allow: [pull, push, delete]
///   - users: ["*"]
///     repositories: ["acme/*"]
///     allow: [pull]
///   - anonymous: true
///     repositories: ["public/**"]
///     allow: [pull]
/// ```
#[derive(Debug)]
pub struct Authentication {
    users: Watched<Users>,
    rules: Option<Watched<Rules>>,
    /// The rules where there is no file.
    fixed: Arc<Rules>,
    scheme: Scheme,
    tokens: Tokens,
    public_url: Option<Url>,
    clock: Clock,
}

impl Authentication {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or is not what it should be.
    pub async fn open(options: AuthenticationOptions) -> Result<Self, FileError> {
        let users = Watched::open(vec![options.htpasswd], |contents| {
            Ok(Users::parse(&contents[0])?)
        });
        let anonymous = options.anonymous_pull;
        let extend = move |rules: Rules| {
            if anonymous {
                rules.and_anonymous_pull()
            } else {
                rules
            }
        };
        let rules = match options.rules {
            Some(path) => {
                let read = move |contents: &[Vec<u8>]| Ok(extend(Rules::parse(&contents[0])?));
                Some(Watched::open(vec![path], read).await?)
            }
            None => None,
        };
        let service = options.public_url.as_ref().and_then(Url::host_str);
        let service = service.unwrap_or("ocm-registry");
        let paths = options.token_key.into_iter().collect::<Vec<_>>();
        let refused = |source| FileError::new("use", &paths, source);
        let key = if let Some(key) = read_all(&paths).await?.pop() {
            key
        } else {
            let mut key = vec![0; 32];
            getrandom::fill(&mut key).map_err(|error| refused(error.into()))?;
            key
        };
        let tokens = Tokens::new(&key, options.token_life, service);
        Ok(Self {
            users: users.await?,
            rules,
            fixed: Arc::new(extend(Rules::for_users())),
            scheme: options.scheme,
            tokens: tokens.map_err(|error| refused(error.into()))?,
            public_url: options.public_url,
            clock: options.clock,
        })
    }

    async fn rules(&self) -> Arc<Rules> {
        match &self.rules {
            Some(rules) => rules.current().await,
            None => Arc::clone(&self.fixed),
        }
    }

    /// Finds out who asks.
    pub(crate) async fn identify(
        &self,
        asking: &Asking<'_>,
        route: &Route,
    ) -> Result<Rights, Failure> {
        let need = Need::of(route);
        let proof = match need {
            Need::Nothing => None,
            _ => Proof::read(asking.headers).map_err(|()| self.challenge(asking, &need, None))?,
        };
        let (subject, access) = match proof {
            None => (Subject::Anonymous, None),
            Some(Proof::Password { name, password }) => {
                let subject = self.user(name, &password).await?;
                let wrong = || self.challenge(asking, &need, None);
                (subject.ok_or_else(wrong)?, None)
            }
            Some(Proof::Token(token)) => {
                let read = self.tokens.read(&token, (self.clock)());
                let wrong = || self.challenge(asking, &need, Some("invalid_token"));
                let (subject, access) = read.ok_or_else(wrong)?;
                (subject, Some(access))
            }
        };
        Ok(self.rights(subject, access).await)
    }

    async fn rights(&self, subject: Subject, access: Option<Access>) -> Rights {
        Rights {
            rules: Some(self.rules().await),
            subject,
            access,
        }
    }

    /// Refuses what who asks may not do.
    pub(crate) fn permit(
        &self,
        asking: &Asking<'_>,
        route: &Route,
        rights: &Rights,
    ) -> Result<(), Failure> {
        let need = Need::of(route);
        let permitted = match &need {
            Need::Nothing => return Ok(()),
            // Clients learn here how they are to prove who they are. Those that have a token for
            // nobody know already.
            Need::Base if self.scheme == Scheme::Token => {
                rights.user().is_some() || rights.access.is_some()
            }
            Need::Base | Need::Catalog => rights.is_known(),
            Need::Repository(action, name) => rights.rules_permit(*action, name),
        };
        if !permitted {
            return Err(match &rights.subject {
                Subject::Anonymous => self.challenge(asking, &need, None),
                Subject::User(_) => need.denied(),
            });
        }
        if !rights.access_covers(&need) {
            return Err(self.challenge(asking, &need, Some("insufficient_scope")));
        }
        Ok(())
    }

    /// Returns the user with this password.
    async fn user(&self, name: String, password: &[u8]) -> Result<Option<Subject>, Failure> {
        let users = self.users.current().await;
        match users.check(&name, password).await {
            Outcome::Right => Ok(Some(Subject::User(name))),
            Outcome::Wrong => {
                tracing::info!(user = name, "a password was wrong");
                Ok(None)
            }
            Outcome::Busy => Err(Failure::too_many("too many passwords are being checked")),
        }
    }

    /// Says that somebody has to prove who they are, and how.
    fn challenge(&self, asking: &Asking<'_>, need: &Need<'_>, error: Option<&str>) -> Failure {
        let challenge = match (self.scheme, self.realm(asking)) {
            (Scheme::Token, Some(realm)) => {
                let service = self.tokens.service();
                let mut text = format!(r#"Bearer realm="{realm}",service="{service}""#);
                if let Some(scope) = need.scope() {
                    let _ = write!(text, r#",scope="{scope}""#);
                }
                if let Some(error) = error {
                    let _ = write!(text, r#",error="{error}""#);
                }
                text
            }
            _ => BASIC.to_owned(),
        };
        unauthorized(&challenge)
    }

    /// Returns the URL that gives out tokens.
    fn realm(&self, asking: &Asking<'_>) -> Option<String> {
        if let Some(url) = &self.public_url {
            return Some(format!("{}/token", url.as_str().trim_end_matches('/')));
        }
        let authority = asking.authority()?;
        let scheme = if asking.encrypted { "https" } else { "http" };
        Some(format!("{scheme}://{authority}/token"))
    }

    /// Finds out who asks for a token, if this registry has some. `form` is the body of a POST (RFC
    /// 6749, section 4.3), or what counts of the query of a GET.
    pub(crate) async fn log_in(
        &self,
        asking: &Asking<'_>,
        form: &[(String, String)],
    ) -> Result<Rights, Failure> {
        if self.scheme != Scheme::Token {
            return Err(crate::route::Error::NoSuchPath.into());
        }
        let get = |wanted: &str| {
            let mut pairs = form.iter();
            pairs.find(|(key, _)| key == wanted).map(|(_, value)| value)
        };
        let proof = Proof::read(asking.headers).map_err(|()| unauthorized(BASIC))?;
        let password = match (proof, get("grant_type").map(String::as_str)) {
            (Some(Proof::Password { name, password }), _) => Some((name, password)),
            (Some(Proof::Token(_)), _) => return Err(unauthorized(BASIC)),
            (None, Some("password")) => match (get("username"), get("password")) {
                (Some(name), Some(password)) => Some((name.clone(), password.clone().into_bytes())),
                _ => return Err(unauthorized(BASIC)),
            },
            (None, Some(_)) => {
                let message = "tokens are given for passwords only";
                return Err(Failure::bad(Code::Unsupported, message));
            }
            (None, None) => None,
        };
        let subject = match password {
            Some((name, password)) => {
                let user = self.user(name, &password).await?;
                user.ok_or_else(|| unauthorized(BASIC))?
            }
            None => Subject::Anonymous,
        };
        let rights = self.rights(subject, None).await;
        if !rights.is_known() {
            return Err(unauthorized(BASIC));
        }
        Ok(rights)
    }

    /// Gives out a token for what a form asks for, as far as it may be done.
    pub(crate) fn token(&self, rights: &Rights, form: &[(String, String)]) -> String {
        let scopes = form.iter().filter(|(key, _)| key == "scope");
        let wanted = Access::parse(scopes.map(|(_, value)| value.as_str()));
        let access = wanted.granted(|kind, name, action| rights.grant(kind, name, action));
        let now = (self.clock)();
        let token = self.tokens.issue(&rights.subject, access, now);
        let body = serde_json::json!({
            "token": token,
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.tokens.life().as_secs(),
        });
        body.to_string()
    }
}

const BASIC: &str = r#"Basic realm="ocm-registry", charset="UTF-8""#;

fn unauthorized(challenge: &str) -> Failure {
    let failure = Failure::new(
        StatusCode::UNAUTHORIZED,
        Code::Unauthorized,
        "authentication required",
    );
    match HeaderValue::try_from(challenge) {
        Ok(challenge) => failure.with(header::WWW_AUTHENTICATE, challenge),
        Err(_) => failure,
    }
}

/// What of a request tells who asks, and how they reached us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) uri: &'a Uri,
    pub(crate) encrypted: bool,
}

impl Asking<'_> {
    /// Returns the host that the client meant.
    fn authority(&self) -> Option<Authority> {
        let host = self.headers.get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok()?.parse().ok());
        let authority: Authority = host.or_else(|| self.uri.authority().cloned())?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        authority.as_str().bytes().all(plain).then_some(authority)
    }
}

enum Proof {
    Password { name: String, password: Vec<u8> },
    Token(String),
}

impl Proof {
    /// Reads the `Authorization` header; fails if it is there and cannot be understood.
    fn read(headers: &HeaderMap) -> Result<Option<Self>, ()> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(());
        }
        let (scheme, rest) = value.to_str().map_err(drop)?.split_once(' ').ok_or(())?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Some(Self::Token(rest.to_owned())));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(());
        }
        let mut name = STANDARD.decode(rest).map_err(drop)?;
        let colon = name.iter().position(|byte| *byte == b':').ok_or(())?;
        let password = name.split_off(colon + 1);
        name.truncate(colon);
        let name = String::from_utf8(name).map_err(drop)?;
        Ok(Some(Self::Password { name, password }))
    }
}

/// What a request needs.
enum Need<'a> {
    Nothing,
    Base,
    Catalog,
    Repository(Action, &'a RepositoryName),
}

impl<'a> Need<'a> {
    fn of(route: &'a Route) -> Self {
        match route {
            Route::Landing | Route::Health | Route::Ready | Route::Metrics | Route::Token => {
                Self::Nothing
            }
            // What may be known of each repository is for who looks it up to ask.
            Route::Base | Route::LookUp => Self::Base,
            Route::Catalog => Self::Catalog,
            Route::ListTags { repository }
            | Route::ListReferrers { repository, .. }
            | Route::GetManifest { repository, .. }
            | Route::GetBlob { repository, .. } => Self::Repository(Action::Pull, repository),
            Route::PutManifest { repository, .. }
            | Route::StartUpload { repository }
            | Route::UploadStatus { repository, .. }
            | Route::AppendUpload { repository, .. }
            | Route::FinishUpload { repository, .. }
            | Route::CancelUpload { repository, .. } => Self::Repository(Action::Push, repository),
            Route::DeleteManifest { repository, .. } | Route::DeleteBlob { repository, .. } => {
                Self::Repository(Action::Delete, repository)
            }
        }
    }

    /// Returns the scope of a token that is good for this.
    fn scope(&self) -> Option<String> {
        match self {
            Self::Nothing | Self::Base => None,
            Self::Catalog => Some("registry:catalog:*".to_owned()),
            // Who pushes looks first what is there.
            Self::Repository(Action::Push, name) => Some(format!("repository:{name}:pull,push")),
            Self::Repository(action, name) => {
                Some(format!("repository:{name}:{}", action.as_str()))
            }
        }
    }

    fn denied(&self) -> Failure {
        let message = match self {
            Self::Repository(Action::Pull, name) => format!("you may not pull from {name}"),
            Self::Repository(Action::Push, name) => format!("you may not push to {name}"),
            Self::Repository(Action::Delete, name) => format!("you may not delete from {name}"),
            _ => "you may not use this registry".to_owned(),
        };
        Failure::new(StatusCode::FORBIDDEN, Code::Denied, message)
    }
}

/// What who asks may do.
#[derive(Clone, Debug)]
pub(crate) struct Rights {
    /// `None` where everybody may do everything.
    rules: Option<Arc<Rules>>,
    subject: Subject,
    /// What the token is good for, if there is one.
    access: Option<Access>,
}

impl Rights {
    /// The rights of everybody at a registry that asks nobody who they are.
    pub(crate) const fn everything() -> Self {
        Self {
            rules: None,
            subject: Subject::Anonymous,
            access: None,
        }
    }

    /// Returns whether this may be done as well.
    pub(crate) fn may(&self, action: Action, name: &RepositoryName) -> bool {
        self.rules_permit(action, name) && self.access_covers(&Need::Repository(action, name))
    }

    /// Returns whether the rules let them see a repository. A token for the catalogue is good for
    /// the names of all that its owner may pull.
    pub(crate) fn may_see(&self, name: &RepositoryName) -> bool {
        self.rules_permit(Action::Pull, name)
    }

    /// Returns who asks, if that is known.
    pub(crate) fn user(&self) -> Option<&str> {
        match &self.subject {
            Subject::Anonymous => None,
            Subject::User(name) => Some(name),
        }
    }

    fn rules_permit(&self, action: Action, name: &RepositoryName) -> bool {
        let rules = self.rules.as_ref();
        rules.is_none_or(|rules| rules.permit(&self.subject, action, name.as_str()))
    }

    fn is_known(&self) -> bool {
        let rules = self.rules.as_ref();
        self.user().is_some() || rules.is_none_or(|rules| rules.know(&self.subject))
    }

    fn access_covers(&self, need: &Need<'_>) -> bool {
        let Some(access) = &self.access else {
            return true;
        };
        match need {
            Need::Nothing | Need::Base => true,
            Need::Catalog => access.covers("registry", "catalog", "*"),
            Need::Repository(action, name) => {
                access.covers("repository", name.as_str(), action.as_str())
            }
        }
    }

    /// Returns whether a token may be good for this.
    fn grant(&self, kind: &str, name: &str, action: &str) -> bool {
        match (kind, name, action) {
            ("registry", "catalog", "*") => self.is_known(),
            ("repository", name, action) => {
                let action = Action::ALL.into_iter().find(|it| it.as_str() == action);
                let name = name.parse::<RepositoryName>();
                matches!((action, name), (Some(action), Ok(name)) if self.rules_permit(action, &name))
            }
            _ => false,
        }
    }
}
