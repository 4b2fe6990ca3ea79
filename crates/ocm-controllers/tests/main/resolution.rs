//! How registries are asked.

use std::sync::Arc;
use std::time::Duration;

use ocm::config::{Config, ConfigDocument};
use ocm::model::{Descriptor, RepositorySpec};
use ocm::{Environment, KeyMaterial, Kind, Ocm};
use ocm_controllers::config::Loaded;
use ocm_controllers::keys::Verifying;
use ocm_controllers::resolution::{Error, Options, Outcome, Place, Resolutions, Resolved, Wanted};
use ocm_testkit::{Fault, Registry};

use crate::world::{
    COMPONENT, descriptor, key, public, publish, publish_with, resolution_options, signed, spec,
};

/// A place that is asked once: who waits for it in these tests knows that it does not answer.
fn place(repository: RepositorySpec) -> Place {
    let document = "{type: http.config.ocm.software, retry: {maxRetries: -1}}";
    let document = ConfigDocument::parse(document, "a test").unwrap();
    Place {
        config: Loaded {
            config: Arc::new(Config::new([document])),
            ..Loaded::default()
        },
        repository,
    }
}

fn wanted(registry: &Registry, version: &str) -> Wanted {
    Wanted {
        place: place(spec(registry)),
        id: format!("{COMPONENT}:{version}").parse().unwrap(),
        verifying: Vec::new(),
        digest: None,
    }
}

fn verifying(name: &str, pem: &str) -> Vec<Verifying> {
    vec![Verifying {
        signature: name.to_owned(),
        key: KeyMaterial::new("a test", pem),
    }]
}

async fn look(resolutions: &Resolutions, wanted: &Wanted) -> Outcome<Resolved> {
    resolutions.component_version(wanted).outcome().await
}

/// A descriptor in which a reference has no digest, so that no signature covers what it means.
fn with_a_gap() -> Descriptor {
    let mut document = descriptor("1.0.0").to_document();
    let reference = serde_json::json!([
        {"name": "part", "componentName": "acme.org/part", "version": "1.0.0"}
    ]);
    document["component"]["componentReferences"] = reference;
    Descriptor::from_document(document).unwrap()
}

#[tokio::test]
async fn a_component_version_costs_few_requests_and_one_for_all_who_want_it() {
    let registry = Registry::start();
    publish(&registry, &[descriptor("1.0.0"), descriptor("1.1.0")]).await;
    registry.take_requests();
    let options = Options::new(resolution_options().clock);
    let resolutions = Resolutions::new(options.clone());
    let name = COMPONENT.parse().unwrap();
    let listed = resolutions.versions(&place(spec(&registry)), &name);
    let listed = { listed }.outcome().await.unwrap();
    assert_eq!(listed.versions.len(), 2);
    let wanted = wanted(&registry, "1.1.0");
    let mut tickets: Vec<_> = (0..20)
        .map(|_| resolutions.component_version(&wanted))
        .collect();
    for ticket in &mut tickets {
        assert_eq!(ticket.outcome().await.unwrap().descriptor.id(), &wanted.id);
    }
    let requests = registry.take_requests();
    // A registry is asked once whether it speaks TLS or wants a password.
    let requests: Vec<_> = requests.iter().filter(|it| *it != "GET /v2/").collect();
    assert!(requests.len() <= 4, "{requests:?}");
    look(&resolutions, &wanted).await.unwrap();
    assert_eq!(registry.take_requests(), [""; 0]);
    let numbers = options.metrics.to_text();
    for (name, number) in [
        ("cache_miss{verification_state=\"unverified\"}", 1),
        ("cache_hit{verification_state=\"unverified\"}", 1),
        (
            "resolution_duration_seconds_count{verification_state=\"unverified\"}",
            1,
        ),
        ("queue_size", 0),
        ("in_progress", 0),
    ] {
        let line = format!("ocm_system_ocm_k8s_toolkit_{name} {number}");
        assert!(numbers.lines().any(|it| it == line), "{line}\n{numbers}");
    }
}

#[tokio::test]
async fn what_has_not_changed_costs_one_request_and_what_has_is_read_anew() {
    let registry = Registry::start();
    publish(&registry, &[descriptor("1.0.0")]).await;
    let resolutions = Resolutions::new(resolution_options());
    let wanted = wanted(&registry, "1.0.0");
    let first = look(&resolutions, &wanted).await.unwrap();
    registry.take_requests();
    let second = look(&resolutions, &wanted).await.unwrap();
    assert!(Arc::ptr_eq(&first.descriptor, &second.descriptor));
    let requests = registry.take_requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].starts_with("HEAD "), "{requests:?}");

    publish(
        &registry,
        &[signed(descriptor("1.0.0"), "new", &key()).await],
    )
    .await;
    let third = look(&resolutions, &wanted).await.unwrap();
    assert!(third.descriptor.signature("new").is_some());
}

#[tokio::test]
async fn what_was_read_counts_on_while_the_registry_does_not_answer() {
    let registry = Registry::start();
    publish(&registry, &[descriptor("1.0.0")]).await;
    let resolutions = Resolutions::new(resolution_options());
    let wanted = wanted(&registry, "1.0.0");
    assert!(look(&resolutions, &wanted).await.unwrap().stale.is_none());
    registry.fail(100, "HEAD", "manifests", Fault::Status(503));
    let kept = look(&resolutions, &wanted).await.unwrap();
    let stale = kept.stale.expect("an error");
    assert!(stale.is_transient(), "{stale}");
    registry.heal();
    assert!(look(&resolutions, &wanted).await.unwrap().stale.is_none());
}

#[tokio::test]
async fn versions_that_were_listed_count_on_while_the_registry_does_not_answer() {
    let registry = Registry::start();
    publish(&registry, &[descriptor("1.0.0")]).await;
    let resolutions = Resolutions::new(resolution_options());
    let list = async || {
        let name = COMPONENT.parse().unwrap();
        let mut ticket = resolutions.versions(&place(spec(&registry)), &name);
        ticket.outcome().await
    };
    let unavailable = || registry.fail(100, "GET", "/tags/list", Fault::Status(503));
    unavailable();
    // There is nothing yet that could count on.
    assert!(list().await.unwrap_err().is_transient());
    registry.heal();
    assert!(list().await.unwrap().stale.is_none());
    unavailable();
    let kept = list().await.unwrap();
    assert_eq!(kept.versions.len(), 1);
    assert!(kept.stale.expect("an error").is_transient());
    registry.heal();
    publish(&registry, &[descriptor("1.1.0")]).await;
    let listed = list().await.unwrap();
    assert_eq!((listed.versions.len(), listed.stale.is_none()), (2, true));
    // Who may not see them any more does not.
    registry.fail(100, "GET", "/tags/list", Fault::Status(403));
    assert!(!list().await.unwrap_err().is_transient());
    unavailable();
    list().await.unwrap_err();
}

#[tokio::test]
async fn a_registry_that_hangs_slows_no_other() {
    let (hanging, sound) = (Registry::start(), Registry::start());
    publish(&sound, &[descriptor("1.0.0")]).await;
    hanging.fail(1000, "GET", "", Fault::Hold);
    hanging.fail(1000, "HEAD", "", Fault::Hold);
    let resolutions = Resolutions::new(resolution_options());
    let mut waiting: Vec<_> = (0..50)
        .map(|it| resolutions.component_version(&wanted(&hanging, &format!("1.0.{it}"))))
        .collect();
    look(&resolutions, &wanted(&sound, "1.0.0")).await.unwrap();
    for ticket in &mut waiting {
        assert!(ticket.within(Duration::ZERO).await.is_none());
    }
}

#[tokio::test]
async fn a_registry_that_hangs_is_not_waited_for_for_ever() {
    let registry = Registry::start();
    registry.fail(1000, "GET", "", Fault::Hold);
    registry.fail(1000, "HEAD", "", Fault::Hold);
    let resolutions = Resolutions::new(Options {
        time_limit: Duration::from_millis(50),
        ..resolution_options()
    });
    let error = look(&resolutions, &wanted(&registry, "1.0.0"))
        .await
        .unwrap_err();
    assert!(
        matches!(*error, Error::Late { .. }) && error.is_transient(),
        "{error}"
    );
}

#[tokio::test]
async fn signatures_hold_or_the_component_version_is_refused() {
    let registry = Registry::start();
    let (ours, theirs) = (key(), key());
    let good = signed(descriptor("1.0.0"), "acme", &ours).await;
    // The signature of another content.
    let mut forged = descriptor("2.0.0");
    forged
        .add_signature(&good.signature("acme").unwrap())
        .unwrap();
    publish(&registry, &[good, forged]).await;
    let resolutions = Resolutions::new(resolution_options());
    let verified = |version: &str, name: &str, pem: &str| {
        let wanted = Wanted {
            verifying: verifying(name, pem),
            ..wanted(&registry, version)
        };
        let resolutions = resolutions.clone();
        async move { look(&resolutions, &wanted).await }
    };
    let (ours, theirs) = (public(&ours), public(&theirs));
    verified("1.0.0", "acme", &ours).await.unwrap();
    let error = verified("1.0.0", "acme", &theirs).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "signature verification failed for signature acme"
    );
    let error = verified("2.0.0", "acme", &ours).await.unwrap_err();
    assert!(matches!(*error, Error::Signature { .. }), "{error}");
    let error = verified("1.0.0", "other", &ours).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("signature other not found in component {COMPONENT}:1.0.0")
    );
}

#[tokio::test]
async fn signatures_are_verified_also_where_something_has_no_digest() {
    let registry = Registry::start();
    let (ours, theirs) = (key(), key());
    publish(&registry, &[signed(with_a_gap(), "acme", &ours).await]).await;
    let resolutions = Resolutions::new(resolution_options());
    let with = |pem: &str| Wanted {
        verifying: verifying("acme", pem),
        ..wanted(&registry, "1.0.0")
    };
    let found = look(&resolutions, &with(&public(&ours))).await.unwrap();
    assert!(found.not_digestible.is_some());
    let error = look(&resolutions, &with(&public(&theirs)))
        .await
        .unwrap_err();
    assert!(matches!(*error, Error::Signature { .. }), "{error}");
}

#[tokio::test]
async fn what_was_read_with_credentials_is_not_there_for_who_has_none() {
    let registry = Registry::with_password("user", "secret");
    let (host, port) = registry.host().split_once(':').unwrap();
    let document = format!(
        "{{type: credentials.config.ocm.software, consumers: [{{
            identity: {{type: OCIRegistry, hostname: {host}, port: '{port}'}},
            credentials: [{{type: Credentials/v1, properties: {{username: user, password: secret}}}}]
        }}]}}"
    );
    let document = ConfigDocument::parse(&document, "a test").unwrap();
    let config = Config::new([document]);
    let ocm = Ocm::with_documents(Environment::default(), config.clone());
    publish_with(&ocm, &registry, &[descriptor("1.0.0")]).await;
    let resolutions = Resolutions::new(Options::new(resolution_options().clock));
    let mut wanted = wanted(&registry, "1.0.0");
    wanted.place.config = Loaded {
        config: Arc::new(config),
        hash: "with credentials".to_owned(),
        sources: Vec::new(),
    };
    look(&resolutions, &wanted).await.unwrap();
    resolutions.reach(&wanted.place).outcome().await.unwrap();
    wanted.place.config = Loaded::default();
    let error = look(&resolutions, &wanted).await.unwrap_err();
    assert_eq!(Kind::of(&*error), Kind::NotAllowed, "{error}");
}

#[tokio::test]
async fn credentials_that_name_no_host_go_to_none() {
    let registry = Registry::with_password("user", "secret");
    let (host, port) = registry.host().split_once(':').unwrap();
    let properties = "{username: user, password: secret}";
    let credentials = |identity: &str| {
        let document = format!(
            "{{type: credentials.config.ocm.software, consumers: [{{identity: {{type: OCIRegistry\
             {identity}}}, credentials: [{{type: Credentials/v1, properties: {properties}}}]}}]}}"
        );
        ConfigDocument::parse(&document, "a test").unwrap()
    };
    let docker = |host: &str| {
        let auth = r#"{"username": "user", "password": "secret"}"#;
        let document = format!(
            r#"{{"type": "credentials.config.ocm.software", "repositories": [{{"repository":
            {{"type": "DockerConfig/v1", "dockerConfig": {{"auths": {{"{host}": {auth}}}}}}}}}]}}"#
        );
        ConfigDocument::parse(&document, "a test").unwrap()
    };
    let resolutions = Resolutions::new(resolution_options());
    let list = async |hash: usize, document: ConfigDocument| {
        let mut place = place(spec(&registry));
        place.config = Loaded {
            config: Arc::new(Config::new([document])),
            hash: hash.to_string(),
            sources: Vec::new(),
        };
        let name = COMPONENT.parse().unwrap();
        let listed = resolutions.versions(&place, &name).outcome().await;
        listed.map(|_| ()).map_err(|it| Kind::of(&*it))
    };
    let nameless = [
        credentials(""),
        credentials(", hostname: ''"),
        credentials(", hostname: '*'"),
        credentials(&format!(", port: '{port}'")),
        credentials(", path: '*'"),
        docker(""),
        docker("*"),
        docker(&format!("*:{port}")),
    ];
    for (index, document) in nameless.into_iter().enumerate() {
        let listed = list(index, document).await;
        assert_eq!(listed, Err(Kind::NotAllowed), "{index}");
    }
    let named = credentials(&format!(", hostname: {host}, port: '{port}'"));
    let hosts = [named, docker(registry.host())];
    for (index, document) in hosts.into_iter().enumerate() {
        assert_ne!(list(100 + index, document).await, Err(Kind::NotAllowed));
    }
}

#[tokio::test]
async fn archives_are_read_only_where_they_may_be() {
    let place_of = |path: &std::path::Path| {
        let spec = ocm::model::TypedSpec::new("CommonTransportFormat/v1");
        let spec = spec.with("filePath", path.display().to_string());
        place(RepositorySpec::try_from(spec).unwrap())
    };
    let allowed = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let resolutions = Resolutions::new(Options {
        archives: Some(allowed.path().to_owned()),
        ..resolution_options()
    });
    for path in [
        elsewhere.path().to_owned(),
        allowed
            .path()
            .join("../")
            .join(elsewhere.path().file_name().unwrap()),
        allowed.path().join("nothing"),
    ] {
        let error = resolutions
            .reach(&place_of(&path))
            .outcome()
            .await
            .unwrap_err();
        assert!(matches!(*error, Error::Archive { .. }), "{error}");
    }
    let none = Resolutions::new(resolution_options());
    let error = none
        .reach(&place_of(allowed.path()))
        .outcome()
        .await
        .unwrap_err();
    assert!(matches!(*error, Error::Archive { .. }), "{error}");
}
