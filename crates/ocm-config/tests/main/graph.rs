//! The credential graph: matching, merging, plugins, cycles.

use std::sync::Arc;

use async_trait::async_trait;
use ocm_config::graph::{
    BoxError, CredentialGraph, CredentialPlugin, CredentialStore, Error, Plugins,
};
use ocm_config::{ConsumerIdentity, Credentials, Environment, Warning};
use serde_json::Value;

use crate::place::config;

fn graph(texts: &[&str]) -> CredentialGraph {
    CredentialGraph::new(&config(texts), &Environment::default())
}

async fn user(graph: &CredentialGraph, url: &str) -> Option<String> {
    let identity = ConsumerIdentity::oci_registry(url).unwrap();
    graph.resolve(&identity).await.unwrap()?.username()
}

/// Writes consumers in one line each: attributes, and the name of the user.
fn consumers(lines: &[(&str, &str)]) -> String {
    let entries = lines.iter().map(|(attributes, user)| {
        format!(
            "- identity: {{{attributes}}}
  credentials: [{{type: Credentials, properties: {{username: {user}}}}}]
"
        )
    });
    let entries: String = entries.collect();
    format!("type: credentials.config.ocm.software\nconsumers:\n{entries}")
}

#[tokio::test]
async fn the_closest_consumer_counts_whatever_the_order() {
    let lines = [
        ("type: OCIRegistry, hostname: h", "host"),
        ("type: OCIRegistry, hostname: h, path: '*/*'", "stars"),
        ("type: OCIRegistry, hostname: h, path: 'team/*'", "star"),
        ("type: OCIRegistry/v1, hostname: h, path: team/app", "plain"),
        ("type: OCIRegistry, hostname: h, port: 5000", "port"),
    ];
    let mut reversed = lines;
    reversed.reverse();
    for lines in [lines, reversed] {
        let graph = graph(&[&consumers(&lines)]);
        assert_eq!(
            user(&graph, "https://h/team/app").await.as_deref(),
            Some("plain")
        );
        assert_eq!(
            user(&graph, "https://h/team/x").await.as_deref(),
            Some("star")
        );
        assert_eq!(
            user(&graph, "https://h/x/y").await.as_deref(),
            Some("stars")
        );
        assert_eq!(user(&graph, "https://h/x").await.as_deref(), Some("host"));
        assert_eq!(user(&graph, "h:5000/x").await.as_deref(), Some("port"));
        assert_eq!(user(&graph, "h:5001/x").await, None);
    }
}

#[tokio::test]
async fn of_equally_close_consumers_the_strongest_file_counts_then_the_first() {
    let same = |user| {
        consumers(&[
            ("type: OCIRegistry, hostname: h, scheme: https", user),
            ("type: OCIRegistry, hostname: h, port: 443", "second"),
        ])
    };
    let graph = graph(&[&same("weak"), &same("strong")]);
    assert_eq!(user(&graph, "https://h/x").await.as_deref(), Some("strong"));
}

#[tokio::test]
async fn identities_that_fit_each_other_are_no_cycle() {
    let graph = graph(&[&consumers(&[
        ("type: OCIRegistry, hostname: h", "a"),
        ("type: OCIRegistry, hostname: h, scheme: https", "b"),
    ])]);
    assert!(graph.warnings().is_empty());
    assert_eq!(user(&graph, "https://h").await.as_deref(), Some("b"));
    assert_eq!(user(&graph, "h").await.as_deref(), Some("a"));
}

#[tokio::test]
async fn identities_of_the_first_generation_work() {
    let graph = graph(&[&consumers(&[
        ("type: OCIRegistry, hostname: h, pathprefix: acme", "short"),
        (
            "type: OCIRegistry, hostname: h, pathprefix: acme/team",
            "long",
        ),
        (
            "type: OCIRegistry, hostname: localhost, scheme: http, port: 31002",
            "number",
        ),
    ])]);
    assert_eq!(
        user(&graph, "https://h/acme/team/x/y").await.as_deref(),
        Some("long")
    );
    assert_eq!(
        user(&graph, "https://h/acme/teams").await.as_deref(),
        Some("short")
    );
    assert_eq!(user(&graph, "https://h/other").await, None);
    assert_eq!(
        user(&graph, "http://localhost:31002/x").await.as_deref(),
        Some("number")
    );
}

#[tokio::test]
async fn one_entry_may_be_for_several_identities() {
    let graph = graph(&["
type: credentials.config.ocm.software/v1
consumers:
- identities: [{type: OCIRegistry, hostname: a}, {type: OCIRegistry, hostname: b}]
  credentials: [{type: OCICredentials/v1, username: u, password: p}]
"]);
    for host in ["a", "b"] {
        assert_eq!(user(&graph, host).await.as_deref(), Some("u"));
    }
}

#[tokio::test]
async fn properties_are_merged_and_typed_credentials_count_alone() {
    let weak = "
type: credentials.config.ocm.software
consumers:
- identity: {type: OCIRegistry, hostname: h}
  credentials:
  - {type: Credentials/v1, properties: {username: a, password: weak}}
  - {type: DirectCredentials, properties: {username: b, identityToken: t}}
- identity: {type: OCIRegistry, hostname: typed}
  credentials:
  - {type: Credentials/v1, properties: {username: untyped}}
  - {type: OCICredentials/v1, username: first}
  - {type: OCICredentials/v1, username: second}
";
    let strong = "
type: credentials.config.ocm.software
consumers:
- identity: {type: OCIRegistry, hostname: h}
  credentials: [{type: Credentials/v1, properties: {password: strong}}]
";
    let graph = graph(&[weak, strong]);
    let identity = ConsumerIdentity::oci_registry("h").unwrap();
    let found = graph.resolve(&identity).await.unwrap().unwrap();
    assert_eq!(found.username().as_deref(), Some("b"));
    assert_eq!(found.password().unwrap().expose(), "strong");
    assert_eq!(found.identity_token().unwrap().expose(), "t");
    assert_eq!(user(&graph, "typed").await.as_deref(), Some("first"));
}

#[tokio::test]
async fn what_cannot_be_understood_is_skipped_with_its_place() {
    let graph = graph(&["
type: credentials.config.ocm.software
consumers:
- identity: {hostname: h}
- identity: {type: OCIRegistry, hostname: [h]}
- credentials: []
- identity: {type: OCIRegistry, hostname: h}
  credentials: [{type: Unheard/v1, a: b}, {type: Credentials, properties: {username: u}}]
- 5
repositories:
- repository: {type: HashiCorpVault/v1alpha1, serverURL: x}
- {}
"]);
    assert_eq!(user(&graph, "h").await.as_deref(), Some("u"));
    let messages: Vec<_> = graph.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "0.yaml:4:13: consumers[0].identity: `type` is missing; it is skipped",
            "0.yaml:5:43: consumers[1].identity.hostname: expected a text, found a list; it is skipped",
            "0.yaml:6:3: consumers[2]: `identity` is missing; it is skipped",
            "0.yaml:8:17: consumers[3].credentials[0]: credentials of the unknown type `Unheard/v1` are skipped",
            "0.yaml:9:3: consumers[4]: `identity` is missing; it is skipped",
            "0.yaml:11:15: repositories[0].repository: the credential repository of the unknown type `HashiCorpVault/v1alpha1` is skipped",
            "0.yaml:12:3: repositories[1]: `repository` is missing; it is skipped",
        ]
    );
}

#[tokio::test]
async fn near_misses_say_what_differs() {
    let graph = graph(&[&consumers(&[
        ("type: OCIRegistry, hostname: h, path: 'a/*', port: 1", "x"),
        ("type: OCIRegistry, hostname: h, path: 'team/*'", "x"),
        ("type: RSA, signature: s", "x"),
        ("type: OCIRegistry, hostname: h2", "x"),
    ])]);
    let identity = ConsumerIdentity::oci_registry("https://h/b/c").unwrap();
    let misses: Vec<_> = graph
        .near_misses(&identity)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        misses,
        [
            "OCIRegistry{hostname=h,path=team/*} (0.yaml:5:13: consumers[1].identity): path is `team/*` instead of `b/c`",
            "OCIRegistry{hostname=h2} (0.yaml:9:13: consumers[3].identity): hostname is `h2` instead of `h`",
            "OCIRegistry{hostname=h,path=a/*,port=1} (0.yaml:3:13: consumers[0].identity): path is `a/*` instead of `b/c`, port is `1` instead of absent",
        ]
    );
}

/// A plugin that turns the user of its own consumer into one of the consumer that asks.
struct Exchange;

#[async_trait]
impl CredentialPlugin for Exchange {
    fn consumer_identity(&self, spec: &Value) -> Result<Option<ConsumerIdentity>, BoxError> {
        let own = spec.get("own").and_then(Value::as_str);
        Ok(own.map(|own| ConsumerIdentity::new("Vault").with("name", own)))
    }

    async fn resolve(
        &self,
        _: &Value,
        credentials: Option<&Credentials>,
    ) -> Result<Credentials, BoxError> {
        let own = credentials.and_then(Credentials::username);
        let own = own.ok_or("the vault wants a user")?;
        Ok(Credentials::untyped([(
            "username",
            format!("{own}-exchanged"),
        )]))
    }
}

/// A store that knows one user for everybody.
struct Everybody;

#[async_trait]
impl CredentialStore for Everybody {
    fn serves(&self, identity: &ConsumerIdentity) -> bool {
        identity.name() == "Wget"
    }

    async fn resolve(
        &self,
        spec: &Value,
        _: &ConsumerIdentity,
    ) -> Result<Option<Credentials>, BoxError> {
        match spec["user"].as_str() {
            Some(user) => Ok(Some(Credentials::basic(user, "p"))),
            None => Err("the store has no user".into()),
        }
    }
}

fn plugged(text: &str) -> CredentialGraph {
    let plugins = Plugins::default()
        .with_plugin("Exchange/v1", Arc::new(Exchange))
        .with_store("Everybody/v1", Arc::new(Everybody))
        .with_credential_type("org.acme.Card");
    CredentialGraph::with_plugins(&config(&[text]), &Environment::default(), &plugins)
}

const CHAIN: &str = "
type: credentials.config.ocm.software
consumers:
- identity: {type: OCIRegistry, hostname: good}
  credentials: [{type: Exchange, own: a}]
- identity: {type: Vault, name: a}
  credentials: [{type: Exchange/v1, own: b}]
- identity: {type: Vault, name: b}
  credentials: [{type: org.acme.Card/v1, username: root}]
- identity: {type: OCIRegistry, hostname: round}
  credentials: [{type: Exchange, own: c}]
- identity: {type: Vault, name: c}
  credentials: [{type: Exchange, own: d}]
- identity: {type: Vault, name: d}
  credentials: [{type: Exchange, own: c}]
";

#[tokio::test]
async fn a_plugin_gets_the_credentials_that_it_needs() {
    let graph = plugged(CHAIN);
    assert!(graph.warnings().is_empty());
    assert_eq!(
        user(&graph, "good").await.as_deref(),
        Some("root-exchanged-exchanged")
    );
}

#[tokio::test]
async fn a_cycle_is_refused_and_breaks_nothing_else() {
    let graph = plugged(CHAIN);
    let identity = ConsumerIdentity::oci_registry("round").unwrap();
    let error = graph.resolve(&identity).await.unwrap_err();
    assert!(matches!(error, Error::Cycle { .. }));
    assert_eq!(
        error.to_string(),
        "0.yaml:12:13: consumers[4].identity: credentials depend on themselves: \
         Vault{name=c} -> Vault{name=d} -> Vault{name=c}"
    );
    assert!(user(&graph, "good").await.is_some());
}

#[tokio::test]
async fn a_plugin_that_fails_is_named() {
    let graph = plugged(
        "
type: credentials.config.ocm.software
consumers:
- identity: {type: OCIRegistry, hostname: h}
  credentials: [{type: Exchange}]
",
    );
    let identity = ConsumerIdentity::oci_registry("h").unwrap();
    let error = graph.resolve(&identity).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "0.yaml:4:13: consumers[0].identity: cannot get credentials for OCIRegistry{hostname=h}"
    );
}

#[tokio::test]
async fn a_store_that_fails_counts_only_if_no_other_answers() {
    let failing = "
type: credentials.config.ocm.software
repositories:
- repository: {type: Everybody/v1}
";
    let identity = ConsumerIdentity::from_url("Wget", "https://h/x").unwrap();
    let error = plugged(failing).resolve(&identity).await.unwrap_err();
    assert!(matches!(error, Error::Store { .. }));
    let answering = format!("{failing}- repository: {{type: Everybody, user: u}}\n");
    let found = plugged(&answering).resolve(&identity).await.unwrap();
    assert_eq!(found.unwrap().username().as_deref(), Some("u"));
    let other = ConsumerIdentity::new("RSA");
    assert_eq!(plugged(&answering).resolve(&other).await.unwrap(), None);
}

#[tokio::test]
async fn thousands_of_consumers_are_no_trouble() {
    let lines: Vec<_> = (0..3_000)
        .map(|index| format!("- identity: {{type: T, n: {index}}}\n"))
        .collect();
    let text = format!(
        "type: credentials.config.ocm.software\nconsumers:\n{}",
        lines.concat()
    );
    let graph = graph(&[&text]);
    let identity = ConsumerIdentity::new("T").with("n", "x");
    assert_eq!(graph.near_misses(&identity).len(), 3_000);
}

#[test]
fn no_secret_is_in_the_debug_form() {
    let graph = graph(&["
type: credentials.config.ocm.software
consumers:
- identity: {type: OCIRegistry, hostname: h}
  credentials: [{type: Credentials, properties: {password: hunter2}}]
repositories:
- repository: {type: DockerConfig, dockerConfig: '{\"auths\": {\"h\": {\"password\": \"hunter2\"}}}'}
"]);
    assert!(!format!("{graph:?}").contains("hunter2"));
    assert!(
        !graph
            .warnings()
            .iter()
            .any(|warning| matches!(warning, Warning::Skipped { .. }))
    );
}
