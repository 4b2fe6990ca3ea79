//! Objects come into the cluster in one pass, each with its outcome.

use std::error::Error as _;

use ocm_kube::apply::{Applier, Change, Error, Options, Outcome};
use ocm_kube::health::State;
use ocm_kube::mapping::Mapping;
use ocm_testkit::Cluster;

use crate::cluster::{client, client_of, definition, kubectl, objects, settings};

async fn applier() -> Applier {
    let client = client().await;
    Applier::new(
        client.clone(),
        Mapping::new(client),
        "test/apply",
        Options::default(),
    )
}

async fn apply(manifest: &str) -> Vec<Outcome> {
    applier().await.apply(objects(manifest)).await
}

/// What came of each object.
fn results(outcomes: &[Outcome]) -> Vec<String> {
    let outcomes = outcomes.iter().map(|outcome| {
        let result = match &outcome.result {
            Ok(applied) => format!("{:?}", applied.change),
            Err(error) => error.to_string(),
        };
        format!("{}: {result}", outcome.key)
    });
    outcomes.collect()
}

#[tokio::test]
async fn definitions_namespaces_and_what_needs_them_come_in_one_pass() {
    let manifest = format!(
        "apiVersion: apply.example.org/v1
kind: Widget
metadata: {{name: one, namespace: apply-order}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings, namespace: apply-order}}
---
{}---
apiVersion: v1
kind: Namespace
metadata: {{name: apply-order, labels: {{a: b}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader, namespace: apply-order}}
rules: []
",
        definition("apply.example.org", "Widget")
    );
    let outcomes = apply(&manifest).await;
    let expected = [
        "Widget `apply-order/one`: Created",
        "ConfigMap `apply-order/settings`: Created",
        "CustomResourceDefinition `widgets.apply.example.org`: Created",
        "Namespace `apply-order`: Created",
        "Role `apply-order/reader`: Created",
    ];
    assert_eq!(results(&outcomes), expected);
    for outcome in &outcomes {
        let applied = outcome.result.as_ref().unwrap();
        assert_eq!(applied.health.state, State::Current, "{}", outcome.key);
        assert!(!applied.uid.is_empty());
    }
    assert_eq!(outcomes[0].api_version(), "apply.example.org/v1");
    eprintln!(
        "{}",
        kubectl("get ns apply-order -o yaml --show-managed-fields")
    );
    let again = apply(&manifest).await;
    eprintln!(
        "{}",
        kubectl("get ns apply-order -o yaml --show-managed-fields")
    );
    assert!(
        results(&again).iter().all(|it| it.ends_with(": Unchanged")),
        "{again:?}"
    );
}

#[tokio::test]
async fn what_does_not_change_is_not_written() {
    let namespace = Cluster::shared().namespace();
    let manifest = settings(&namespace, &["a"]);
    let version = |outcomes: &[Outcome]| {
        outcomes[0]
            .result
            .as_ref()
            .unwrap()
            .resource_version
            .clone()
    };
    let first = apply(&manifest).await;
    let second = apply(&manifest).await;
    assert_eq!(version(&first), version(&second));
    assert_eq!(second[0].result.as_ref().unwrap().change, Change::Unchanged);
    let third = apply(&manifest.replace("'1'", "'2'")).await;
    assert_eq!(third[0].result.as_ref().unwrap().change, Change::Configured);
}

#[tokio::test]
async fn fields_of_others_stay() {
    let namespace = Cluster::shared().namespace();
    let manifest = settings(&namespace, &["a"]);
    apply(&manifest).await;
    kubectl(&format!("-n {namespace} label configmap a theirs=yes"));
    kubectl(&format!(
        "-n {namespace} patch configmap a --type=merge -p {{\"data\":{{\"more\":\"x\",\"value\":\"9\"}}}}"
    ));
    apply(&manifest).await;
    let data = kubectl(&format!(
        "-n {namespace} get configmap a -o jsonpath={{.data}}{{.metadata.labels}}"
    ));
    assert_eq!(data, r#"{"more":"x","value":"1"}{"theirs":"yes"}"#);
}

#[tokio::test]
async fn one_object_that_fails_does_not_stop_the_others() {
    let namespace = Cluster::shared().namespace();
    let manifest = format!(
        "apiVersion: nowhere.example.org/v1\nkind: Thing\nmetadata: {{name: a}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: BAD_NAME, namespace: {namespace}}}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: b, namespace: not-there}}\n{}{}",
        settings(&namespace, &["good"]),
        settings(&namespace, &["good"]),
    );
    let outcomes = apply(&manifest).await;
    let results = results(&outcomes);
    let served = "Thing `a`: the API server does not serve nowhere.example.org/v1 Thing";
    assert_eq!(results[0], served);
    assert!(results[1].contains("BAD_NAME"), "{}", results[1]);
    let missing = "ConfigMap `not-there/b`: namespaces \"not-there\" not found";
    assert_eq!(results[2], missing);
    assert_eq!(results[3], format!("ConfigMap `{namespace}/good`: Created"));
    assert_eq!(
        results[4],
        format!("ConfigMap `{namespace}/good`: it is there twice")
    );
}

#[tokio::test]
async fn scopes_are_put_right() {
    let name = Cluster::shared().namespace();
    let manifest = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n\
         metadata: {{name: {name}, namespace: somewhere}}\n"
    );
    let expected = [
        format!("ConfigMap `default/{name}`: Created"),
        format!("ClusterRole `{name}`: Created"),
    ];
    assert_eq!(results(&apply(&manifest).await), expected);
}

#[tokio::test]
async fn a_definition_that_cannot_be_established_says_why() {
    let group = "taken.example.org";
    let first = definition(group, "Taken");
    let second = first.replace("name: takens.", "name: others.").replace(
        "plural: takens, singular: taken",
        "plural: others, singular: other",
    );
    apply(&first).await;
    let outcomes = apply(&second).await;
    let error = outcomes[0].result.as_ref().unwrap_err();
    assert!(matches!(error, Error::NotEstablished { .. }), "{error}");
    assert!(error.to_string().contains("is already in use"), "{error}");
}

#[tokio::test]
async fn missing_permission_is_said_by_the_api_server() {
    let namespace = Cluster::shared().namespace();
    let client = client_of(&Cluster::shared().kubeconfig_for("tenant")).await;
    let mapping = Mapping::new(client.clone());
    let applier = Applier::new(client, mapping, "test/apply", Options::default());
    let outcomes = applier.apply(objects(&settings(&namespace, &["a"]))).await;
    let error = outcomes[0].result.as_ref().unwrap_err();
    assert!(error.to_string().contains("is forbidden"), "{error}");
    assert!(error.source().is_none(), "{:?}", error.source());
    assert!(matches!(error, Error::Api(error) if error.is_forbidden() && !error.is_transient()));
}

#[tokio::test]
async fn fields_that_a_kind_does_not_have_are_refused() {
    let namespace = Cluster::shared().namespace();
    let object = |kind: &str| {
        format!(
            "---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: it, namespace: {namespace}}}\n\
             spce: {{a: b}}\n"
        )
    };
    for kind in ["ConfigMap", "Service"] {
        let outcomes = apply(&object(kind)).await;
        let error = outcomes[0].result.as_ref().unwrap_err().to_string();
        assert!(
            error.contains("spce: field not declared in schema"),
            "{error}"
        );
    }
}
