//! Web servers on this machine, and their client.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use ocm_backends::{HttpSource, WebConfig};
use ocm_config::graph::CredentialGraph;
use ocm_config::{Config, ConfigDocument, ConsumerIdentity, Credentials, Environment};
use ocm_oci::{RegistryOptions, RetryPolicy};
use ocm_testkit::web::{Answer, Asked, Web};

/// Starts a server that knows some files. Returns its address.
///
/// `/moved` redirects, `/echo` tells the request back, `/secret` wants to know who asks.
pub(crate) fn start(files: Vec<(&'static str, Vec<u8>)>) -> (String, Web) {
    let files = ocm_testkit::web::files(files);
    let server = Web::start(move |asked| match asked.path() {
        "/moved" => Answer::redirect("/hello.txt"),
        "/broken" => Answer::status(502),
        "/secret" => match asked.header("authorization") {
            "" => Answer::status(401),
            stated => Answer::file(stated.to_owned()),
        },
        "/echo" => echo(asked),
        _ => files(asked),
    });
    (server.url(""), server)
}

fn echo(asked: &Asked) -> Answer {
    let text = String::from_utf8(asked.body.to_vec()).unwrap();
    let extra = asked.header("x-extra");
    Answer::text("text/echo", format!("{} {extra} {text}", asked.method))
}

/// What a client has been told: credentials, and to be impatient.
#[derive(Debug)]
struct Fixed(CredentialGraph);

#[async_trait]
impl WebConfig for Fixed {
    async fn options(
        &self,
        host: &str,
    ) -> Result<RegistryOptions, Box<dyn StdError + Send + Sync>> {
        let mut options = RegistryOptions::new(host);
        options.retry = RetryPolicy {
            patience: Duration::ZERO,
            attempts: 3,
            first_delay: Duration::from_millis(1),
            ..RetryPolicy::default()
        };
        Ok(options)
    }

    async fn credentials(
        &self,
        consumer: &ConsumerIdentity,
    ) -> Result<Option<Credentials>, Box<dyn StdError + Send + Sync>> {
        Ok(self.0.resolve(consumer).await?)
    }

    fn now(&self) -> SystemTime {
        // Nothing is signed here.
        SystemTime::UNIX_EPOCH
    }
}

/// A client without credentials.
pub(crate) fn client() -> HttpSource {
    client_with("[]")
}

/// A client with the credentials of consumers, which are written as in a configuration.
pub(crate) fn client_with(consumers: &str) -> HttpSource {
    let text = format!("{{type: credentials.config.ocm.software, consumers: {consumers}}}");
    let document = ConfigDocument::parse(&text, "test").unwrap();
    let graph = CredentialGraph::new(&Config::new([document]), &Environment::default());
    HttpSource::new(Arc::new(Fixed(graph)))
}

/// A client that has credentials for a consumer at an address.
pub(crate) fn client_at(kind: &str, address: &str, properties: &str) -> HttpSource {
    let host = address.trim_start_matches("http://");
    let (host, port) = host.split_once(':').unwrap();
    client_with(&format!(
        "[{{identity: {{type: {kind}, hostname: {host}, port: '{port}', scheme: http}}, credentials: \
         [{{type: Credentials/v1, properties: {{{properties}}}}}]}}]"
    ))
}
