//! What a process says about itself and its objects.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Resource as _;
use kube::api::{Api, Patch, PatchParams};
use ocm_kube::events::{Event, Events, Severity};
use ocm_kube::metrics::Metrics;
use ocm_kube::{serve, shutdown, status};
use ocm_testkit::Cluster;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::cluster::{client, kubectl, kubectl_with};

async fn deployment() -> (String, Api<Deployment>) {
    let namespace = Cluster::shared().namespace();
    kubectl(&format!("-n {namespace} create deployment d --image=i"));
    let api = Api::namespaced(client().await, &namespace);
    (namespace, api)
}

#[tokio::test]
async fn a_status_is_written_only_where_it_differs() {
    let (_, api) = deployment().await;
    let object = api.get("d").await.unwrap();
    let before = json!({});
    let after = json!({"replicas": 2, "observedGeneration": 1, "readyReplicas": null});
    assert!(
        status::write(&api, &object, &before, &after, "test")
            .await
            .unwrap()
    );
    let written = api.get("d").await.unwrap();
    assert_eq!(written.status.as_ref().unwrap().replicas, Some(2));
    assert!(
        !status::write(&api, &object, &after, &after, "test")
            .await
            .unwrap()
    );
    let again = api.get("d").await.unwrap();
    assert_eq!(
        again.metadata.resource_version,
        written.metadata.resource_version
    );
    let less = json!({"observedGeneration": 1});
    assert!(
        status::write(&api, &object, &after, &less, "test")
            .await
            .unwrap()
    );
    assert_eq!(api.get("d").await.unwrap().status.unwrap().replicas, None);
}

#[tokio::test]
async fn the_status_of_another_object_of_the_name_is_not_touched() {
    let (namespace, api) = deployment().await;
    let object = api.get("d").await.unwrap();
    kubectl(&format!("-n {namespace} delete deployment d"));
    let after = json!({"replicas": 2});
    let gone = status::write(&api, &object, &json!({}), &after, "test").await;
    assert_eq!(
        gone.unwrap_err().to_string(),
        "cannot write the status of `d`"
    );
    kubectl(&format!("-n {namespace} create deployment d --image=i"));
    let other = status::write(&api, &object, &json!({}), &after, "test").await;
    assert!(other.is_err());
    let status = api.get("d").await.unwrap().status.unwrap_or_default();
    assert_eq!(status.replicas, None);
}

#[tokio::test]
async fn conditions_that_others_write_meanwhile_stay() {
    let (_, api) = deployment().await;
    // Nothing of what follows is in it.
    let object = api.get("d").await.unwrap();
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
    let theirs = |conditions: Value| {
        let patch = Patch::Merge(json!({"status": {"conditions": conditions}}));
        let api = api.clone();
        async move {
            let params = PatchParams::default();
            api.patch_status("d", &params, &patch).await.unwrap();
        }
    };
    let ours = |before: &[Value], after: &[Value]| {
        let (before, after) = (json!({"conditions": before}), json!({"conditions": after}));
        let (api, object) = (api.clone(), object.clone());
        async move {
            let written = status::write(&api, &object, &before, &after, "test").await;
            assert!(written.unwrap());
            let conditions = api.get("d").await.unwrap().status.unwrap().conditions;
            let conditions = conditions.unwrap().into_iter();
            let conditions: Vec<_> = conditions.map(|it| (it.type_, it.status)).collect();
            conditions
        }
    };
    let pairs = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        let pairs: Vec<_> = pairs
            .map(|(kind, status)| ((*kind).to_owned(), (*status).to_owned()))
            .collect();
        pairs
    };
    theirs(json!([condition("Theirs", "True")])).await;
    let (ready, unready) = (condition("Ready", "True"), condition("Ready", "False"));
    let written = ours(&[], std::slice::from_ref(&ready)).await;
    assert_eq!(written, pairs(&[("Theirs", "True"), ("Ready", "True")]));
    let written = ours(std::slice::from_ref(&ready), std::slice::from_ref(&unready)).await;
    assert_eq!(written, pairs(&[("Theirs", "True"), ("Ready", "False")]));
    let known = [condition("Theirs", "True"), unready];
    let wanted = [
        condition("Theirs", "True"),
        ready,
        condition("Healthy", "True"),
    ];
    theirs(json!([
        condition("Theirs", "False"),
        condition("Ready", "False")
    ]))
    .await;
    let written = ours(&known, &wanted).await;
    let all = [("Theirs", "False"), ("Ready", "True"), ("Healthy", "True")];
    assert_eq!(written, pairs(&all));
}

#[tokio::test]
async fn events_are_there_once_with_their_annotations() {
    let (namespace, api) = deployment().await;
    let object = api.get("d").await.unwrap().object_ref(&());
    let (events, writer) = Events::new(client().await, "ocm-test", "one", Timestamp::now);
    let annotations = BTreeMap::from([("a.org/b".to_owned(), "c".to_owned())]);
    let event = Event {
        severity: Severity::Warning,
        reason: "Because".to_owned(),
        message: "it is so".to_owned(),
        annotations,
    };
    // A namespace that does not exist: said in the log, and no more.
    let nowhere = k8s_openapi::api::core::v1::ObjectReference {
        namespace: Some("not-there".to_owned()),
        uid: Some("other".to_owned()),
        ..object.clone()
    };
    events.publish(&nowhere, event.clone());
    for _ in 0..3 {
        events.publish(&object, event.clone());
    }
    let stop = CancellationToken::new();
    stop.cancel();
    // What waits is written all the same.
    writer.run(stop).await;
    let fields = "jsonpath={range .items[*]}{.type},{.reason},{.message},{.count},\
        {.source.component},{.involvedObject.name},{.metadata.annotations};{end}";
    let found = kubectl_with(&["-n", &namespace, "get", "events", "-o", fields]);
    assert_eq!(
        found,
        "Warning,Because,it is so,1,ocm-test,d,{\"a.org/b\":\"c\"};"
    );
}

/// Asks a server, and returns status and body.
async fn get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn probes_and_metrics_are_answered_until_the_stop() {
    let numbers = Metrics::default();
    numbers.counter("passes_total", "Passes.", &[]).add(&[], 7);
    let leading = CancellationToken::new();
    let started = leading.clone();
    let ready = move || {
        let started = started.is_cancelled();
        started
            .then_some(())
            .ok_or_else(|| "not started".to_owned())
    };
    let router = serve::probes(ready).merge(serve::metrics(numbers));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve::serve(listener, router, stop.clone()));
    assert_eq!(get(address, "/healthz").await, (200, "ok".to_owned()));
    assert_eq!(
        get(address, "/readyz").await,
        (503, "not started".to_owned())
    );
    leading.cancel();
    assert_eq!(get(address, "/readyz").await, (200, "ok".to_owned()));
    assert!(
        get(address, "/metrics")
            .await
            .1
            .ends_with("passes_total 7\n")
    );
    assert_eq!(get(address, "/other").await.0, 404);
    stop.cancel();
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_signal_asks_for_the_end() {
    let token = shutdown::on_signal().unwrap();
    assert!(!token.is_cancelled());
    let kill = ["-TERM", &std::process::id().to_string()];
    let status = std::process::Command::new("kill").args(kill).status();
    assert!(status.unwrap().success());
    let waited = tokio::time::timeout(Duration::from_mins(1), token.cancelled()).await;
    waited.unwrap();
}
