//! The sections of a configuration, and how several are merged.

use std::time::Duration;

use ocm_config::ConfigEntry;
use ocm_config::settings::{CopyMode, KeepAlive, Recursion, Retries, UploadType};
use serde_json::json;

use crate::place::config;

#[test]
fn an_empty_value_erases_nothing() {
    let config = config(&[
        "{type: filesystem.config.ocm.software, tempFolder: /weak, workingDirectory: /weak}",
        "{type: filesystem.config.ocm.software/v1alpha1, tempFolder: '', workingDirectory: /strong}",
    ]);
    let found = config.filesystem().unwrap();
    assert_eq!(found.temp_folder.as_deref(), Some("/weak"));
    assert_eq!(found.working_directory.as_deref(), Some("/strong"));
}

#[test]
fn http_settings_are_merged_field_by_field_and_hosts_replaced() {
    let config = config(&[
        "
type: http.config.ocm.software
timeout: 30s
tcpDialTimeout: 1000
insecureSkipVerify: true
rootCAsPEM: PEM
retry: {maxRetries: 0, minWait: 200ms}
hosts:
  a: {timeout: 1s, insecureSkipVerify: false}
  b: {timeout: 2s}
",
        "
type: http.config.ocm.software/v1alpha1
timeout: 1m
tcpKeepAlive: -1s
rootCAsPEMFile: ca.pem
retry: {maxRetries: 3}
hosts:
  A:5000: {idleConnTimeout: 0}
  b: {retry: {maxRetries: -1}}
",
    ]);
    let http = config.http().unwrap();
    let all = http.for_host("other", None);
    assert_eq!(all.timeout, Some(Duration::from_mins(1)));
    assert_eq!(all.tcp_dial_timeout, Some(Duration::from_micros(1)));
    assert_eq!(all.tcp_keep_alive, Some(KeepAlive::Off));
    assert_eq!(
        (all.root_cas_pem, all.root_cas_pem_file.as_deref()),
        (None, Some("ca.pem"))
    );
    assert_eq!(all.retry.max_retries, Some(Retries::UpTo(3)));
    assert_eq!(all.retry.min_wait, Some(Duration::from_millis(200)));

    let a = http.for_host("a", Some(443));
    assert_eq!(
        (a.timeout, a.insecure_skip_verify),
        (Some(Duration::from_secs(1)), Some(false))
    );
    let port = http.for_host("a", Some(5000));
    assert_eq!(
        (port.timeout, port.insecure_skip_verify),
        (all.timeout, Some(true))
    );
    assert_eq!(port.idle_conn_timeout, Some(Duration::ZERO));
    let b = http.for_host("B", None);
    assert_eq!(
        (b.timeout, b.retry.max_retries),
        (all.timeout, Some(Retries::Off))
    );
}

#[test]
fn senseless_http_settings_are_named_with_their_place() {
    for (field, message) in [
        ("timeout: -1s", "timeout: the duration `-1s` is negative"),
        (
            "timeout: soon",
            "timeout: `soon` is not a duration such as 30s or 1m30s",
        ),
        (
            "insecureSkipVerify: 'yes'",
            "expected true or false, found a text",
        ),
        (
            "retry: {maxRetries: -2}",
            "retry.maxRetries: -2 is no number of retries",
        ),
        (
            "retry: {minWait: 2s, maxWait: 1s}",
            "`minWait` is longer than `maxWait`",
        ),
        ("hosts: {a: {timeout: x}}", "hosts.a.timeout: `x`"),
    ] {
        let text = format!("type: http.config.ocm.software\n{field}\n");
        let error = config(&[&text]).http().unwrap_err().to_string();
        assert!(error.starts_with("0.yaml:2:"), "{error}");
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn transfer_defaults_are_merged_and_checked() {
    let found = config(&[
        "{type: transfer.config.ocm.software, recursive: -1, copyMode: localBlob}",
        "{type: transfer.config.ocm.software/v1alpha1, copyMode: allResources, uploadType: ociArtifact}",
    ])
    .transfer()
    .unwrap();
    assert_eq!(found.recursion, Some(Recursion::All));
    assert_eq!(found.copy_mode, Some(CopyMode::AllResources));
    assert_eq!(found.upload_type, Some(UploadType::OciArtifact));

    let wrong = config(&["{type: transfer.config.ocm.software, copyMode: all}"]);
    let error = wrong.transfer().unwrap_err().to_string();
    assert!(
        error.ends_with("copyMode: `all` is none of localBlob, allResources"),
        "{error}"
    );
    let wrong = config(&["{type: transfer.config.ocm.software, recursive: -2}"]);
    assert!(wrong.transfer().is_err());
}

#[test]
fn a_mistake_in_one_section_leaves_the_others_alone() {
    let config = config(&["
type: generic.config.ocm.software/v1
configurations:
- {type: transfer.config.ocm.software, recursive: 2}
- {type: http.config.ocm.software, timeout: never}
"]);
    assert!(config.http().is_err());
    assert_eq!(
        config.transfer().unwrap().recursion,
        Some(Recursion::Depth(2))
    );
}

#[test]
fn a_signing_entry_for_the_signature_wins_over_one_for_all() {
    let config = config(&[
        "{type: signing.config.ocm.software, signature: acme, signer: {type: A/v1}}",
        "{type: signing.config.ocm.software/v1alpha1, signer: {type: B/v1}, verifier: {type: C/v1}}",
    ]);
    let acme = config.signing("acme").unwrap();
    assert_eq!(acme.signer, Some(json!({"type": "A/v1"})));
    assert_eq!(acme.verifier, Some(json!({"type": "C/v1"})));
    let other = config.signing("other").unwrap();
    assert_eq!(other.signer, Some(json!({"type": "B/v1"})));
}

#[test]
fn resolvers_of_the_strongest_document_are_tried_first() {
    let config = config(&[
        "{type: resolvers.config.ocm.software, resolvers: [{repository: {type: X}}]}",
        "{type: resolvers.config.ocm.software/v1alpha1, resolvers: [
          {repository: {type: Y}, componentNamePattern: 'a/*', versionConstraint: '>1'},
          {repository: {type: Z}, componentNamePattern: ''}]}",
    ]);
    let found = config.resolvers().unwrap();
    let kinds: Vec<_> = found.iter().map(|one| &one.repository["type"]).collect();
    assert_eq!(kinds, ["Y", "Z", "X"]);
    assert_eq!(found[0].component_name_pattern.as_deref(), Some("a/*"));
    assert_eq!(found[1].component_name_pattern, None);
}

#[test]
fn prefix_resolvers_are_tried_by_priority() {
    let config = config(&[
        "{type: ocm.config.ocm.software, aliases: {x: {type: X}}, resolvers: [
        {repository: {type: A}, prefix: a/b},
        {repository: {type: B}, priority: 11},
        {repository: {type: C}}]}",
    ]);
    let found = config.prefix_resolvers().unwrap();
    let kinds: Vec<_> = found.iter().map(|one| &one.repository["type"]).collect();
    assert_eq!(kinds, ["B", "A", "C"]);
}

#[test]
fn entries_of_an_unknown_type_are_there_for_plugins() {
    let config = config(&["{type: my.config/v1, a: 1}", "{type: my.config/v2, a: 2}"]);
    let found: Vec<_> = config.entries("my.config").map(ConfigEntry::kind).collect();
    assert_eq!(found, ["my.config/v1", "my.config/v2"]);
}
