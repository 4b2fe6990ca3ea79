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
