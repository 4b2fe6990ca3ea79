//! Deleting component versions by name.

use insta::assert_snapshot;
use serde_json::Value;

use super::{ALL, ARCHIVES, at, check};

#[test]
fn component_versions_are_deleted_with_what_only_they_have() {
    for place in ARCHIVES {
        let cli = at(place);
        let shop = |version: &str| format!("{place}//acme.org/shop:{version}");
        let run = cli.run(&format!(
            "delete cv --dry-run {} {}",
            shop("1.0.0"),
            shop("2.0.0")
        ));
        assert_eq!(run.code, Some(0), "{run}");
        check(&cli, place, &ALL);
        cli.ok(&format!("delete cv {} {}", shop("1.0.0"), shop("2.0.0")));
        check(&cli, place, &["lib:1.0.0", "lib:2.0.0", "shop:3.0.0"]);
        let run = cli.run(&format!("delete cv {} {}", shop("3.0.0"), shop("2.0.0")));
        assert_eq!(run.code, Some(3), "{run}");
        check(&cli, place, &["lib:1.0.0", "lib:2.0.0", "shop:3.0.0"]);
        cli.ok(&format!(
            "delete cv {place}//acme.org/lib:2.0.0 {}",
            shop("3.0.0")
        ));
        check(&cli, place, &["lib:1.0.0"]);
        let report = cli.ok(&format!("prune {place} --root acme.org/lib -o json"));
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report[0]["blobs"], 0, "{report}");
    }
}

#[test]
fn what_others_refer_to_is_deleted_only_by_force() {
    let cli = at("here");
    let run = cli.run("delete cv here//acme.org/lib:1.0.0");
    assert_snapshot!(run.to_string(), @r"
    $ ocm delete cv here//acme.org/lib:1.0.0
    exit 6
    --- stderr
    error: component version acme.org/lib:1.0.0 cannot be deleted: acme.org/shop:2.0.0 in <dir>/here refers to it

    hint: `--force` deletes it all the same
    ");
    assert_eq!(run.code, Some(6));
    check(&cli, "here", &ALL);
    let run = cli.run("delete cv --force here//acme.org/lib:1.0.0");
    assert_eq!(run.code, Some(0), "{run}");
    let run = cli.run("delete cv here//acme.org/lib");
    assert_eq!(run.code, Some(2), "{run}");
}

#[test]
fn of_several_places_none_is_touched_where_one_is_wrong() {
    let cli = at("here");
    let run = cli.run("delete cv here//acme.org/shop:1.0.0 shop//acme.org/shop:9.0.0");
    assert_eq!(run.code, Some(3), "{run}");
    check(&cli, "here", &ALL);
    cli.ok("delete cv here//acme.org/shop:1.0.0 shop//acme.org/shop:2.0.0");
    check(
        &cli,
        "here",
        &["lib:1.0.0", "lib:2.0.0", "shop:2.0.0", "shop:3.0.0"],
    );
    check(
        &cli,
        "shop",
        &["lib:1.0.0", "lib:2.0.0", "shop:1.0.0", "shop:3.0.0"],
    );
}
