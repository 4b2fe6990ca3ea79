//! Logging in from a terminal.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use jiff::Timestamp;
use ocm_sigstore::{IdentityToken, Login, Terminal, TokenError};
use tokio::sync::mpsc;
use url::Url;

use crate::stand_in::{Failure, Loopback, StandIn};

/// A terminal that somebody looks at. Waiting takes no time.
struct Screen {
    shown: mpsc::UnboundedSender<String>,
    waited: Mutex<Vec<u64>>,
}

impl Screen {
    fn new() -> (Self, mpsc::UnboundedReceiver<String>) {
        let (shown, screen) = mpsc::unbounded_channel();
        let waited = Mutex::default();
        (Self { shown, waited }, screen)
    }
}

#[async_trait]
impl Terminal for Screen {
    fn show(&self, text: &str) {
        self.shown.send(text.to_owned()).unwrap();
    }

    async fn wait(&self, time: Duration) {
        self.waited.lock().unwrap().push(time.as_secs());
    }
}

fn login(stand_in: &StandIn) -> Login {
    Login::new(Some(stand_in.issuer().url.clone()), None).unwrap()
}

async fn obtain(stand_in: &StandIn, screen: &Screen) -> Result<IdentityToken, TokenError> {
    login(stand_in)
        .obtain(screen, &Loopback, Timestamp::now())
        .await
}

#[tokio::test]
async fn a_code_is_typed_on_any_device() {
    let stand_in = StandIn::start().await;
    stand_in
        .issuer()
        .answer_first(&["authorization_pending", "slow_down"]);
    let (screen, mut seen) = Screen::new();
    let token = obtain(&stand_in, &screen).await.unwrap();
    assert_eq!(token.subject(), "ann@acme.org");
    let shown = seen.try_recv().unwrap();
    let page = format!("{}/activate", stand_in.issuer().url);
    assert_eq!(
        shown,
        format!("To sign, log in at\n\n  {page}\n\nwith the code ABCD-EFGH\n")
    );
    assert_eq!(*screen.waited.lock().unwrap(), [5, 5, 10]);
}

#[tokio::test]
async fn a_login_can_fail() {
    let stand_in = StandIn::start().await;
    let (screen, _seen) = Screen::new();
    let issuer = stand_in.issuer();
    issuer.answer_first(&["access_denied"]);
    let error = obtain(&stand_in, &screen).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the login has failed: somebody has declined it"
    );
    issuer.answer_first(&["authorization_pending"; 99]);
    let error = obtain(&stand_in, &screen).await.unwrap_err();
    assert_eq!(error.to_string(), "nobody has logged in within 30 s");
    issuer.answer_first(&["expired_token"]);
    let error = obtain(&stand_in, &screen).await.unwrap_err();
    assert!(error.is_not_allowed(), "{error}");
    stand_in.fail("oidc", Failure(StatusCode::BAD_GATEWAY, ""));
    let error = obtain(&stand_in, &screen).await.unwrap_err();
    let TokenError::Service(error) = error else {
        panic!("{error:?}");
    };
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn an_issuer_must_be_who_it_was_taken_for() {
    let stand_in = StandIn::start().await;
    let other = r#"{"issuer":"https://evil.test","token_endpoint":"https://evil.test/token"}"#;
    stand_in.fail("oidc", Failure(StatusCode::OK, other));
    let (screen, _seen) = Screen::new();
    let error = obtain(&stand_in, &screen).await.unwrap_err();
    assert!(matches!(error, TokenError::OtherIssuer { .. }), "{error}");
}

#[tokio::test]
async fn a_browser_on_this_machine_comes_back() {
    let stand_in = StandIn::start().await;
    stand_in.issuer().without_devices();
    let (screen, mut seen) = Screen::new();
    let browser = async {
        let shown = seen.recv().await.unwrap();
        let page = shown.lines().find(|line| line.contains("http")).unwrap();
        let back = stand_in
            .issuer()
            .redirect(&Url::parse(page.trim()).unwrap());
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap();
        // What else a browser asks for, and what another page makes it ask for, changes nothing.
        let mut forged = back.clone();
        forged.set_query(Some("code=forged&state=forged"));
        for stray in [back.join("/favicon.ico").unwrap(), forged] {
            let answer = client.get(stray).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        }
        let answer = client.get(back).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    };
    let (token, ()) = tokio::join!(obtain(&stand_in, &screen), browser);
    assert_eq!(token.unwrap().subject(), "ann@acme.org");
}
