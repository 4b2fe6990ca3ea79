//! Transfers whose plan is stored, looked at, and carried out later.

use insta::assert_snapshot;

use crate::world::{PRODUCT, check_product, conformance, empty, odd, packed, registry, signed};

const APP: &str = "name: acme.org/app\nversion: 1.0.0\nprovider: {name: acme}\nresources:\n\
    - {name: data, type: blob, input: {type: utf8, text: '${TEXT}'}}\n";

#[test]
fn a_stored_plan_is_carried_out() {
    let mut cli = signed();
    let (_registry, place) = registry(&mut cli);
    let plan = cli.ok(&format!(
        "transfer cv -r {PRODUCT} {place} --dry-run -o json"
    ));
    cli.write("elsewhere/plan.json", plan);
    assert_snapshot!(cli.run("transfer cv --plan elsewhere/plan.json --copy-resources"), @r"
    $ ocm transfer cv --plan elsewhere/plan.json --copy-resources
    exit 0
    --- stdout
    COMPONENT VERSION           OUTCOME
    acme.org/bar/leaf:1.0.0     added
    acme.org/bar/product:1.0.0  added
    --- stderr
    warning: --copy-resources has no effect with --transfer-spec
    transferred to http://<host>/shop: 2 component versions added, 0 updated, 0 replaced, 0 skipped; 5 blobs copied, 0 mounted, 0 there already; 4.3 KiB moved in <n> s
    ");
    check_product(&cli, &place);
    assert_snapshot!(cli.run("transfer cv --transfer-spec elsewhere/plan.json"), @r"
    $ ocm transfer cv --transfer-spec elsewhere/plan.json
    exit 0
    --- stdout
    COMPONENT VERSION           OUTCOME
    acme.org/bar/leaf:1.0.0     skipped
    acme.org/bar/product:1.0.0  skipped
    --- stderr
    transferred to http://<host>/shop: 0 component versions added, 0 updated, 0 replaced, 2 skipped; 0 blobs copied, 0 mounted, 3 there already; 0 B moved in <n> s
    ");
}

#[test]
fn a_plan_into_an_archive_is_carried_out_as_yaml_too() {
    let cli = signed();
    let plan = cli.ok(&format!(
        "transfer cv -r {PRODUCT} far.tar --dry-run -o yaml"
    ));
    cli.write("plan.yaml", plan);
    cli.ok("transfer cv --transfer-spec plan.yaml");
    check_product(&cli, "far.tar");
}

#[test]
fn a_plan_does_not_survive_a_change_of_its_source_or_target() {
    let cli = signed();
    cli.write("app.yaml", APP);
    cli.ok("add cv -r one app.yaml TEXT=one");
    let plan = cli.ok("transfer ctf one two --dry-run -o json");
    cli.write("plan.json", plan);
    cli.ok("add cv -r two app.yaml TEXT=two");
    let before = cli.ok("get cv two -o json");
    assert_snapshot!(cli.run("transfer cv --plan plan.json"), @r"
    $ ocm transfer cv --plan plan.json
    exit 6
    --- stderr
    error: acme.org/app:1.0.0 in <dir>/two has changed since the transfer was planned

    hint: plan again with --dry-run: nothing has been written
    ");
    assert_eq!(cli.ok("get cv two -o json"), before);
    cli.ok("add cv -r one app.yaml TEXT=three --replace");
    std::fs::remove_dir_all(cli.path("two")).unwrap();
    assert_snapshot!(cli.run("transfer cv --plan plan.json"), @r"
    $ ocm transfer cv --plan plan.json
    exit 6
    --- stderr
    error: acme.org/app:1.0.0 in <dir>/one has changed since the transfer was planned

    hint: plan again with --dry-run: nothing has been written
    ");
}

#[test]
fn what_is_no_plan_is_refused() {
    let cli = signed();
    cli.write(
        "plan.json",
        "{\"type\": \"transferPlan.ocm.software/v1alpha1\"}",
    );
    assert_snapshot!(cli.run("transfer cv --plan plan.json"), @r"
    $ ocm transfer cv --plan plan.json
    exit 2
    --- stderr
    error: cannot use plan.json
      caused by: transfer plan cannot be used: missing field `target`
    ");
    cli.write("graph.yaml", "environment: {}\ntransformations: [\n");
    let malformed = cli.run("transfer cv --plan graph.yaml --overwrite");
    assert_eq!(malformed.code, Some(2), "{malformed}");
    let text = malformed.to_string();
    assert!(
        !text.contains("no effect") && text.contains("line "),
        "{text}"
    );
    assert_snapshot!(cli.run("transfer cv --plan missing.json"), @r"
    $ ocm transfer cv --plan missing.json
    exit 2
    --- stderr
    error: cannot read missing.json: No such file or directory (os error 2)
    ");
    assert_snapshot!(cli.run("transfer cv --plan plan.json shop far"), @r"
    $ ocm transfer cv --plan plan.json shop far
    exit 2
    --- stderr
    error: the argument '--transfer-spec <FILE>' cannot be used with '[REFERENCE… TARGET]...'

    Usage: ocm transfer component-version --transfer-spec <FILE> [REFERENCE… TARGET]...

    For more information, try '--help'.
    ");
}

#[test]
fn a_stored_plan_is_carried_out_strictly_where_that_is_asked_for() {
    let cli = empty();
    // A label that the schema does not allow.
    odd(
        &cli,
        r#"{"meta":{"schemaVersion":"v2"},"component":{"name":"acme.org/odd","version":"1.0.0","provider":"acme","repositoryContexts":[],"sources":[],"componentReferences":[],"resources":[],"labels":[{"name":"l","value":1,"version":"one"}]}}"#,
    );
    cli.write(
        "plan.json",
        cli.ok("transfer ctf odd far --dry-run -o json"),
    );
    assert_snapshot!(cli.run("transfer cv --plan plan.json --strict"), @r"
    $ ocm transfer cv --plan plan.json --strict
    exit 1
    --- stderr
    error: acme.org/odd:1.0.0 is not transferred
      caused by: the component descriptor of acme.org/odd:1.0.0 breaks rules of its schema
      caused by: component.labels[0].version: `one` is not a version such as `v1`
    ");
    assert!(!cli.path("far").exists());
    cli.ok("transfer cv --plan plan.json");
    let cli = signed();
    let plan = cli.ok(&format!("transfer cv -r {PRODUCT} far --dry-run -o json"));
    cli.write("plan.json", plan);
    cli.ok("transfer cv --plan plan.json --strict");
    check_product(&cli, "far");
}

#[test]
fn a_specification_of_the_go_tool_is_carried_out_strictly() {
    of_go().ok("transfer cv --plan archive.yaml --strict");
}

/// Returns a directory with the archive and the documents that the Go tool has written.
fn of_go() -> ocm_testkit::Cli {
    let cli = empty();
    let data = conformance("transfer-spec");
    cli.copy(data.join("source"), "source");
    for file in ["archive.yaml", "embedded.yaml"] {
        cli.copy(data.join(file), file);
    }
    cli
}

#[test]
fn a_specification_of_the_go_tool_is_carried_out() {
    let cli = of_go();
    assert_snapshot!(cli.run("transfer cv --transfer-spec archive.yaml"), @r"
    $ ocm transfer cv --transfer-spec archive.yaml
    exit 0
    --- stdout
    COMPONENT VERSION    OUTCOME
    acme.org/base:1.0.0  added
    acme.org/shop:1.0.0  added
    --- stderr
    transferred to <dir>/target: 2 component versions added, 0 updated, 0 replaced, 0 skipped; 4 blobs copied, 0 mounted, 0 there already; 267 B moved in <n> s
    ");
    assert_snapshot!(cli.run("transfer cv --transfer-spec archive.yaml"), @r"
    $ ocm transfer cv --transfer-spec archive.yaml
    exit 0
    --- stdout
    COMPONENT VERSION    OUTCOME
    acme.org/base:1.0.0  skipped
    acme.org/shop:1.0.0  skipped
    --- stderr
    transferred to <dir>/target: 0 component versions added, 0 updated, 0 replaced, 2 skipped; 0 blobs copied, 0 mounted, 0 there already; 0 B moved in <n> s
    ");
    for id in ["acme.org/shop:1.0.0", "acme.org/base:1.0.0"] {
        let stored = |place: &str| cli.ok(&format!("get cv {place}//{id} -o json"));
        assert_eq!(stored("source"), stored("target"));
    }
    cli.ok("download resource target//acme.org/shop:1.0.0 text -O text");
    assert_eq!(cli.read("text"), b"hello");
    cli.ok("transfer cv --transfer-spec embedded.yaml");
    assert!(cli.ok("list target").contains("acme.org/empty"));
}

#[test]
fn a_specification_of_the_go_tool_goes_where_it_is_changed_to() {
    let mut cli = of_go();
    let (_registry, place) = registry(&mut cli);
    let text = String::from_utf8(cli.read("archive.yaml")).unwrap();
    let host = place.strip_suffix("/shop").unwrap();
    let text = text.replace(
        "accessMode: readwrite|create\n      filePath: ./target\n      type: ctf",
        &format!("baseUrl: {host}\n      subPath: shop\n      type: OCIRepository/v1"),
    );
    assert!(text.contains(host));
    cli.write("changed.yaml", text.replace(": CTFAdd", ": OCIAdd"));
    cli.ok("transfer cv --transfer-spec changed.yaml");
    cli.ok(&format!(
        "download resource {place}//acme.org/shop:1.0.0 text -O text"
    ));
    assert_eq!(cli.read("text"), b"hello");
}

#[test]
fn a_specification_of_the_go_tool_is_about_one_state_of_its_source() {
    let cli = of_go();
    cli.write(
        "base.yaml",
        "name: acme.org/base\nversion: 1.0.0\nprovider: {name: other}\n",
    );
    cli.ok("add cv -r source base.yaml --replace");
    assert_snapshot!(cli.run("transfer cv --transfer-spec archive.yaml"), @r"
    $ ocm transfer cv --transfer-spec archive.yaml
    exit 6
    --- stderr
    error: acme.org/base:1.0.0 in <dir>/source has changed since the transfer was planned

    hint: plan again with --dry-run: nothing has been written
    ");
    assert!(!cli.path("target").exists());
}

/// Returns the document that the Go tool has written, with the base first, and the shop going
/// elsewhere.
fn to_two_targets(cli: &ocm_testkit::Cli) -> String {
    let text = String::from_utf8(cli.read("archive.yaml")).unwrap();
    let [shop, base] = ["Shop", "Base"].map(|name| {
        text.find(&format!("- id: transformAcmeOrg{name}100Get"))
            .unwrap()
    });
    let (head, shop, base) = (&text[..shop], &text[shop..base], &text[base..]);
    format!("{head}{base}{}", shop.replace("./target", "./second"))
}

#[test]
fn a_specification_with_two_targets_is_carried_out_in_one_go() {
    let cli = of_go();
    cli.write("two.yaml", to_two_targets(&cli));
    let list = |text: String| -> Vec<serde_json::Value> { serde_json::from_str(&text).unwrap() };
    let plans = list(cli.ok("transfer cv --plan two.yaml --dry-run -o json"));
    assert_eq!(plans.len(), 2);
    let reports = list(cli.ok("transfer cv --plan two.yaml -o json"));
    let added: Vec<_> = reports.iter().map(|report| &report["added"]).collect();
    assert_eq!(added, [1, 1]);
    assert!(cli.ok("list target").contains("acme.org/base"));
    assert!(cli.ok("list second").contains("acme.org/shop"));
}

#[test]
fn nothing_is_written_if_the_second_target_cannot_be_planned() {
    let cli = of_go();
    cli.write("two.yaml", to_two_targets(&cli));
    cli.write(
        "shop.yaml",
        "name: acme.org/shop\nversion: 1.0.0\nprovider: {name: other}\n",
    );
    cli.ok("add cv -r second shop.yaml");
    let refused = cli.run("transfer cv --plan two.yaml");
    assert_eq!(refused.code, Some(6), "{refused}");
    assert!(!cli.path("target").exists());
}

#[test]
fn nothing_is_written_if_what_goes_to_the_second_target_is_not_signed() {
    let cli = of_go();
    cli.write("two.yaml", to_two_targets(&cli));
    cli.ok("create keypair acme --bits 2048");
    cli.ok("sign cv -K acme source//acme.org/base:1.0.0");
    let refused = cli.run("transfer cv --plan two.yaml --verify acme.pub");
    assert_eq!(refused.code, Some(4), "{refused}");
    let text = refused.to_string();
    assert!(text.contains("verified acme.org/base:1.0.0"), "{text}");
    assert!(
        text.contains("acme.org/shop:1.0.0 is not verified"),
        "{text}"
    );
    assert!(!cli.path("target").exists());
}

#[test]
fn a_report_says_what_was_done_and_how_fast() {
    let cli = signed();
    let report = |arguments: &str| -> serde_json::Value {
        let text = cli.ok(&format!("transfer ctf shop far -o json {arguments}"));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()[0].take()
    };
    let first = report("");
    assert_eq!(first["added"], 2);
    assert_eq!(first["blobs"]["copied"], 5);
    assert_eq!(first["blobs"]["mounted"], 0);
    assert_eq!(first["componentVersions"][0]["action"], "add");
    let (moved, seconds) = (&first["blobs"]["moved"], first["seconds"].as_f64().unwrap());
    assert!(moved.as_u64().unwrap() > 4000 && seconds > 0.0, "{first}");
    assert!(first["bytesPerSecond"].as_u64().unwrap() > 0, "{first}");
    let again = report("");
    assert_eq!(
        (&again["skipped"], &again["blobs"]["moved"]),
        (&2.into(), &0.into())
    );
}

#[test]
fn the_component_versions_of_a_transfer_are_listed_in_a_file() {
    let cli = packed();
    cli.ok(&format!(
        "transfer cv {PRODUCT} copy -r --dry-run -B bom.json"
    ));
    assert!(!cli.path("bom.json").exists());
    let bom = || String::from_utf8(cli.read("bom.json")).unwrap();
    // What is skipped belongs to it, too.
    cli.ok(&format!("transfer cv {PRODUCT} copy"));
    cli.ok(&format!(
        "transfer cv {PRODUCT} copy -r --bom-file bom.json"
    ));
    assert_snapshot!(bom(), @r#"{"componentVersions":[{"component":"acme.org/bar/leaf","version":"1.0.0"},{"component":"acme.org/bar/product","version":"1.0.0"}]}"#);
    assert_snapshot!(cli.run(&format!("transfer cv {PRODUCT} copy -B none/bom.json")), @r"
    $ ocm transfer cv shop//acme.org/bar/product:1.0.0 copy -B none/bom.json
    exit 1
    --- stdout
    COMPONENT VERSION           OUTCOME
    acme.org/bar/product:1.0.0  skipped
    --- stderr
    transferred to copy: 0 component versions added, 0 updated, 0 replaced, 1 skipped; 0 blobs copied, 0 mounted, 0 there already; 0 B moved in <n> s
    error: cannot write the component versions to none/bom.json
      caused by: No such file or directory (os error 2)
    ");
}
