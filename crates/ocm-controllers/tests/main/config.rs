//! Configuration from the cluster, and who may use which.

use ocm::config::ConfigDocument;
use ocm_controllers::api::{ConfigPolicy, EffectiveConfig};
use ocm_controllers::config::{LoadError, Loaded, Rules, load};

use crate::world::{apply, client, cluster};

fn entry(kind: &str, namespace: &str, name: &str) -> EffectiveConfig {
    EffectiveConfig {
        api_version: Some("v1".to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: Some(namespace.to_owned()),
        policy: ConfigPolicy::Propagate,
    }
}

async fn loaded(user: &str, entries: &[EffectiveConfig]) -> Result<Loaded, LoadError> {
    load(&client().await, Rules::default(), Some(user), entries).await
}

fn message(outcome: Result<Loaded, LoadError>) -> String {
    outcome.expect_err("no configuration").to_string()
}

#[tokio::test]
async fn configuration_comes_from_secrets_and_config_maps_in_their_order() {
    let namespace = cluster().namespace();
    apply(
        &namespace,
        r#"
apiVersion: v1
kind: Secret
metadata: {name: docker}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: '{"auths": {"r.example": {"username": "u", "password": "p"}}}'}
---
apiVersion: v1
kind: Secret
metadata: {name: bare}
stringData: {.ocmconfig: "{type: credentials.config.ocm.software/v1, consumers: []}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: resolvers}
data: {.ocmconfig: "{type: resolvers.config.ocm.software/v1alpha1, resolvers: []}"}
"#,
    );
    let entries = [
        entry("ConfigMap", &namespace, "resolvers"),
        entry("Secret", &namespace, "docker"),
        entry("Secret", &namespace, "bare"),
    ];
    let found = loaded(&namespace, &entries).await.unwrap();
    let documents = found.config.documents().iter();
    let kinds: Vec<_> = documents
        .flat_map(ConfigDocument::entries)
        .map(|it| it.kind().to_owned())
        .collect();
    let expected = [
        "resolvers.config.ocm.software/v1alpha1",
        "credentials.config.ocm.software/v1",
        "credentials.config.ocm.software/v1",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(found.hash.len(), 64);
    let fewer = loaded(&namespace, &entries[1..]).await.unwrap();
    assert_ne!(fewer.hash, found.hash);
    assert_eq!(loaded(&namespace, &[]).await.unwrap().hash, "");
}

#[tokio::test]
async fn credentials_of_another_namespace_are_used_only_where_their_owner_grants_it() {
    let (owner, tenant) = (cluster().namespace(), cluster().namespace());
    let secret = |name: &str, annotations: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\n\
             stringData: {{.ocmconfig: '{{type: credentials.config.ocm.software}}'}}\n"
        )
    };
    apply(&owner, &secret("kept", ""));
    let grant = format!("delivery.ocm.software/allowed-namespaces: 'other, {tenant}'");
    apply(&owner, &secret("granted", &grant));
    let granted = entry("Secret", &owner, "granted");
    loaded(&tenant, &[granted]).await.unwrap();
    let kept = entry("Secret", &owner, "kept");
    let missing = entry("Secret", &owner, "missing");
    let refused = |name: &str| {
        format!(
            "secret {owner}/{name} is not available to namespace {tenant}: it must exist, and its \
             annotation delivery.ocm.software/allowed-namespaces must name the namespace"
        )
    };
    // Who may not use it does not learn whether it exists.
    let kept_message = message(loaded(&tenant, std::slice::from_ref(&kept)).await);
    assert_eq!(kept_message, refused("kept"));
    assert_eq!(
        message(loaded(&tenant, &[missing]).await),
        refused("missing")
    );
    loaded(&owner, std::slice::from_ref(&kept)).await.unwrap();
    let rules = Rules {
        allow_cross_namespace: true,
    };
    let all = load(&client().await, rules, Some(&tenant), &[kept]).await;
    all.unwrap();
}

#[tokio::test]
async fn what_is_missing_or_has_nothing_of_use_says_so() {
    let namespace = cluster().namespace();
    apply(
        &namespace,
        "apiVersion: v1\nkind: Secret\nmetadata: {name: empty}\nstringData: {other: x}\n",
    );
    let of = |name: &str| [entry("Secret", &namespace, name)];
    assert_eq!(
        message(loaded(&namespace, &of("nothing")).await),
        format!("secret {namespace}/nothing does not exist")
    );
    assert_eq!(
        message(loaded(&namespace, &of("empty")).await),
        format!(
            "secret {namespace}/empty has neither .ocmconfig nor, as a secret, .dockerconfigjson"
        )
    );
}
