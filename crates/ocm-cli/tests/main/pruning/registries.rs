//! Removing component versions from registries, as far as those allow it.

use insta::assert_snapshot;
use ocm_testkit::Fault;

use super::{ALL, FOREVER, NEW, check, in_registry, said};

#[test]
fn versions_go_from_a_registry() {
    let (cli, registry, place) = in_registry();
    let run = cli.run(&format!("prune {place} --root acme.org/shop"));
    assert_eq!(run.code, Some(0), "{run}");
    let requests = registry.take_requests();
    assert!(
        !requests.iter().any(|it| it.starts_with("DELETE")),
        "{requests:?}"
    );
    assert_snapshot!(said(&cli.run(&format!("prune {place} --root acme.org/shop --yes"))), @r"
    $ ocm prune http://<host>/shop --root acme.org/shop --yes
    exit 0
    --- stdout
    COMPONENT VERSION    REPOSITORY                   OUTCOME
    acme.org/lib:1.0.0   http://<host>/shop  removed
    acme.org/lib:2.0.0   http://<host>/shop  stays
    acme.org/shop:1.0.0  http://<host>/shop  removed
    acme.org/shop:2.0.0  http://<host>/shop  removed
    acme.org/shop:3.0.0  http://<host>/shop  stays
    --- stderr
    3 component versions and 5 manifests went from http://<host>/shop, at most 10.1 KiB
    ");
    check(&cli, &place, &NEW);
    cli.ok(&format!("delete cv {place}//acme.org/shop:3.0.0"));
    check(&cli, &place, &["lib:2.0.0"]);
    let run = cli.run(&format!("delete cv {place}//acme.org/shop:3.0.0"));
    assert_eq!(run.code, Some(3), "{run}");
}

#[test]
fn a_registry_that_keeps_everything_says_so() {
    let (cli, registry, place) = in_registry();
    registry.fail(FOREVER, "DELETE", "", Fault::Status(405));
    let run = cli.run(&format!("delete cv {place}//acme.org/shop:1.0.0"));
    assert_eq!(run.code, Some(1), "{run}");
    assert_snapshot!(run.to_string(), @r"
    $ ocm delete cv http://<host>/shop//acme.org/shop:1.0.0
    exit 1
    --- stderr
    error: cannot delete sha256:<digest> of shop/component-descriptors/acme.org/shop
      caused by: http://<host> does not support deleting manifests

    hint: whoever runs the registry decides whether anything can be deleted there, as REGISTRY_STORAGE_DELETE_ENABLED does for the registry of distribution; some have deletion only in an interface of their own
    ");
    registry.heal();
    check(&cli, &place, &ALL);
    let requests = registry.take_requests();
    assert!(
        !requests.iter().any(|it| it.contains("ocm-removal")),
        "nothing is left there for ever: {requests:?}"
    );
}

#[test]
fn a_registry_without_catalogue_is_pruned_as_far_as_it_is_known() {
    let (cli, registry, place) = in_registry();
    cli.write("small.yaml", crate::world::SMALL);
    cli.ok(&format!("add cv -r {place} small.yaml"));
    registry.fail(FOREVER, "GET", "_catalog", Fault::Status(404));
    let run = cli.run(&format!("prune {place} --root acme.org/shop --yes"));
    assert_eq!(run.code, Some(0), "{run}");
    assert!(run.stderr.contains("does not list its components"), "{run}");
    registry.heal();
    check(&cli, &place, &["lib:2.0.0", "shop:3.0.0", "small:1.0.0"]);
}
