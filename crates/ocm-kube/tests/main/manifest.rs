//! What content is read as objects, and what is refused with which words.

use bytes::Bytes;
use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use ocm_blob::{TAR_END, collect, gzip, once, tar_header, tar_padding};
use ocm_kube::manifest::{Error, Limits, read};
use serde_json::json;

const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";

async fn try_read(content: impl AsRef<[u8]>) -> Result<Vec<DynamicObject>, Error> {
    let content = Bytes::copy_from_slice(content.as_ref());
    read(once(content), Limits::default()).await
}

/// The objects as `kind/name`, in their order.
async fn found(content: impl AsRef<[u8]>) -> Vec<String> {
    let objects = try_read(content).await.unwrap();
    let kind = |it: &DynamicObject| it.types.as_ref().unwrap().kind.clone();
    let objects = objects.iter();
    objects
        .map(|it| format!("{}/{}", kind(it), it.name_any()))
        .collect()
}

async fn fault(content: impl AsRef<[u8]>) -> String {
    try_read(content).await.unwrap_err().to_string()
}

fn named(name: &str) -> String {
    SETTINGS.replace("settings", name)
}

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (path, content) in files {
        let size = content.len() as u64;
        archive.extend(tar_header(path, size, 0o644).unwrap());
        archive.extend(content.as_bytes());
        archive.resize(archive.len() + tar_padding(size), 0);
    }
    archive.extend(TAR_END);
    archive
}

async fn zipped(content: &[u8]) -> Bytes {
    let content = gzip(once(Bytes::copy_from_slice(content)));
    collect(content, u64::MAX).await.unwrap()
}

#[tokio::test]
async fn content_is_recognised_however_it_comes() {
    for content in [Bytes::from(SETTINGS), zipped(SETTINGS.as_bytes()).await] {
        let bytes = content.into_iter().map(|byte| Ok(Bytes::from(vec![byte])));
        let stream = futures::stream::iter(bytes).boxed();
        let objects = read(stream, Limits::default()).await.unwrap();
        assert_eq!(objects[0].name_any(), "settings");
    }
    assert!(matches!(try_read("").await, Err(Error::Empty)));
}

#[tokio::test]
async fn documents_of_yaml_and_json_are_read_in_order() {
    let json = r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}}"#;
    let stream = format!(
        "{}---\n{json}\n--- # the last one\n{}",
        named("a"),
        named("c")
    );
    assert_eq!(
        found(stream).await,
        ["ConfigMap/a", "Secret/b", "ConfigMap/c"]
    );
    let several = format!("{json}{json}\n{json}");
    assert_eq!(found(several).await, ["Secret/b"; 3]);
}

#[tokio::test]
async fn documents_without_content_are_skipped() {
    let stream = format!(
        "\u{feff}# a comment\n---\n---\n\n---\n# another\n---\n~\n--- \n%YAML 1.1\n---\n{SETTINGS}...\n---\n"
    );
    assert_eq!(found(stream).await, ["ConfigMap/settings"]);
}

#[tokio::test]
async fn nothing_at_all_is_said_in_words_that_tools_know() {
    for content in [
        "",
        "\n",
        "---\n---\n",
        "# nothing\n",
        "apiVersion: v1\nkind: List\nitems: []",
    ] {
        assert_eq!(
            fault(content).await,
            "no objects found in manifest",
            "{content:?}"
        );
    }
    assert_eq!(
        fault(tar(&[("README.md", "a: b")])).await,
        "no objects found in manifest"
    );
}

#[tokio::test]
async fn lists_are_their_items() {
    let list = "apiVersion: v1\nkind: List\nitems:\n\
        - {apiVersion: v1, kind: Secret, metadata: {name: a}}\n\
        - apiVersion: v1\n  kind: ConfigMapList\n  items: [{metadata: {name: b}}]\n";
    assert_eq!(found(list).await, ["Secret/a", "ConfigMap/b"]);
    // A kind that is called so, without being one.
    let object = "apiVersion: a.org/v1\nkind: AllowList\nmetadata: {name: a}\nspec: {items: []}";
    assert_eq!(found(object).await, ["AllowList/a"]);
}

#[tokio::test]
async fn a_tree_is_read_in_the_order_of_its_paths() {
    let archive = tar(&[
        ("b.yaml", &named("b")),
        ("README.md", "# no manifest"),
        ("a/z.yml", &named("z")),
        (
            "a/a.json",
            r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}"#,
        ),
        ("a/.hidden.yaml", &named("hidden")),
    ]);
    let expected = ["Secret/a", "ConfigMap/z", "ConfigMap/b"];
    assert_eq!(found(&archive).await, expected);
    assert_eq!(found(zipped(&archive).await).await, expected);
    assert_eq!(
        found(zipped(SETTINGS.as_bytes()).await).await,
        ["ConfigMap/settings"]
    );
}

#[tokio::test]
async fn charts_and_kustomizations_are_refused_with_what_to_do() {
    let chart = tar(&[
        ("app/Chart.yaml", "name: app"),
        ("app/templates/a.yaml", "{{ x }}"),
    ]);
    let words = "manifest is a Helm chart (it has `app/Chart.yaml`), and charts are not rendered \
        here: have a tool for charts install it, such as the helm-controller of Flux";
    assert_eq!(fault(zipped(&chart).await).await, words);
    let tree = tar(&[
        ("base/kustomization.yaml", "resources: []"),
        ("base/a.yaml", SETTINGS),
    ]);
    assert!(
        fault(tree)
            .await
            .starts_with("manifest is a Kustomize directory")
    );
}

#[tokio::test]
async fn errors_name_document_and_line() {
    for (content, expected) in [
        (
            format!("{SETTINGS}---\n# two\na: 1\nb: [}}\n"),
            "document 2, line 7: ",
        ),
        (
            format!("{SETTINGS}---\n\n\na: 1\na: 2\n"),
            "document 2, line 8: duplicate mapping key: a",
        ),
        (
            "{\"apiVersion\": \"v1\"}\n{\"a\": }".to_owned(),
            "document 1, line 2: expected value",
        ),
        (
            format!("---\n{SETTINGS}---\nkind: X\n"),
            "document 3, line 6: an object states apiVersion and kind",
        ),
        ("- a".to_owned(), "document 1, line 1: this is no object"),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}".to_owned(),
            "document 1, line 1: ConfigMap has no metadata.name",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod}]".to_owned(),
            "document 1, line 1, item 0: Pod has no metadata.name",
        ),
    ] {
        let fault = fault(&content).await;
        assert!(fault.starts_with(expected), "{content}\n{fault}");
    }
    let fault = fault(tar(&[("a/b.yaml", "\n\na: [}")])).await;
    assert!(
        fault.starts_with("file `a/b.yaml`, document 1, line 3: "),
        "{fault}"
    );
}

#[tokio::test]
async fn text_in_labels_must_be_quoted_where_it_looks_like_something_else() {
    let content = SETTINGS.replace("settings", "settings, labels: {on: yes}");
    assert_eq!(
        fault(content).await,
        "document 1, line 1: ConfigMap `settings` has true as the value of `on` in \
         metadata.labels, which must be text: put it in quotes"
    );
}

/// The expected values are what sigs.k8s.io/yaml 1.6.0, with which `kubectl` reads, makes of them.
#[tokio::test]
async fn scalars_are_what_kubectl_takes_them_for() {
    let content = format!(
        "{SETTINGS}a: [yes, y, Y, n, on, off, no, No, NO, True, \"yes\", !!str yes, ~, null, Null]\n\
         b: [010, 0o10, 1_000, 1e3, 2001-01-01, 0x1F, 0b11, '010', +1, 18446744073709551615, 1.10]\n\
         yes: k\n1: n\n"
    );
    let objects = try_read(content).await.unwrap();
    let data = &objects[0].data;
    let a = json!([
        true, true, true, false, true, false, false, false, false, true, "yes", "yes", null, null,
        null
    ]);
    assert_eq!(data["a"], a);
    let b = json!([
        8,
        8,
        1000,
        1000.0,
        "2001-01-01",
        31,
        3,
        "010",
        1,
        18_446_744_073_709_551_615_u64,
        1.1
    ]);
    assert_eq!(data["b"], b);
    // Keys stay as they are written, where kubectl makes `true` of this one.
    assert_eq!(data["yes"], "k");
    assert_eq!(data["1"], false);
}

#[tokio::test]
async fn what_an_export_says_of_its_origin_is_left_out() {
    let content = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  uid: u\n  \
        resourceVersion: '1'\n  generation: 2\n  creationTimestamp: null\n  \
        managedFields: [{manager: m}]\n  labels: {a: }\n";
    let objects = try_read(content).await.unwrap();
    let json = serde_json::to_value(&objects[0]).unwrap();
    assert_eq!(json["metadata"], json!({"name": "a", "labels": {"a": ""}}));
}

#[tokio::test]
async fn limits_hold() {
    let limits = |limits: Limits, content: String| async move {
        let read = read(once(Bytes::from(content)), limits).await;
        let error = read.unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        source.unwrap_or_else(|| error.to_string())
    };
    let all = Limits::default();
    let two = format!("{SETTINGS}---\n{SETTINGS}");
    let documents = Limits {
        documents: 1,
        ..all
    };
    assert_eq!(
        limits(documents, two.clone()).await,
        "manifest has more than 1 documents"
    );
    let objects = Limits { objects: 1, ..all };
    assert_eq!(
        limits(objects, two.clone()).await,
        "manifest has more than 1 objects"
    );
    let values = Limits { values: 12, ..all };
    assert_eq!(
        limits(values, two.clone()).await,
        "manifest has more than 12 values"
    );
    let json =
        json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "a": [1, 2, 3, 4, 5]});
    assert_eq!(
        limits(values, json.to_string()).await,
        "manifest has more than 12 values"
    );
    let bytes = Limits { bytes: 20, ..all };
    assert_eq!(
        limits(bytes, two).await,
        "content is larger than the limit of 20 bytes"
    );
}

#[tokio::test]
async fn a_bomb_stops_at_the_limit() {
    let packed = zipped(&vec![b' '; 1 << 20]).await;
    let limits = Limits {
        bytes: 1 << 16,
        ..Limits::default()
    };
    let error = read(once(packed), limits).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "content is larger than the limit of 65536 bytes");
}

#[tokio::test]
async fn hostile_content_is_an_error_and_no_overflow() {
    let mut lists = "{apiVersion: v1, kind: Pod, metadata: {name: a}}".to_owned();
    for _ in 0..10 {
        lists = format!("{{apiVersion: v1, kind: List, items: [{lists}]}}");
    }
    assert!(
        fault(lists)
            .await
            .ends_with("more than 8 lists within each other")
    );
    for deep in [
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{\"a\":".repeat(100_000),
    ] {
        assert!(fault(deep).await.starts_with("document 1, line 1: "));
    }
    for content in [
        &b"\xff\xfe"[..],
        b"{",
        b"}",
        b"\t- a",
        b"a: &a [*a]",
        b"!!x",
        b"\x1f\x8b\x08",
        b"apiVersion: 1\nkind: 2",
        b"apiVersion: v1\nkind: List\nitems: [1]",
        b"apiVersion: v1\nkind: A\nmetadata: {name: a, labels: {a: [1]}}",
        b"apiVersion: v1\nkind: A\nmetadata: {name: a, ownerReferences: 1}",
    ] {
        assert!(try_read(content).await.is_err(), "{content:?}");
    }
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let previous = format!("*a{}, ", level - 1).repeat(9);
        laughs = format!("{laughs}a{level}: &a{level} [{previous}]\n");
    }
    assert!(try_read(format!("{SETTINGS}{laughs}")).await.is_err());
}
