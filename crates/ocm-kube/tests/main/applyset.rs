//! Sets of objects, from their first to their last.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ApiResource;
use kube::{Api, Client};
use ocm_kube::apply::{Applier, Change, Memory, Options};
use ocm_kube::applyset::{ApplySet, Error, Parent, Report};
use ocm_kube::mapping::Mapping;
use ocm_testkit::Cluster;

use crate::cluster::{client, client_of, definition, kubectl, noting_client, objects, settings};

const MANAGER: &str = "test/applyset";

/// A set whose parent is a configuration of a namespace of its own.
struct Fixture {
    namespace: String,
    set: ApplySet,
    id: String,
    memory: Memory,
}

impl Fixture {
    async fn new() -> Self {
        let namespace = Cluster::shared().namespace();
        kubectl(&format!("-n {namespace} create configmap parent"));
        Self::of(&namespace, "parent", client().await)
    }

    fn of(namespace: &str, name: &str, client: Client) -> Self {
        let uid = kubectl(&format!(
            "-n {namespace} get configmap {name} -o jsonpath={{.metadata.uid}}"
        ));
        let parent = Parent {
            resource: ApiResource::erase::<ConfigMap>(&()),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
            uid,
        };
        let mapping = Mapping::new(client.clone());
        let applier = Applier::new(client, mapping, MANAGER, Options::default());
        Self {
            namespace: namespace.to_owned(),
            id: parent.id(),
            set: ApplySet::new(applier, parent, "test/1.0.0"),
            memory: Memory::default(),
        }
    }

    async fn apply(&self, manifest: &str) -> Report {
        self.set
            .apply(objects(manifest), &self.memory)
            .await
            .unwrap()
    }

    async fn apply_settings(&self, names: &[&str]) -> Report {
        self.apply(&settings(&self.namespace, names)).await
    }

    fn annotation(&self, key: &str) -> String {
        let key = format!("applyset.kubernetes.io/{key}").replace('.', "\\.");
        let Self { namespace, .. } = self;
        kubectl(&format!(
            "-n {namespace} get configmap parent -o jsonpath={{.metadata.annotations.{key}}}"
        ))
    }

    fn set_finalizers(&self, object: &str, finalizers: &str) {
        let Self { namespace, .. } = self;
        kubectl(&format!(
            "-n {namespace} patch {object} --type=merge -p {{\"metadata\":{{\"finalizers\":{finalizers}}}}}"
        ));
    }

    fn names(&self, kind: &str) -> Vec<String> {
        let Self { namespace, id, .. } = self;
        let names = kubectl(&format!(
            "-n {namespace} get {kind} -l applyset.kubernetes.io/part-of={id} \
             -o jsonpath={{.items[*].metadata.name}}"
        ));
        names.split_whitespace().map(str::to_owned).collect()
    }
}

fn changes(report: &Report) -> Vec<Change> {
    let outcomes = report.outcomes.iter();
    outcomes
        .map(|it| it.result.as_ref().unwrap().change)
        .collect()
}

#[tokio::test]
async fn members_that_are_no_longer_wanted_go_and_the_scope_shrinks() {
    let it = Fixture::new().await;
    let namespace = &it.namespace;
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: {namespace}}}\n"
    );
    let report = it
        .apply(&(settings(namespace, &["a", "b"]) + &secret))
        .await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(it.annotation("contains-group-kinds"), "ConfigMap,Secret");
    assert_eq!(it.annotation("additional-namespaces"), "");
    assert_eq!(it.annotation("tooling"), "test/1.0.0");
    let label = kubectl(&format!(
        "-n {namespace} get configmap -l applyset.kubernetes.io/id={} -o name",
        it.id
    ));
    assert_eq!(label.trim(), "configmap/parent");

    let report = it.apply_settings(&["b", "c"]).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(changes(&report), [Change::Unchanged, Change::Created]);
    // Both are of one stage, of which nothing waits for anything else.
    let mut pruned: Vec<_> = report.pruned.iter().map(|it| it.name.as_str()).collect();
    pruned.sort_unstable();
    assert_eq!(pruned, ["a", "s"]);
    assert_eq!(it.names("configmap"), ["b", "c"]);
    assert_eq!(it.names("secret"), Vec::<String>::new());
    assert_eq!(it.annotation("contains-group-kinds"), "ConfigMap");
}

#[tokio::test]
async fn a_new_member_costs_one_request_and_an_unchanged_one_none() {
    let namespace = Cluster::shared().namespace();
    kubectl(&format!("-n {namespace} create configmap parent"));
    let (client, asked) = noting_client().await;
    let it = Fixture::of(&namespace, "parent", client);
    let of_members = || {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/");
        let mut asked = asked.take();
        asked.retain(|it| it.contains(&path) && !it.ends_with("/parent"));
        let names = asked.iter().map(|it| it.replace(&path, ""));
        names.collect::<Vec<_>>()
    };
    let report = it.apply_settings(&["a", "b"]).await;
    assert_eq!(changes(&report), [Change::Created, Change::Created]);
    assert_eq!(of_members(), ["PATCH a", "PATCH b"]);
    let report = it.apply_settings(&["a", "b"]).await;
    assert_eq!(changes(&report), [Change::Unchanged, Change::Unchanged]);
    assert_eq!(of_members(), [""; 0]);
    // What is there already is looked at before it is taken over.
    kubectl(&format!("-n {namespace} create configmap c"));
    let report = it.apply_settings(&["a", "b", "c"]).await;
    assert_eq!(changes(&report)[2], Change::Adopted);
    assert_eq!(of_members(), ["GET c", "PATCH c", "PATCH c"]);
}

#[tokio::test]
async fn what_an_earlier_process_has_left_is_not_applied_again_unless_something_differs() {
    let namespace = Cluster::shared().namespace();
    kubectl(&format!("-n {namespace} create configmap parent"));
    let (client, asked) = noting_client().await;
    let mut it = Fixture::of(&namespace, "parent", client);
    let service = format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s, namespace: {namespace}}}\n\
         spec: {{ports: [{{port: 80}}]}}\n"
    );
    let manifest = settings(&namespace, &["a", "b"]) + &service;
    let applied = || {
        let mut asked = asked.take();
        asked.retain(|it| it.starts_with("PATCH") && !it.ends_with("/parent"));
        let names = asked.iter().filter_map(|it| it.rsplit_once('/'));
        names.map(|(_, name)| name.to_owned()).collect::<Vec<_>>()
    };
    let left = it.apply(&manifest).await.left;
    assert_eq!(applied(), ["a", "b", "s"]);

    // Of a kind with a status it is not certain.
    it.memory = Memory::of_earlier(left.clone());
    let report = it.apply(&manifest).await;
    assert_eq!(changes(&report), [Change::Unchanged; 3]);
    assert_eq!(applied(), ["s"]);
    assert_eq!(report.left, left);
    it.apply(&manifest).await;
    assert_eq!(applied(), [""; 0]);

    // Somebody has taken one away, or changed one, or it is not wanted any more as it was.
    kubectl(&format!("-n {namespace} delete configmap a"));
    it.memory = Memory::of_earlier(left);
    let report = it.apply(&manifest).await;
    assert_eq!(changes(&report)[0], Change::Created);
    assert_eq!(applied(), ["a", "b", "s"]);
    let left = report.left;
    kubectl(&format!(
        "-n {namespace} patch configmap a --type=merge -p {{\"data\":{{\"value\":\"9\"}}}}"
    ));
    it.memory = Memory::of_earlier(left);
    let report = it.apply(&manifest).await;
    assert_eq!(changes(&report)[0], Change::Configured);
    assert_eq!(applied(), ["a", "b", "s"]);
    it.memory = Memory::of_earlier(report.left);
    let report = it.apply_settings(&["a"]).await;
    assert_eq!(applied(), ["a"]);
    assert_eq!(report.pruned.len() + report.terminating.len(), 2);

    // Nobody knows how it was left by an earlier version of ours.
    it.memory = Memory::of_earlier(None);
    it.apply_settings(&["a"]).await;
    assert_eq!(applied(), ["a"]);
}

#[tokio::test]
async fn a_parent_that_is_watched_is_not_read_and_gets_its_finalizers_with_the_rest() {
    let namespace = Cluster::shared().namespace();
    kubectl(&format!("-n {namespace} create configmap parent"));
    let (noting, asked) = noting_client().await;
    let it = Fixture::of(&namespace, "parent", noting);
    let parents = Api::<ConfigMap>::namespaced(client().await, &namespace);
    let apply = async |seen: &ConfigMap, names: &[&str]| {
        let set = it.set.clone().kept_by(&["example.org/keep"]);
        let objects = objects(&settings(&namespace, names));
        let set = set.seen_as(seen.metadata.clone());
        let report = set.apply(objects, &it.memory).await.unwrap();
        assert!(report.is_complete(), "{report:?}");
        let mut asked = asked.take();
        asked.retain(|it| it.ends_with("/parent"));
        asked.len()
    };
    let first = parents.get("parent").await.unwrap();
    assert_eq!(apply(&first, &["a", "b"]).await, 1);
    let written = parents.get("parent").await.unwrap();
    assert_eq!(written.metadata.finalizers.unwrap(), ["example.org/keep"]);
    assert_eq!(it.annotation("contains-group-kinds"), "ConfigMap");
    // What was written may be seen late, and members are known all the same.
    assert_eq!(apply(&first, &["a"]).await, 0);
    assert_eq!(it.names("configmap"), ["a"]);
    // Whoever takes finalizers away does not keep them away.
    kubectl(&format!(
        "-n {namespace} patch configmap parent --type=merge -p {{\"metadata\":{{\"finalizers\":null}}}}"
    ));
    let taken = parents.get("parent").await.unwrap();
    assert_eq!(apply(&taken, &["a"]).await, 1);
    let written = parents.get("parent").await.unwrap();
    assert_eq!(written.metadata.finalizers.unwrap(), ["example.org/keep"]);
}

#[tokio::test]
async fn other_namespaces_are_named_until_they_are_left() {
    let it = Fixture::new().await;
    let other = Cluster::shared().namespace();
    it.apply(&settings(&other, &["a"])).await;
    assert_eq!(it.annotation("additional-namespaces"), other);
    let report = it.apply_settings(&["a"]).await;
    assert_eq!(report.pruned[0].path(), format!("{other}/a"));
    assert_eq!(it.annotation("additional-namespaces"), "");
}

#[tokio::test]
async fn what_belongs_to_another_set_is_refused_and_nothing_pruned() {
    let first = Fixture::new().await;
    let namespace = first.namespace.clone();
    first.apply_settings(&["shared"]).await;
    kubectl(&format!("-n {namespace} create configmap other-parent"));
    let second = Fixture::of(&namespace, "other-parent", client().await);
    second.apply_settings(&["own"]).await;
    let report = second.apply_settings(&["shared", "new"]).await;
    let error = report.outcomes[0].result.as_ref().unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "resource belongs to a different ApplySet: {namespace}/shared (/v1, Kind=ConfigMap) \
             belongs to ApplySet \"{}\", cannot reassign to \"{}\"",
            first.id, second.id
        )
    );
    assert!(report.outcomes[1].result.is_ok());
    assert!(report.pruned.is_empty() && !report.is_complete());
    assert_eq!(first.names("configmap"), ["shared"]);
    assert_eq!(second.names("configmap"), ["new", "own"]);
}

#[tokio::test]
async fn what_belongs_to_no_set_is_adopted_and_said_to_be() {
    let it = Fixture::new().await;
    kubectl(&format!(
        "-n {} create configmap there --from-literal=theirs=1",
        it.namespace
    ));
    let report = it.apply_settings(&["there"]).await;
    assert_eq!(changes(&report), [Change::Adopted]);
    assert_eq!(
        changes(&it.apply_settings(&["there"]).await),
        [Change::Unchanged]
    );
    let data = format!(
        "-n {} get configmap there -o jsonpath={{.data}}",
        it.namespace
    );
    assert_eq!(kubectl(&data), r#"{"theirs":"1","value":"1"}"#);
}

#[tokio::test]
async fn a_change_by_others_is_put_right() {
    let it = Fixture::new().await;
    it.apply_settings(&["a", "b"]).await;
    let Fixture { namespace, .. } = &it;
    kubectl(&format!(
        "-n {namespace} patch configmap a --type=merge -p {{\"data\":{{\"value\":\"9\"}}}}"
    ));
    kubectl(&format!("-n {namespace} delete configmap b"));
    let report = it.apply_settings(&["a", "b"]).await;
    assert_eq!(changes(&report), [Change::Configured, Change::Created]);
    let report = it.apply_settings(&["a", "b"]).await;
    assert_eq!(changes(&report), [Change::Unchanged, Change::Unchanged]);
}

#[tokio::test]
async fn a_kind_that_has_vanished_stops_nothing() {
    let it = Fixture::new().await;
    let thing = format!(
        "---\napiVersion: vanish.example.org/v1\nkind: Ghost\nmetadata: {{name: a, namespace: {}}}\n",
        it.namespace
    );
    let definition = definition("vanish.example.org", "Ghost");
    let output = Cluster::shared().kubectl_with(&["create", "-f", "-"], &definition);
    assert!(output.status.success(), "{output:?}");
    let report = apply_once_served(&it, &(settings(&it.namespace, &["a"]) + &thing)).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(
        it.annotation("contains-group-kinds"),
        "ConfigMap,Ghost.vanish.example.org"
    );
    kubectl("delete customresourcedefinition ghosts.vanish.example.org");
    kubectl("wait --for=delete customresourcedefinition/ghosts.vanish.example.org --timeout=60s");
    let report = it.apply_settings(&["a"]).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(it.annotation("contains-group-kinds"), "ConfigMap");
    assert!(it.set.delete().await.unwrap().is_empty());
}

/// Applies until the kind is served, which it is a moment after it was defined.
async fn apply_once_served(it: &Fixture, manifest: &str) -> Report {
    let kind = kube::core::GroupVersionKind::gvk("vanish.example.org", "v1", "Ghost");
    let mapping = Mapping::new(client().await);
    mapping
        .await_kind(&kind, std::time::Duration::from_mins(1))
        .await
        .unwrap();
    it.apply(manifest).await
}

#[tokio::test]
async fn all_goes_in_stages_and_what_stays_is_said() {
    let it = Fixture::new().await;
    let Fixture { namespace, .. } = &it;
    let manifest = settings(namespace, &["a"])
        + &format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s, namespace: {namespace}}}\n\
                    spec: {{ports: [{{port: 80}}]}}\n"
        );
    assert!(it.apply(&manifest).await.is_complete());
    it.set_finalizers("service s", r#"["example.org/keep"]"#);
    for _ in 0..2 {
        let left = it.set.delete().await.unwrap();
        let left: Vec<_> = left.iter().map(ToString::to_string).collect();
        let expected = [
            format!("Service `{namespace}/s`"),
            format!("ConfigMap `{namespace}/a`"),
        ];
        assert_eq!(left, expected, "what is applied first goes last");
    }
    it.set_finalizers("service s", "null");
    assert!(it.set.delete().await.unwrap().is_empty());
    assert!(it.names("configmap").is_empty() && it.names("service").is_empty());
    assert!(it.set.delete().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_member_that_is_slow_to_go_stays_in_the_scope() {
    let it = Fixture::new().await;
    let Fixture { namespace, .. } = &it;
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: {namespace}, \
         finalizers: [example.org/keep]}}\n"
    );
    it.apply(&(settings(namespace, &["a"]) + &secret)).await;
    let report = it.apply_settings(&["a"]).await;
    assert_eq!(report.terminating.len(), 1);
    assert_eq!(it.annotation("contains-group-kinds"), "ConfigMap,Secret");
    it.set_finalizers("secret s", "null");
    it.apply_settings(&["a"]).await;
    assert_eq!(it.annotation("contains-group-kinds"), "ConfigMap");
}

#[tokio::test]
async fn what_is_no_longer_wanted_goes_in_stages_too() {
    let it = Fixture::new().await;
    let Fixture { namespace, .. } = &it;
    let service = format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s, namespace: {namespace}, \
         finalizers: [example.org/keep]}}\nspec: {{ports: [{{port: 80}}]}}\n"
    );
    it.apply(&(settings(namespace, &["a", "b"]) + &service))
        .await;
    for _ in 0..2 {
        let report = it.apply_settings(&["a"]).await;
        assert!(report.pruned.is_empty(), "{:?}", report.pruned);
        assert_eq!(report.terminating.len(), 2, "{:?}", report.terminating);
        assert_eq!(it.names("configmap"), ["a", "b"]);
        assert_eq!(it.annotation("contains-group-kinds"), "ConfigMap,Service");
    }
    it.set_finalizers("service s", "null");
    let report = it.apply_settings(&["a"]).await;
    assert_eq!(report.pruned.len(), 1, "{report:?}");
    assert_eq!(it.names("configmap"), ["a"]);
    assert_eq!(it.annotation("contains-group-kinds"), "ConfigMap");
}

#[tokio::test]
async fn many_members_are_listed_in_pages() {
    let it = Fixture::new().await;
    let names: Vec<_> = (0..620).map(|index| format!("s{index}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert!(it.apply_settings(&names).await.is_complete());
    let report = it.apply_settings(&names[..1]).await;
    assert!(report.is_complete(), "{:?}", report.prune_errors);
    assert_eq!(report.pruned.len(), 619);
}

#[tokio::test]
async fn nothing_is_applied_for_a_parent_that_has_gone() {
    let it = Fixture::new().await;
    let Fixture { namespace, .. } = &it;
    kubectl(&format!("-n {namespace} delete configmap parent"));
    kubectl(&format!("-n {namespace} create configmap parent"));
    let applied = it
        .set
        .apply(objects(&settings(namespace, &["a"])), &it.memory)
        .await;
    let error = applied.unwrap_err();
    assert!(matches!(error, Error::ParentGone { .. }), "{error}");
    assert_eq!(error.to_string(), "ConfigMap `parent` is no longer there");
    assert!(it.names("configmap").is_empty());
    assert!(it.set.delete().await.unwrap().is_empty());
}

#[tokio::test]
async fn missing_permission_to_list_keeps_what_is_not_wanted_and_says_so() {
    let it = Fixture::new().await;
    let Fixture { namespace, .. } = &it;
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: {namespace}}}\n"
    );
    it.apply(&(settings(namespace, &["a"]) + &secret)).await;
    kubectl(&format!(
        "-n {namespace} create role r --verb=* --resource=configmaps"
    ));
    kubectl(&format!(
        "-n {namespace} create rolebinding r --role=r --user=tenant"
    ));
    let tenant = client_of(&Cluster::shared().kubeconfig_for("tenant")).await;
    let limited = Fixture::of(namespace, "parent", tenant);
    let report = limited.apply_settings(&["a", "b"]).await;
    assert_eq!(changes(&report), [Change::Unchanged, Change::Created]);
    let errors: Vec<_> = report
        .prune_errors
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(errors, ["cannot list Secret"]);
    assert!(!report.is_complete());
    assert_eq!(it.annotation("contains-group-kinds"), "ConfigMap,Secret");
}
