//! Transfers from several places at once.

use insta::assert_snapshot;
use ocm_testkit::Cli;

use crate::world::empty;

fn component(name: &str, reference: &str) -> String {
    format!(
        "name: acme.org/{name}\nversion: 1.0.0\nprovider: {{name: acme}}\n{reference}resources:\n\
         - {{name: data, type: blob, input: {{type: utf8, text: {name}}}}}\n"
    )
}

/// Returns a directory with `one`, whose shop refers to a base that is in `two` alone, beside a
/// desk that refers to it, too.
fn two_places() -> Cli {
    const BASE: &str =
        "componentReferences: [{name: base, componentName: acme.org/base, version: 1.0.0}]\n";
    let cli = empty();
    for name in ["shop", "desk"] {
        cli.write(format!("{name}.yaml"), component(name, BASE));
    }
    cli.write("base.yaml", component("base", ""));
    cli.ok("add cv -r two base.yaml");
    cli.ok("add cv -r two desk.yaml");
    cli.ok("add cv -r all base.yaml");
    cli.ok("add cv -r all shop.yaml");
    cli.ok("transfer cv all//acme.org/shop:1.0.0 one");
    cli
}

#[test]
fn a_reference_is_found_in_any_of_the_places_and_moved_once() {
    let cli = two_places();
    let transfer = "transfer cv -r one//acme.org/shop:1.0.0 two//acme.org/desk:1.0.0 far.tar";
    assert_snapshot!(cli.run(transfer), @r"
    $ ocm transfer cv -r one//acme.org/shop:1.0.0 two//acme.org/desk:1.0.0 far.tar
    exit 0
    --- stdout
    COMPONENT VERSION    OUTCOME
    acme.org/base:1.0.0  added
    acme.org/shop:1.0.0  added
    acme.org/desk:1.0.0  added
    --- stderr
    transferred to far.tar: 3 component versions added, 0 updated, 0 replaced, 0 skipped; 3 blobs copied, 0 mounted, 0 there already; 12 B moved in <n> s
    ");
    for name in ["shop", "desk", "base"] {
        cli.ok(&format!(
            "download resource far.tar//acme.org/{name}:1.0.0 data -O data"
        ));
        assert_eq!(cli.read("data"), name.as_bytes());
    }
}

#[test]
fn a_reference_is_found_where_one_is_told_to_look() {
    let cli = two_places();
    assert_snapshot!(cli.run("transfer cv -r one//acme.org/shop:1.0.0 far"), @r"
    $ ocm transfer cv -r one//acme.org/shop:1.0.0 far
    exit 3
    --- stderr
    error: acme.org/base:1.0.0, to which acme.org/shop:1.0.0 refers, not found in <dir>/one
    ");
    assert_snapshot!(cli.run("transfer cv -r --lookup two one//acme.org/shop:1.0.0 far"), @r"
    $ ocm transfer cv -r --lookup two one//acme.org/shop:1.0.0 far
    exit 0
    --- stdout
    COMPONENT VERSION    OUTCOME
    acme.org/base:1.0.0  added
    acme.org/shop:1.0.0  added
    --- stderr
    transferred to far: 2 component versions added, 0 updated, 0 replaced, 0 skipped; 2 blobs copied, 0 mounted, 0 there already; 8 B moved in <n> s
    ");
    let plan = "transfer ctf -r --lookup two one farther --dry-run -o json";
    cli.write("plan.json", cli.ok(plan));
    cli.ok("transfer cv --plan plan.json");
    assert!(cli.ok("list farther").contains("acme.org/base"));
}

#[test]
fn a_reference_is_found_where_the_configuration_says() {
    let elsewhere = "type: CommonTransportFormat/v1, filePath: ./two";
    for resolvers in [
        format!(
            "- type: resolvers.config.ocm.software/v1alpha1
  resolvers:
  - {{repository: {{{elsewhere}}}, componentNamePattern: 'acme.org/b*', versionConstraint: '>=1.0'}}"
        ),
        format!(
            "- type: ocm.config.ocm.software
  resolvers:
  - {{repository: {{{elsewhere}}}, prefix: acme.org}}"
        ),
    ] {
        let cli = two_places();
        let configuration = |resolvers: &str| {
            format!("type: generic.config.ocm.software/v1\nconfigurations:\n{resolvers}\n")
        };
        cli.write(".ocmconfig", configuration(&resolvers));
        cli.ok("transfer cv -r one//acme.org/shop:1.0.0 far");
        cli.ok("download resource far//acme.org/base:1.0.0 data -O data");
        assert_eq!(cli.read("data"), b"base");
        // Where it is not for this component, nobody looks there.
        for (what, other) in [("acme.org/b*", "acme.org/c*"), (">=1.0", ">1.0"), ("prefix: acme", "prefix: bcme")] {
            let others = resolvers.replace(what, other);
            if others != resolvers {
                cli.write(".ocmconfig", configuration(&others));
                let run = cli.run("transfer cv -r one//acme.org/shop:1.0.0 other");
                assert_eq!(run.code, Some(3), "{run}");
            }
        }
    }
}

#[test]
fn versions_are_chosen_where_a_reference_names_none() {
    let cli = empty();
    cli.write(
        "app.yaml",
        "name: acme.org/app\nversion: ${V}\nprovider: {name: acme}\n",
    );
    for version in ["1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0-rc.1"] {
        cli.ok(&format!("add cv -r shop app.yaml V={version}"));
    }
    for (number, (flags, expected)) in [
        ("", &["1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0-rc.1"][..]),
        ("--latest", &["2.0.0"]),
        ("--semver-constraint ~1.1||^2", &["1.1.0", "2.0.0"]),
        ("--constraints ^1 --latest", &["1.2.0"]),
        ("-c >=2.1.0-0", &["2.1.0-rc.1"]),
    ]
    .into_iter()
    .enumerate()
    {
        cli.ok(&format!(
            "transfer cv {flags} shop//acme.org/app far{number}"
        ));
        let listed = cli.ok(&format!("get cv far{number}//acme.org/app -o json"));
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let listed = listed.as_array().unwrap().iter();
        let mut versions: Vec<_> = listed
            .map(|it| it["component"]["version"].as_str().unwrap())
            .collect();
        versions.reverse();
        assert_eq!(versions, expected, "{flags}");
    }
    cli.write(
        "other.yaml",
        "name: acme.org/other\nversion: 4.0.0\nprovider: {name: acme}\n",
    );
    cli.ok("add cv -r shop other.yaml");
    // Nothing is left out without a word, whatever else there is.
    let both = "shop//acme.org/other shop//acme.org/app";
    assert_snapshot!(cli.run(&format!("transfer cv --semver-constraint >3 {both} far")), @r"
    $ ocm transfer cv --semver-constraint >3 shop//acme.org/other shop//acme.org/app far
    exit 3
    --- stderr
    error: no version of acme.org/app in shop is admitted by `>3`
    ");
    assert!(!cli.path("far").exists());
}
