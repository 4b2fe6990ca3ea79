//! The OpenID Connect issuer.

use std::collections::BTreeMap;
use std::sync::Mutex;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ocm_digest::Digest;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

/// Who says who somebody is.
pub(crate) struct Issuer {
    pub(crate) url: Url,
    key: EcdsaKeyPair,
    login: Mutex<Login>,
}

/// How logins go.
#[derive(Default)]
struct Login {
    /// Only browsers on the same machine can log in.
    no_devices: bool,
    /// What is answered before a token is granted, last first.
    answers: Vec<&'static str>,
    challenge: String,
    nonce: String,
}

impl Issuer {
    pub(super) fn new(url: Url) -> Self {
        Self {
            url,
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            login: Mutex::default(),
        }
    }

    /// A token for a person, which ends so many seconds from now.
    pub(crate) fn token(&self, email: &str, seconds: i64) -> String {
        self.signed(&json!({
            "iss": self.url,
            "aud": "sigstore",
            "sub": "1",
            "exp": Timestamp::now().as_second() + seconds,
            "email": email,
            "email_verified": true,
            "nonce": self.login.lock().unwrap().nonce,
        }))
    }

    /// A token for a job of a CI system.
    pub(crate) fn workflow_token(&self, audience: &str) -> String {
        self.signed(&json!({
            "iss": self.url,
            "aud": audience,
            "sub": "https://ci.test/acme/shop",
            "exp": Timestamp::now().as_second() + 300,
        }))
    }

    fn signed(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!(
            "{}.{}",
            part(&json!({"alg": "ES256", "typ": "JWT"})),
            part(claims)
        );
        let signature = self
            .key
            .sign(&SystemRandom::new(), text.as_bytes())
            .unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// Returns the claims of a token of this issuer for Sigstore that has not expired.
    pub(super) fn check(&self, token: &str) -> Option<Value> {
        let (text, signature) = token.rsplit_once('.')?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key());
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        key.verify(text.as_bytes(), &signature).ok()?;
        let claims = URL_SAFE_NO_PAD.decode(text.split_once('.')?.1).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        let lives = claims["exp"].as_i64()? > Timestamp::now().as_second();
        (lives && claims["aud"] == "sigstore").then_some(claims)
    }

    /// Lets only browsers on the same machine log in.
    pub(crate) fn without_devices(&self) {
        self.login.lock().unwrap().no_devices = true;
    }

    /// Sets what is answered before a token is granted, first first.
    pub(crate) fn answer_first(&self, answers: &[&'static str]) {
        self.login.lock().unwrap().answers = answers.iter().rev().copied().collect();
    }

    pub(super) fn configuration(&self) -> Value {
        let below = |name: &str| format!("{}/{name}", self.url);
        let mut configuration = json!({
            "issuer": self.url,
            "authorization_endpoint": below("auth"),
            "token_endpoint": below("token"),
            "code_challenge_methods_supported": ["S256"],
        });
        if !self.login.lock().unwrap().no_devices {
            configuration["device_authorization_endpoint"] = below("device").into();
        }
        configuration
    }

    pub(super) fn start_device(&self, form: &str) -> Value {
        let fields = fields(form);
        assert_eq!(fields["scope"], "openid email");
        let challenge = &fields["code_challenge"];
        self.login.lock().unwrap().challenge.clone_from(challenge);
        json!({
            "device_code": "secret",
            "user_code": "ABCD-EFGH",
            "verification_uri": format!("{}/activate", self.url),
            "expires_in": 30,
            "interval": 5,
        })
    }

    /// Sends a browser back with a code, as whoever is logged in there.
    pub(crate) fn redirect(&self, start: &Url) -> Url {
        let fields: BTreeMap<_, _> = start.query_pairs().into_owned().collect();
        assert_eq!(fields["response_type"], "code");
        assert_eq!(fields["code_challenge_method"], "S256");
        let mut login = self.login.lock().unwrap();
        login.challenge.clone_from(&fields["code_challenge"]);
        login.nonce.clone_from(&fields["nonce"]);
        let mut back = Url::parse(&fields["redirect_uri"]).unwrap();
        back.query_pairs_mut().append_pair("code", "secret");
        back.query_pairs_mut()
            .append_pair("state", &fields["state"]);
        back
    }

    pub(super) fn grant(&self, form: &str) -> Result<Value, &'static str> {
        let fields = fields(form);
        {
            let mut login = self.login.lock().unwrap();
            if let Some(answer) = login.answers.pop() {
                return Err(answer);
            }
            let verifier = Digest::sha256(&fields["code_verifier"]);
            if URL_SAFE_NO_PAD.encode(verifier.as_bytes()) != login.challenge {
                return Err("invalid_grant");
            }
        }
        let code = fields.get("code").or(fields.get("device_code"));
        if code.map(String::as_str) != Some("secret") {
            return Err("invalid_grant");
        }
        Ok(json!({"token_type": "bearer", "id_token": self.token("ann@acme.org", 300)}))
    }
}

fn fields(form: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .collect()
}
