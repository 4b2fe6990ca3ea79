//! Kinds are found, missed, and found again, at a price.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kube::core::GroupVersionKind;
use kube::{Client, Config};
use ocm_kube::mapping::{Mapping, PAUSE};
use ocm_testkit::Cluster;

use crate::cluster::{client, definition};

fn kind(group: &str, version: &str, kind: &str) -> GroupVersionKind {
    GroupVersionKind::gvk(group, version, kind)
}

#[tokio::test]
async fn kinds_are_found_with_their_resource_and_scope() {
    let mapping = Mapping::new(client().await);
    for (group, version, name, plural, namespaced) in [
        ("", "v1", "ConfigMap", "configmaps", true),
        ("", "v1", "Namespace", "namespaces", false),
        ("apps", "v1", "Deployment", "deployments", true),
        ("networking.k8s.io", "v1", "Ingress", "ingresses", true),
        (
            "rbac.authorization.k8s.io",
            "v1",
            "ClusterRole",
            "clusterroles",
            false,
        ),
    ] {
        let found = mapping.find(&kind(group, version, name)).await.unwrap();
        let found = found.unwrap_or_else(|| panic!("{name}"));
        assert_eq!(found.resource.plural, plural);
        assert_eq!(found.namespaced, namespaced, "{name}");
    }
    for (group, version, name) in [
        ("", "v1", "Nothing"),
        ("apps", "v9", "Deployment"),
        ("nowhere.example.org", "v1", "Deployment"),
    ] {
        assert_eq!(
            mapping.find(&kind(group, version, name)).await.unwrap(),
            None
        );
    }
}

#[tokio::test]
async fn a_kind_is_found_in_the_version_that_is_preferred() {
    let mapping = Mapping::new(client().await);
    let found = mapping.find_any_version("autoscaling", "HorizontalPodAutoscaler");
    assert_eq!(found.await.unwrap().unwrap().resource.version, "v2");
    let found = mapping.find_any_version("", "Secret").await.unwrap();
    assert_eq!(found.unwrap().resource.plural, "secrets");
    let found = mapping.find_any_version("nowhere.example.org", "Thing");
    assert_eq!(found.await.unwrap(), None);
}

#[tokio::test]
async fn a_kind_that_is_defined_later_is_found() {
    let mapping = Mapping::new(client().await);
    let wanted = kind("mapping.example.org", "v1", "Late");
    assert_eq!(mapping.find(&wanted).await.unwrap(), None);
    let manifest = definition("mapping.example.org", "Late");
    let output = Cluster::shared().kubectl_with(&["create", "-f", "-"], &manifest);
    assert!(output.status.success(), "{output:?}");
    let found = mapping.await_kind(&wanted, Duration::from_mins(1)).await;
    assert_eq!(found.unwrap().resource.plural, "lates");
    assert!(mapping.find(&wanted).await.unwrap().is_some());
}

#[tokio::test]
async fn a_kind_that_does_not_come_is_an_error_that_names_it() {
    let mapping = Mapping::new(client().await);
    let wanted = kind("never.example.org", "v1", "Thing");
    let found = mapping.await_kind(&wanted, Duration::ZERO).await;
    let error = found.unwrap_err().to_string();
    assert_eq!(
        error,
        "the API server does not serve never.example.org/v1 Thing"
    );
}

/// A client of a server that answers every request with 404, and counts.
async fn counting() -> (Client, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let router = axum::Router::new().fallback(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { http::StatusCode::NOT_FOUND }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let url = format!("http://{address}").parse().unwrap();
    (Client::try_from(Config::new(url)).unwrap(), requests)
}

#[tokio::test]
async fn kinds_that_stay_unknown_cost_one_request_in_a_while() {
    let (client, requests) = counting().await;
    let mapping = Mapping::new(client);
    let wanted = kind("never.example.org", "v1", "Thing");
    let asking: Vec<_> = (0..50).map(|_| mapping.find(&wanted)).collect();
    for found in futures::future::join_all(asking).await {
        assert_eq!(found.unwrap(), None);
    }
    assert_eq!(requests.load(Ordering::Relaxed), 1);
    tokio::time::pause();
    tokio::time::advance(PAUSE).await;
    tokio::time::resume();
    assert_eq!(mapping.find(&wanted).await.unwrap(), None);
    assert_eq!(requests.load(Ordering::Relaxed), 2);
}
