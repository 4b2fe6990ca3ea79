//! Documents: containers, warnings, refusals with their places.

use ocm_config::{ConfigDocument, ConfigEntry, DocumentError, MAX_DOCUMENT_SIZE, Origin, Warning};
use serde_json::json;

fn parse(text: &str) -> Result<ConfigDocument, DocumentError> {
    ConfigDocument::parse(text, Origin::file("/etc/a.yaml"))
}

#[track_caller]
fn refused(text: &str, message: &str) {
    let error = parse(text).unwrap_err();
    assert_eq!(error.to_string(), message);
}

fn kinds(document: &ConfigDocument) -> Vec<&str> {
    document.entries().iter().map(ConfigEntry::kind).collect()
}

#[test]
fn entries_of_inner_containers_come_after_their_siblings() {
    let document = parse(
        "
type: generic.config.ocm.software/v1
configurations:
- type: generic.config.ocm.software
  configurations:
  - type: b
  - type: generic.config.ocm.software/v1
    configurations: [{type: c/v1}]
  - type: b2
- type: a
- null
",
    )
    .unwrap();
    assert_eq!(kinds(&document), ["a", "b", "b2", "c/v1"]);
    assert_eq!(document.entries()[3].name(), "c");
    assert_eq!(
        document.entries()[3].location().to_string(),
        "/etc/a.yaml:8:22: configurations[0].configurations[1].configurations[0]"
    );
    assert!(document.warnings().is_empty());
}

#[test]
fn a_single_entry_at_the_top_is_accepted_with_a_warning() {
    let document = parse("type: credentials.config.ocm.software\nconsumers: []\n").unwrap();
    assert_eq!(kinds(&document), ["credentials.config.ocm.software"]);
    assert!(matches!(
        document.warnings(),
        [Warning::NotAContainer { .. }]
    ));
}

#[test]
fn a_container_without_type_is_accepted_with_a_warning() {
    let document = parse("configurations: [{type: a}]").unwrap();
    assert_eq!(kinds(&document), ["a"]);
    assert!(matches!(
        document.warnings(),
        [Warning::NoContainerType { .. }]
    ));
}

#[test]
fn an_empty_document_has_no_entries() {
    for text in [
        "",
        "\n# nothing\n",
        "---\n",
        "type: generic.config.ocm.software/v1",
    ] {
        assert!(parse(text).unwrap().entries().is_empty(), "{text:?}");
    }
}

#[test]
fn an_unknown_entry_is_kept_whole() {
    let document = parse("{type: my.plugin/v3, deep: {list: [1, {x: null}]}}").unwrap();
    let expected = json!({"type": "my.plugin/v3", "deep": {"list": [1, {"x": null}]}});
    assert_eq!(document.entries()[0].exposed(), &expected);
}

#[test]
fn malformed_yaml_is_named_with_line_and_column() {
    let error = parse("type: a\nb: 1\nb: 2\n").unwrap_err();
    assert!(
        error.to_string().starts_with("/etc/a.yaml:3:1: "),
        "{error}"
    );
}

#[test]
fn what_is_no_typed_object_is_named_with_its_place() {
    refused(
        "- a",
        "/etc/a.yaml:1:1: document: expected an object, found a list",
    );
    refused("a: 1", "/etc/a.yaml:1:1: document: `type` is missing");
    refused(
        "type: [x]",
        "/etc/a.yaml:1:7: type: expected a text, found a list",
    );
    refused(
        "configurations:\n- type: a\n- 5\n",
        "/etc/a.yaml:3:3: configurations[1]: expected an object, found a number",
    );
    refused(
        "type: generic.config.ocm.software/v1\nconfigurations: {}\n",
        "/etc/a.yaml:2:17: configurations: expected a list, found an object",
    );
    refused(
        "configurations:\n- typ: a\n",
        "/etc/a.yaml:2:3: configurations[0]: `type` is missing",
    );
}

#[test]
fn hostile_documents_are_refused() {
    let large = format!("type: {}", "a".repeat(MAX_DOCUMENT_SIZE));
    assert!(matches!(parse(&large), Err(DocumentError::TooLarge { .. })));
    for text in [
        "[".repeat(50_000),
        "{a: ".repeat(50_000),
        "- ".repeat(50_000),
    ] {
        assert!(parse(&text).is_err());
    }
}

#[test]
fn arbitrary_text_is_an_error_and_no_panic() {
    for text in [
        "\0",
        "{",
        "\u{feff}",
        "%TAG",
        "type: *x",
        "? [a]\n: b",
        "a\n\tb",
        "!!binary x",
    ] {
        let _ = parse(text);
    }
}

#[test]
fn secrets_are_neither_in_debug_nor_in_the_masked_form() {
    let document = parse(
        "
type: credentials.config.ocm.software
consumers:
- identity: {type: OCIRegistry, hostname: h}
  credentials: [{type: Credentials/v1, properties: {password: hunter2}}]
",
    )
    .unwrap();
    assert!(!format!("{document:?}").contains("hunter2"));
    let masked = document.entries()[0].masked();
    assert!(!masked.to_string().contains("hunter2"));
    assert_eq!(masked["consumers"][0]["identity"]["hostname"], "h");
}
