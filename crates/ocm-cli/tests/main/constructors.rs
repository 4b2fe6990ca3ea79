//! Constructors with mistakes: nothing is packed, and the place of the mistake is told.

use insta::assert_snapshot;
use ocm_testkit::{Cli, Run};

use crate::world::{empty, source};

/// Packs a constructor with one component; the resources are given.
fn add(cli: &Cli, resources: &str) -> Run {
    let head = "name: acme.org/app\nversion: 1.0.0\nprovider: {name: acme}\n";
    cli.write("src/app.yaml", format!("{head}{resources}"));
    let run = cli.run("add cv -r shop src/app.yaml");
    let listed = cli.run("list shop").stdout;
    assert!(!listed.contains("acme.org/app"), "{listed}");
    run
}

#[test]
fn yaml_that_is_none_is_refused() {
    let cli = source();
    assert_snapshot!(add(&cli, "resources: [{name: data\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:4:13: unclosed bracket '{'
    ");
    assert_snapshot!(add(&cli, "resources: 7\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:4:12: resources: must be a list, not a number
    ");
    assert_snapshot!(add(&cli, "colour: red\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:4:9: colour: is not a known field; known are `name`, `version`, `provider`, `labels`, `creationTime`, `resources`, `sources`, `componentReferences`, `references`, `signatures`, `meta`
    ");
    assert_snapshot!(add(&cli, "name: twice\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:4:1: duplicate mapping key: name
    ");
}

#[test]
fn resources_that_cannot_be_are_refused() {
    let cli = source();
    assert_snapshot!(add(&cli, "resources:\n- {name: data, type: blob}\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:5:3: resources[0]: has neither `access` nor `input`
    ");
    assert_snapshot!(add(&cli, "resources:\n- {name: data, type: blob, input: {type: cheese}}\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:5:42: resources[0].input.type: input type `cheese` is not known; known are `file`, `dir`, `utf8`, `binary`, `ociArtifact`, `ocm`, `docker`, `dockermulti`, `git`, `wget`, `helm`, `npm`, `maven`
    ");
    assert_snapshot!(add(&cli, "resources:\n- {name: data, type: blob, input: {type: file, path: none.txt}}\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:5:54: resources[0].input.path: cannot open <dir>/src/none.txt
      caused by: No such file or directory (os error 2)
    ");
    cli.write("outside", "secret");
    assert_snapshot!(add(&cli, "resources:\n- {name: data, type: blob, input: {type: file, path: ../outside}}\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:5:54: resources[0].input.path: ../outside is not inside of <dir>/src
    ");
    let one = "{name: data, type: blob, input: {type: utf8, text: x}}";
    assert_snapshot!(add(&cli, &format!("resources:\n- {one}\n- {one}\n")), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:6:3: resources[1]: has the identity `name=data,version=1.0.0` of resources[0]
    ");
}

#[cfg(unix)]
#[test]
fn a_link_does_not_lead_out_of_the_folder() {
    let cli = source();
    cli.write("outside", "secret");
    std::os::unix::fs::symlink(cli.path("outside"), cli.path("src/link")).unwrap();
    assert_snapshot!(add(&cli, "resources:\n- {name: data, type: blob, input: {type: file, path: link}}\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:5:54: resources[0].input.path: link is not inside of <dir>/src
    ");
}

#[test]
fn names_and_versions_that_are_none_are_refused() {
    let cli = empty();
    for (name, version) in [
        ("nodomain", "1.0.0"),
        ("acme.org/UPPER", "1.0.0"),
        ("acme.org/app", "one"),
    ] {
        let text = format!("name: {name}\nversion: {version}\nprovider: {{name: acme}}\n");
        cli.write("app.yaml", text);
        let run = cli.run("add cv -r shop app.yaml");
        assert_eq!(run.code, Some(2), "{run}");
        assert!(run.stderr.contains("app.yaml:"), "{run}");
    }
    cli.write(
        "app.yaml",
        "name: nodomain\nversion: one\nprovider: {name: acme}\n",
    );
    assert_snapshot!(cli.run("add cv -r shop app.yaml"), @r"
    $ ocm add cv -r shop app.yaml
    exit 2
    --- stderr
    error: app.yaml:1:7: name: component name `nodomain` has no path after its domain, as in `acme.org/shop`
        app.yaml:2:10: version: `one` is not a version such as `1.2.3`, `v1.2` or `1.0.0-rc.1+build`
    ");
}

#[test]
fn references_to_nothing_are_refused() {
    let cli = empty();
    assert_snapshot!(add(&cli, "componentReferences:\n- {name: other, componentName: acme.org/b, version: 1.0.0}\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 3
    --- stderr
    error: src/app.yaml:5:3: componentReferences[0]: component version acme.org/b:1.0.0 is neither in this file nor in <dir>/shop

    hint: pack it first, or name the repository that has it as a resolver in the configuration
    ");
    assert_snapshot!(add(&cli, "componentReferences:\n- {name: other, componentName: acme.org/app, version: 1.0.0}\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:1:1: component versions refer to each other in a circle: acme.org/app:1.0.0 -> acme.org/app:1.0.0
    ");
    assert!(!cli.path("shop").exists(), "an archive was created");
}

#[test]
fn a_reference_with_another_digest_is_refused() {
    let cli = source();
    cli.ok("add cv -r shop src/product.yaml");
    let digest = "0".repeat(64);
    let reference = format!(
        "componentReferences:\n- name: leaf\n  componentName: acme.org/bar/leaf\n  version: 1.0.0\n  \
         digest: {{hashAlgorithm: SHA-256, normalisationAlgorithm: jsonNormalisation/v4alpha1, value: '{digest}'}}\n"
    );
    assert_snapshot!(add(&cli, &reference), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 4
    --- stderr
    error: src/app.yaml:5:3: componentReferences[0]: component version acme.org/bar/leaf:1.0.0 has the digest SHA-256:<digest> (jsonNormalisation/v4alpha1), not SHA-256:<digest> (jsonNormalisation/v4alpha1) as given
    ");
}

#[test]
fn a_constructor_that_is_too_deep_is_refused() {
    let cli = empty();
    let deep = "[".repeat(100_000);
    cli.write("deep.yaml", format!("name: {deep}"));
    let run = cli.run("add cv -r shop deep.yaml");
    assert_eq!(run.code, Some(2), "{:.2000}", run.stderr);
    assert!(run.stderr.len() < 2000, "{}", run.stderr.len());
    assert!(run.stderr.contains("deep.yaml:1:"), "{run}");
}

#[cfg(unix)]
#[test]
fn a_directory_with_a_way_out_is_refused() {
    let cli = source();
    cli.write("outside/secret", "secret");
    std::os::unix::fs::symlink(cli.path("outside"), cli.path("src/tree/out")).unwrap();
    assert_snapshot!(add(&cli, "resources:\n- {name: data, type: directoryTree, input: {type: dir, path: tree, followSymlinks: true}}\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:5:62: resources[0].input.path: <dir>/outside is not inside of <dir>/src
    ");
    assert_snapshot!(add(&cli, "resources:\n- {name: data, type: directoryTree, input: {type: dir, path: /}}\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:5:62: resources[0].input.path: / is not inside of <dir>/src
    ");
    assert_snapshot!(add(&cli, "resources:\n- {name: data, type: directoryTree, input: {type: dir, path: none}}\n"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:5:62: resources[0].input.path: cannot open <dir>/src/none
      caused by: No such file or directory (os error 2)
    ");
}

#[test]
fn two_of_one_name_are_refused() {
    let cli = empty();
    let one = "{name: acme.org/app, version: 1.0.0, provider: {name: acme}}";
    cli.write("app.yaml", format!("components:\n- {one}\n- {one}\n"));
    assert_snapshot!(cli.run("add cv -r shop app.yaml"), @r"
    $ ocm add cv -r shop app.yaml
    exit 2
    --- stderr
    error: app.yaml:3:3: components[1]: acme.org/app:1.0.0 was already given at line 2, column 3
    ");
    assert!(!cli.path("shop").exists());
}

#[test]
fn settings_that_are_none_are_refused() {
    let cli = source();
    cli.write("values.yaml", "VERSION: 1.0.0\nLIST: [a\n");
    assert_snapshot!(cli.run("add cv -r shop -s values.yaml src/product.yaml"), @r"
    $ ocm add cv -r shop -s values.yaml src/product.yaml
    exit 2
    --- stderr
    error: values.yaml:2:7: expected string scalar
    ");
    cli.write("values.yaml", "VERSION: 1.0.0\nLIST: [a]\n");
    assert_snapshot!(cli.run("add cv -r shop -s values.yaml src/product.yaml"), @r"
    $ ocm add cv -r shop -s values.yaml src/product.yaml
    exit 2
    --- stderr
    error: values.yaml:2:7: expected string scalar
    ");
    assert_snapshot!(cli.run("add cv -r shop -s none.yaml src/product.yaml"), @r"
    $ ocm add cv -r shop -s none.yaml src/product.yaml
    exit 2
    --- stderr
    error: cannot read none.yaml: No such file or directory (os error 2)
    ");
    assert_snapshot!(cli.run("add cv -r shop src/product.yaml 1A=x"), @r"
    $ ocm add cv -r shop src/product.yaml 1A=x
    exit 2
    --- stderr
    error: `1A=x` is not a variable with its value such as `VERSION=1.0.0`
    ");
    assert!(!cli.path("shop").exists());
}

#[test]
fn a_configuration_that_is_none_is_refused() {
    let cli = source();
    cli.write(
        "config.yaml",
        "type: generic.config.ocm.software/v1\nconfigurations: [\n",
    );
    assert_snapshot!(cli.run("add cv -r shop --config config.yaml src/product.yaml"), @r"
    $ ocm add cv -r shop --config config.yaml src/product.yaml
    exit 2
    --- stderr
    error: cannot read the configuration
      caused by: <dir>/config.yaml:2:17: unclosed bracket '['
    ");
    cli.write("config.yaml", "type: generic.config.ocm.software/v1\nconfigurations:\n- type: http.config.ocm.software\n  retry: {maxRetries: many}\n");
    assert_snapshot!(cli.run("list http://127.0.0.1:1/x --config config.yaml"), @r"
    $ ocm list http://127.0.0.1:1/x --config config.yaml
    exit 2
    --- stderr
    error: cannot use the configuration
      caused by: <dir>/config.yaml:4:23: configurations[0].retry.maxRetries: expected a whole number, found a text
    ");
    assert_snapshot!(cli.run("list src --config none.yaml"), @r"
    $ ocm list src --config none.yaml
    exit 3
    --- stderr
    error: archive <dir>/src not found
    ");
    assert_snapshot!(cli.run("list http://127.0.0.1:1/x --config none.yaml"), @r"
    $ ocm list http://127.0.0.1:1/x --config none.yaml
    exit 2
    --- stderr
    error: cannot read the configuration
      caused by: configuration file <dir>/none.yaml does not exist
    ");
}
