//! What becomes of what exists, and what variables are.

use insta::assert_snapshot;

use crate::world::{PRODUCT, check_product, empty, packed, signed};

const APP: &str = "name: acme.org/app\nversion: 1.0.0\nprovider: {name: acme}\nresources:\n\
    - {name: data, type: blob, input: {type: utf8, text: '${TEXT}'}}\n";

#[test]
fn a_component_version_that_exists_stays_unless_told() {
    let cli = empty();
    cli.write("app.yaml", APP);
    cli.ok("add cv -r shop app.yaml TEXT=one");
    let before = cli.ok("get cv shop -o json");
    assert_snapshot!(cli.run("add cv -r shop app.yaml TEXT=two"), @r"
    $ ocm add cv -r shop app.yaml TEXT=two
    exit 6
    --- stderr
    error: already in <dir>/shop: acme.org/app:1.0.0

    hint: keep what is there with --component-version-conflict-policy skip, or overwrite it with --replace
    ");
    assert_eq!(cli.ok("get cv shop -o json"), before);
    assert_snapshot!(cli.run("add cv -r shop app.yaml TEXT=two --component-version-conflict-policy skip"), @r"
    $ ocm add cv -r shop app.yaml TEXT=two --component-version-conflict-policy skip
    exit 0
    --- stdout
    COMPONENT     VERSION  PROVIDER  OUTCOME
    acme.org/app  1.0.0    acme      skipped
    --- stderr
    packed 0 component versions with 0 B of content into shop; 1 skipped
    ");
    assert_eq!(cli.ok("get cv shop -o json"), before);
    assert_snapshot!(cli.run("add cv -r shop app.yaml TEXT=two --component-version-conflict-policy replace"), @r"
    $ ocm add cv -r shop app.yaml TEXT=two --component-version-conflict-policy replace
    exit 0
    --- stdout
    COMPONENT     VERSION  PROVIDER  OUTCOME
    acme.org/app  1.0.0    acme      replaced
    --- stderr
    packed 1 component version with 3 B of content into shop
    ");
    assert_ne!(cli.ok("get cv shop -o json"), before);
}

#[test]
fn nothing_is_packed_if_one_of_many_exists() {
    let cli = packed();
    cli.write(
        "new.yaml",
        "components:\n- {name: acme.org/new, version: 1.0.0, provider: {name: acme}}\n\
        - {name: acme.org/bar/leaf, version: 1.0.0, provider: {name: acme}}\n",
    );
    assert_snapshot!(cli.run("add cv -r shop new.yaml"), @r"
    $ ocm add cv -r shop new.yaml
    exit 6
    --- stderr
    error: already in <dir>/shop: acme.org/bar/leaf:1.0.0

    hint: keep what is there with --component-version-conflict-policy skip, or overwrite it with --replace
    ");
    assert!(!cli.ok("list shop").contains("acme.org/new"));
}

#[test]
fn other_content_at_the_target_is_a_conflict() {
    let cli = empty();
    cli.write("app.yaml", APP);
    cli.ok("add cv -r one app.yaml TEXT=one");
    cli.ok("add cv -r two app.yaml TEXT=two");
    let before = cli.ok("get cv two -o json");
    assert_snapshot!(cli.run("transfer ctf one two"), @r"
    $ ocm transfer ctf one two
    exit 6
    --- stderr
    error: <dir>/two has other content for acme.org/app:1.0.0 (in component.resources[0].digest.value)

    hint: replace what the target has with --overwrite
    ");
    assert_eq!(cli.ok("get cv two -o json"), before);
    let left = cli.ok("transfer ctf one two --skip-existing");
    assert!(left.contains("acme.org/app:1.0.0  skipped"), "{left}");
    assert_eq!(cli.ok("get cv two -o json"), before);
    assert_snapshot!(cli.run("transfer ctf one two --overwrite"), @r"
    $ ocm transfer ctf one two --overwrite
    exit 0
    --- stdout
    COMPONENT VERSION   OUTCOME
    acme.org/app:1.0.0  replaced
    --- stderr
    transferred to two: 0 component versions added, 0 updated, 1 replaced, 0 skipped; 1 blob copied, 0 mounted, 0 there already; 3 B moved in <n> s
    ");
    assert_eq!(cli.ok("get cv two -o json"), cli.ok("get cv one -o json"));
}

#[test]
fn what_is_there_is_written_again_where_that_is_enforced() {
    let cli = signed();
    cli.ok("transfer ctf shop far");
    assert_snapshot!(cli.run("transfer ctf shop far --enforce"), @r"
    $ ocm transfer ctf shop far --enforce
    exit 0
    --- stdout
    COMPONENT VERSION           OUTCOME
    acme.org/bar/leaf:1.0.0     replaced
    acme.org/bar/product:1.0.0  replaced
    --- stderr
    transferred to far: 0 component versions added, 0 updated, 2 replaced, 0 skipped; 0 blobs copied, 0 mounted, 3 there already; 0 B moved in <n> s
    ");
    check_product(&cli, "far");
    cli.write("app.yaml", APP);
    cli.ok("add cv -r one app.yaml TEXT=one");
    cli.ok("add cv -r two app.yaml TEXT=two");
    assert_snapshot!(cli.run("transfer ctf one two --enforce"), @r"
    $ ocm transfer ctf one two --enforce
    exit 0
    --- stdout
    COMPONENT VERSION   OUTCOME
    acme.org/app:1.0.0  replaced
    --- stderr
    transferred to two: 0 component versions added, 0 updated, 1 replaced, 0 skipped; 1 blob copied, 0 mounted, 0 there already; 3 B moved in <n> s
    ");
    assert_eq!(cli.ok("get cv two -o json"), cli.ok("get cv one -o json"));
}

#[test]
fn a_dry_run_does_nothing() {
    let cli = signed();
    assert_snapshot!(cli.run("transfer cv -r shop//acme.org/bar/product:1.0.0 far.tar --dry-run"), @r"
    $ ocm transfer cv -r shop//acme.org/bar/product:1.0.0 far.tar --dry-run
    exit 0
    --- stdout
    COMPONENT VERSION           ACTION  RESOURCE                                             STEP
    acme.org/bar/leaf:1.0.0     add     name=data,version=1.0.0                              copy local blob
    acme.org/bar/product:1.0.0  add     architecture=amd64,name=file,os=linux,version=1.0.0  copy local blob
    acme.org/bar/product:1.0.0  add     name=tree,version=1.0.0                              copy local blob
    acme.org/bar/product:1.0.0  add     name=image,version=1.0.0                             copy local blob
    ");
    assert!(!cli.path("far.tar").exists());
    assert_snapshot!(cli.run("transfer cv -r shop//acme.org/bar/product:1.0.0 far --dry-run"), @r"
    $ ocm transfer cv -r shop//acme.org/bar/product:1.0.0 far --dry-run
    exit 0
    --- stdout
    COMPONENT VERSION           ACTION  RESOURCE                                             STEP
    acme.org/bar/leaf:1.0.0     add     name=data,version=1.0.0                              copy local blob
    acme.org/bar/product:1.0.0  add     architecture=amd64,name=file,os=linux,version=1.0.0  copy local blob
    acme.org/bar/product:1.0.0  add     name=tree,version=1.0.0                              copy local blob
    acme.org/bar/product:1.0.0  add     name=image,version=1.0.0                             copy local blob
    ");
    let before = cli.ok(&format!("get cv {PRODUCT} -o json"));
    assert_eq!(
        cli.run(&format!("sign cv -K acme -s two --dry-run {PRODUCT}"))
            .code,
        Some(0)
    );
    assert_eq!(cli.ok(&format!("get cv {PRODUCT} -o json")), before);
}

#[test]
fn values_come_from_arguments_settings_and_environment() {
    let mut cli = empty();
    cli.write(
        "app.yaml",
        "name: acme.org/app\nversion: ${VERSION}\nprovider: {name: \"${OWNER}\"}\nlabels:\n\
        - {name: l, value: \"${STAGE:-test} $$5\"}\n",
    );
    cli.write("values.yaml", "VERSION: 1.2.3\nOWNER: from settings\n");
    cli.set("OWNER", "from environment");
    assert_snapshot!(cli.run("add cv -r shop -s values.yaml app.yaml OWNER=argument"), @r"
    $ ocm add cv -r shop -s values.yaml app.yaml OWNER=argument
    exit 0
    --- stdout
    COMPONENT     VERSION  PROVIDER  OUTCOME
    acme.org/app  1.2.3    argument  added
    --- stderr
    packed 1 component version with 0 B of content into shop
    ");
    assert_snapshot!(cli.run("add cv -r shop -s values.yaml app.yaml VERSION=1.3.0 STAGE=live -o json"), @r#"
    $ ocm add cv -r shop -s values.yaml app.yaml VERSION=1.3.0 STAGE=live -o json
    exit 0
    --- stdout
    [
      {
        "component": {
          "componentReferences": null,
          "labels": [
            {
              "name": "l",
              "value": "live $5"
            }
          ],
          "name": "acme.org/app",
          "provider": "from settings",
          "repositoryContexts": null,
          "resources": null,
          "sources": null,
          "version": "1.3.0"
        },
        "meta": {
          "schemaVersion": "v2"
        }
      }
    ]
    --- stderr
    packed 1 component version with 0 B of content into shop
    "#);
    assert_snapshot!(cli.run("add cv -r shop app.yaml VERSION=1.4.0"), @r"
    $ ocm add cv -r shop app.yaml VERSION=1.4.0
    exit 0
    --- stdout
    COMPONENT     VERSION  PROVIDER          OUTCOME
    acme.org/app  1.4.0    from environment  added
    --- stderr
    packed 1 component version with 0 B of content into shop
    ");
    assert!(
        cli.ok("get cv shop//acme.org/app:1.2.3 -o yaml")
            .contains("test $5")
    );
}

#[test]
fn an_undefined_variable_is_told() {
    let cli = empty();
    cli.write("app.yaml", APP);
    assert_snapshot!(cli.run("add cv -r shop app.yaml --strict-variables"), @r"
    $ ocm add cv -r shop app.yaml --strict-variables
    exit 2
    --- stderr
    error: app.yaml:5:55: variable `TEXT` is not defined
    ");
    assert!(!cli.path("shop").exists());
    assert_snapshot!(cli.run("add cv -r shop app.yaml"), @r"
    $ ocm add cv -r shop app.yaml
    exit 0
    --- stdout
    COMPONENT     VERSION  PROVIDER  OUTCOME
    acme.org/app  1.0.0    acme      added
    --- stderr
    warning: app.yaml:5:55: variable TEXT is not defined and stands for nothing
    packed 1 component version with 0 B of content into shop
    ");
    assert_snapshot!(cli.run("add cv -r none app.yaml --templater none"), @r"
    $ ocm add cv -r none app.yaml --templater none
    exit 0
    --- stdout
    COMPONENT     VERSION  PROVIDER  OUTCOME
    acme.org/app  1.0.0    acme      added
    --- stderr
    packed 1 component version with 7 B of content into none
    ");
}
