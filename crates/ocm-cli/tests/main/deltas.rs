//! Archives that leave out what the other side has, and what it takes to know that.

use ocm_testkit::Cli;

use crate::world::{LEAF_DATA, PRODUCT, is_read, names, position, registry, signed};

const NEXT: &str = "acme.org/bar/product:1.1.0";

/// Returns a directory with two releases of the product, `shop` and `new`, both signed. Of the
/// second only the descriptors are new.
fn released() -> Cli {
    let cli = signed();
    let text = String::from_utf8(cli.read("src/product.yaml")).unwrap();
    cli.write(
        "src/next.yaml",
        text.replace("version: 1.0.0", "version: 1.1.0"),
    );
    cli.ok("add cv -r new src/next.yaml");
    cli.ok(&format!("sign cv -K acme new//{NEXT}"));
    cli
}

/// Checks that the second release is whole at a place.
#[track_caller]
fn check_next(cli: &Cli, place: &str) {
    cli.ok(&format!("check --only-local {place}//{NEXT}"));
    cli.ok(&format!("verify cv -k acme.pub {place}//{NEXT}"));
}

/// Returns whether the bytes of an archive have the content of the leaf.
fn has_leaf(cli: &Cli, archive: &str) -> bool {
    let bytes = cli.read(archive);
    bytes.windows(9).any(|window| window == b"leaf data")
}

#[test]
fn a_registry_is_brought_up_to_date_by_what_it_lacks() {
    let mut cli = released();
    let (registry, place) = registry(&mut cli);
    cli.ok(&format!("transfer ctf shop {place}"));
    let exported = cli.run(&format!("state export {place} -o far.json"));
    assert_eq!(exported.code, Some(0), "{exported}");
    assert!(
        exported
            .stderr
            .starts_with("wrote far.json: 2 component versions, "),
        "{exported}"
    );
    let state = String::from_utf8(cli.read("far.json")).unwrap();
    assert!(
        state.contains(&format!("\"sha256:{LEAF_DATA}\": 9")),
        "{state}"
    );
    assert!(
        state.contains("\"component-descriptors/acme.org/bar/leaf\""),
        "{state}"
    );
    assert_eq!(cli.ok(&format!("state export {place}")), state);

    let made = cli.run("transfer ctf new delta.tar --since far.json");
    assert_eq!(made.code, Some(0), "{made}");
    assert!(made.stderr.contains("delta.tar leaves out "), "{made}");
    assert!(made.stderr.contains("which far.json has"), "{made}");
    assert!(!has_leaf(&cli, "delta.tar"));
    registry.take_requests();
    let applied = cli.run(&format!("transfer ctf delta.tar {place}"));
    assert_eq!(applied.code, Some(0), "{applied}");
    check_next(&cli, &place);
    // What was left out is not sent again, and a second run finds everything.
    let again = cli.run(&format!("transfer ctf delta.tar {place}"));
    assert!(again.stderr.contains("2 skipped"), "{again}");
}

#[test]
fn archives_of_every_form_are_bases_and_deltas_and_targets() {
    let cli = released();
    for (base, delta, target) in [
        ("base.tar", "delta.tgz", "far"),
        ("base.tgz", "delta", "far.tar"),
        ("base", "delta.tar", "far.tgz"),
    ] {
        cli.ok(&format!("transfer ctf shop {base}"));
        cli.ok(&format!("transfer ctf shop {target}"));
        cli.ok(&format!(
            "transfer cv -r new//{NEXT} {delta} --since {base}"
        ));
        let alone = cli.run(&format!("check --only-local {delta}//{NEXT}"));
        assert_eq!(alone.code, Some(3), "{alone}");
        assert!(
            alone.stderr.contains("is a delta archive: it leaves out "),
            "{alone}"
        );
        cli.ok(&format!("transfer cv -r {delta}//{NEXT} {target}"));
        check_next(&cli, target);
    }
}

#[test]
fn without_its_base_a_delta_changes_nothing_and_says_what_is_missing() {
    let mut cli = released();
    cli.ok("transfer ctf new delta.tar --since shop");
    let before = names(&cli);
    for target in ["far", "far.tar"] {
        let refused = cli.run(&format!("transfer ctf delta.tar {target}"));
        assert_eq!(refused.code, Some(3), "{refused}");
        let expected = format!("error: delta.tar leaves out what is in shop, and {target} lacks ");
        assert!(refused.stderr.contains(&expected), "{refused}");
        assert!(refused.stderr.contains("sha256:"), "{refused}");
        assert_eq!(names(&cli), before);
    }
    let (registry, place) = registry(&mut cli);
    let refused = cli.run(&format!("transfer ctf delta.tar {place}"));
    assert_eq!(refused.code, Some(3), "{refused}");
    let requests = registry.take_requests();
    assert!(requests.iter().all(|it| is_read(it)), "{requests:?}");
}

#[test]
fn a_list_of_digests_is_a_base() {
    let cli = released();
    cli.ok("transfer ctf shop far.tar");
    cli.write(
        "have.txt",
        format!("# at the far side\nsha256:{LEAF_DATA}\n"),
    );
    let made = cli.run("transfer ctf new delta.tar --since have.txt");
    assert!(
        made.stderr
            .contains("delta.tar leaves out 1 blob (9 B), which have.txt has"),
        "{made}"
    );
    assert!(!has_leaf(&cli, "delta.tar"));
    cli.ok("transfer ctf delta.tar far.tar");
    check_next(&cli, "far.tar");

    cli.write("have.txt", "sha256:12\n");
    let refused = cli.run("transfer ctf new other.tar --since have.txt");
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("line 1 is no digest"), "{refused}");
    cli.write("have.json", "{}");
    let refused = cli.run("transfer ctf new other.tar --since have.json");
    assert_eq!(refused.code, Some(2), "{refused}");
    // What has the name of such a file, and is not there, is no registry.
    for missing in ["gone.json", "gone.txt"] {
        let refused = cli.run(&format!("transfer ctf new other.tar --since {missing}"));
        assert_eq!(refused.code, Some(3), "{refused}");
        assert!(refused.stderr.contains(missing), "{refused}");
    }
    assert!(!cli.path("other.tar").exists());
}

#[test]
fn a_delta_builds_upon_a_delta() {
    let cli = released();
    let text = String::from_utf8(cli.read("src/product.yaml")).unwrap();
    cli.write(
        "src/last.yaml",
        text.replace("version: 1.0.0", "version: 1.2.0"),
    );
    cli.ok("add cv -r last src/last.yaml");
    cli.ok("transfer ctf shop far");
    cli.ok("transfer ctf new first.tar --since shop");
    cli.ok("transfer ctf last second.tar --since first.tar");
    assert!(!has_leaf(&cli, "second.tar"));
    cli.ok("transfer ctf first.tar far");
    cli.ok("transfer ctf second.tar far");
    cli.ok("check --only-local far//acme.org/bar/product:1.2.0");
}

#[test]
fn a_delta_archive_and_a_whole_one_do_not_become_each_other() {
    let cli = released();
    cli.ok("transfer ctf shop whole.tar");
    let refused = cli.run("transfer ctf new whole.tar --since shop");
    assert_eq!(refused.code, Some(6), "{refused}");
    cli.ok("transfer ctf new delta.tar --since shop");
    let bytes = cli.read("delta.tar");
    let refused = cli.run(&format!("transfer cv {PRODUCT} delta.tar"));
    assert_eq!(refused.code, Some(2), "{refused}");
    assert_eq!(cli.read("delta.tar"), bytes);
    // The same once more changes nothing.
    cli.ok("transfer ctf new delta.tar --since shop");
    assert_eq!(cli.read("delta.tar"), bytes);
    assert!(position(&bytes, b"delta.ocm.software/v1alpha1") > 0);
}

#[test]
fn a_delta_archive_that_leaves_nothing_out_is_one_all_the_same() {
    let cli = released();
    cli.write("have.txt", "# nothing\n");
    for _ in 0..2 {
        let made = cli.run("transfer ctf new delta.tar --since have.txt");
        assert_eq!(made.code, Some(0), "{made}");
        assert!(made.stderr.contains("leaves out 0 blobs"), "{made}");
    }
    cli.ok("transfer ctf shop far");
    cli.ok("transfer ctf delta.tar far");
    check_next(&cli, "far");
    // It needs nothing that is there.
    cli.ok("transfer ctf delta.tar fresh");
    cli.ok(&format!("get cv fresh//{NEXT}"));
}

#[test]
fn a_dry_run_says_what_would_be_left_out() {
    let cli = released();
    let shown = cli.run("transfer ctf new delta.tar --since shop --dry-run");
    assert_eq!(shown.code, Some(0), "{shown}");
    assert!(shown.stderr.contains("would leave out up to "), "{shown}");
    assert!(shown.stderr.contains("which shop has"), "{shown}");
    assert!(!cli.path("delta.tar").exists());
}
