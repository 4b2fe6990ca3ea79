//! Owners are told of changes, of theirs alone, and soon.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::Client;
use kube::api::ApiResource;
use ocm_kube::watches::{Options, Owner, OwnerKind, Watches};
use ocm_testkit::{Cluster, eventually};

use crate::cluster::{client, client_of, kubectl};

const SELECTOR: &str = "test.example.org/managed=watches";

fn resource(kind: &str, plural: &str, group: &str) -> ApiResource {
    ApiResource {
        group: group.to_owned(),
        version: "v1".to_owned(),
        api_version: if group.is_empty() {
            "v1".to_owned()
        } else {
            format!("{group}/v1")
        },
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

fn settings() -> ApiResource {
    resource("ConfigMap", "configmaps", "")
}

fn watches(client: Client) -> Watches {
    let owner = OwnerKind {
        group: String::new(),
        kind: "Namespace".to_owned(),
        namespaced: false,
    };
    let options = Options {
        selector: SELECTOR.to_owned(),
        owner,
    };
    Watches::new(client, options)
}

/// A namespace, which is the owner of what is in it.
fn owner() -> Owner {
    let name = Cluster::shared().namespace();
    Owner {
        uid: kubectl(&format!(
            "get namespace {name} -o jsonpath={{.metadata.uid}}"
        )),
        namespace: None,
        name,
    }
}

/// Applies a manifest with labels and owner; returns identifier and version of the object.
fn write(owner: &Owner, kind: &str, name: &str, rest: &str) -> (String, String) {
    let Owner {
        uid,
        name: namespace,
        ..
    } = owner;
    let (api_version, kind) = kind.rsplit_once(' ').unwrap();
    let (key, value) = SELECTOR.split_once('=').unwrap();
    let manifest = format!(
        "apiVersion: {api_version}
kind: {kind}
metadata:
  name: {name}
  namespace: {namespace}
  labels: {{{key}: {value}}}
  ownerReferences: [{{apiVersion: v1, kind: Namespace, name: {namespace}, uid: {uid}, controller: true}}]
{rest}
"
    );
    let arguments = [
        "apply",
        "--server-side",
        "-f",
        "-",
        "-o",
        "jsonpath={.metadata.uid} {.metadata.resourceVersion}",
    ];
    let output = Cluster::shared().kubectl_with(&arguments, &manifest);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (uid, version) = text.split_once(' ').unwrap();
    (uid.to_owned(), version.to_owned())
}

async fn next(changes: &mut (impl Stream<Item = Owner> + Unpin)) -> Owner {
    let next = tokio::time::timeout(Duration::from_mins(1), changes.next()).await;
    next.expect("an owner in time").unwrap()
}

/// Makes one pass that leaves one object.
fn pass(watches: &Watches, owner: &Owner, name: &str) -> (String, String) {
    let pass = watches.begin(owner, &[settings()]);
    let left = write(owner, "v1 ConfigMap", name, "data: {value: '1'}");
    pass.end(&[settings()], [(left.0.as_str(), left.1.as_str())]);
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_told_and_own_writes_are_not() {
    let watches = watches(client().await);
    let mut changes = Box::pin(watches.changes());
    let (first, second) = (owner(), owner());
    pass(&watches, &first, "a");
    pass(&watches, &second, "a");
    let Owner { name, .. } = &first;
    kubectl(&format!(
        "-n {name} patch configmap a --type=merge -p {{\"data\":{{\"value\":\"9\"}}}}"
    ));
    // The writes of the passes have come before, and told nobody.
    assert_eq!(next(&mut changes).await, first);
    kubectl(&format!("-n {} delete configmap a", second.name));
    assert_eq!(next(&mut changes).await, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_status_tells_nobody() {
    let watches = watches(client().await);
    let mut changes = Box::pin(watches.changes());
    let (quiet, changed) = (owner(), owner());
    let kinds = [resource("Deployment", "deployments", "apps")];
    let spec = "spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, \
        spec: {containers: [{name: c, image: i}]}}}";
    for owner in [&quiet, &changed] {
        let pass = watches.begin(owner, &kinds);
        let left = write(owner, "apps/v1 Deployment", "d", spec);
        pass.end(&kinds, [(&*left.0, &*left.1)]);
    }
    let status = r#"{"status":{"replicas":1,"observedGeneration":1}}"#;
    let patch = |owner: &Owner, more: &str, patch: &str| {
        let name = &owner.name;
        kubectl(&format!(
            "-n {name} patch deployment d {more} --type=merge -p {patch}"
        ));
    };
    patch(&quiet, "--subresource=status", status);
    // Of one watch, so that what comes of the other change would come first.
    patch(&changed, "", r#"{"spec":{"replicas":3}}"#);
    assert_eq!(next(&mut changes).await, changed);
    patch(&quiet, "", r#"{"spec":{"replicas":3}}"#);
    assert_eq!(next(&mut changes).await, quiet);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_leaves_takes_no_watch_from_others() {
    let watches = watches(client().await);
    let mut changes = Box::pin(watches.changes());
    let (stays, leaves) = (owner(), owner());
    pass(&watches, &stays, "a");
    pass(&watches, &leaves, "a");
    watches.release(&leaves.uid);
    kubectl(&format!("-n {} delete configmap a", leaves.name));
    kubectl(&format!("-n {} delete configmap a", stays.name));
    assert_eq!(next(&mut changes).await, stays);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_cannot_be_watched_stops_no_other() {
    let name = Cluster::shared().namespace();
    kubectl(&format!(
        "create clusterrole {name} --verb=list,watch --resource=configmaps"
    ));
    kubectl(&format!(
        "create clusterrolebinding {name} --clusterrole={name} --user=tenant"
    ));
    let client = client_of(&Cluster::shared().kubeconfig_for("tenant")).await;
    let watches = watches(client);
    let mut changes = Box::pin(watches.changes());
    let owner = owner();
    let forbidden = resource("Secret", "secrets", "");
    let missing = resource("Thing", "things", "nowhere.example.org");
    watches.begin(&owner, &[forbidden.clone(), missing.clone(), settings()]);
    let problems = eventually("both fail", || {
        let problems = watches.problems(&owner.uid);
        if problems.len() == 2 {
            Ok(problems)
        } else {
            Err(format!("{problems:?}"))
        }
    });
    let text = format!("{problems:?}");
    assert!(
        text.contains("is forbidden") && text.contains("Thing"),
        "{text}"
    );
    let left = write(&owner, "v1 ConfigMap", "a", "data: {}");
    watches
        .begin(&owner, &[])
        .end(&[forbidden, missing, settings()], [(&*left.0, &*left.1)]);
    kubectl(&format!("-n {} delete configmap a", owner.name));
    assert_eq!(next(&mut changes).await, owner);
}
