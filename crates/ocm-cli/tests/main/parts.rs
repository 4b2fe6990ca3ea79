//! Archives in parts, for media of a limited size.

use std::fs;

use ocm::ctf::PartList;
use ocm::digest::Digest;
use ocm_testkit::{Cli, Fault};

use crate::world::{PRODUCT, check_product, noise, signed};

/// Returns a directory with the product, signed, and with 400 KiB of other content, as `new.tar` in
/// parts, and in nothing else.
fn parted() -> Cli {
    let cli = signed();
    cli.write("src/noise", noise(400 * 1024, 7));
    cli.write(
        "src/large.yaml",
        "name: acme.org/large\nversion: 1.0.0\nprovider: {name: acme}\nresources:\n\
         - {name: noise, type: blob, input: {type: file, path: noise}}\n",
    );
    cli.ok("add cv -r shop src/large.yaml");
    cli.ok("transfer ctf shop new.tar --split-size 128KiB");
    fs::rename(cli.path("shop"), cli.path("kept")).unwrap();
    cli
}

fn list(cli: &Cli) -> PartList {
    PartList::load(&cli.path("new.tar.parts")).unwrap()
}

/// Returns the names of the files that belong to the archive.
fn files(cli: &Cli) -> Vec<String> {
    let entries = fs::read_dir(cli.path("")).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().to_str().unwrap().to_owned());
    let mut names: Vec<String> = names.filter(|name| name.contains("new.tar")).collect();
    names.sort();
    names
}

#[test]
fn every_command_reads_the_parts_as_one_archive() {
    let mut cli = parted();
    let names = files(&cli);
    let count = list(&cli).parts.len();
    assert!(count >= 4, "{names:?}");
    assert_eq!(names.len(), count + 1);
    for name in ["new.tar.parts", "new.tar.001", "./new.tar.003"] {
        let listed = cli.ok(&format!("list {name}"));
        assert!(listed.contains("acme.org/bar/product"), "{listed}");
        check_product(&cli, name);
        cli.ok(&format!(
            "check --content --only-local {name}//acme.org/large:1.0.0"
        ));
    }
    cli.ok(
        "download resource new.tar.001//acme.org/large:1.0.0 --identity name=noise --output out",
    );
    assert_eq!(cli.read("out"), noise(400 * 1024, 7));
    cli.ok("transfer ctf new.tar.parts far");
    check_product(&cli, "far");
    let (_registry, place) = crate::world::registry(&mut cli);
    cli.ok(&format!("transfer ctf new.tar.001 {place}"));
    check_product(&cli, &place);
    let state = cli.ok("state export new.tar.parts");
    assert!(state.contains("acme.org/large:1.0.0"), "{state}");

    // Joined, they are the archive as well.
    let joined: Vec<u8> = list(&cli)
        .parts
        .iter()
        .flat_map(|part| cli.read(&part.name))
        .collect();
    cli.write("joined.tar", joined);
    check_product(&cli, "joined.tar");
}

#[test]
fn the_same_once_more_changes_nothing_and_more_is_refused() {
    let cli = parted();
    let bytes = |cli: &Cli| -> Vec<Vec<u8>> { files(cli).iter().map(|it| cli.read(it)).collect() };
    let before = bytes(&cli);
    let again = cli.run("transfer ctf kept new.tar --split-size 128KiB");
    assert_eq!(again.code, Some(0), "{again}");
    assert!(again.stderr.contains("3 skipped"), "{again}");
    let small = "name: acme.org/small\nversion: 1.0.0\nprovider: {name: acme}\n";
    cli.write("src/small.yaml", small);
    cli.ok("add cv -r more src/small.yaml");
    for target in [
        "new.tar --split-size 128KiB",
        "new.tar.parts",
        "new.tar.001",
    ] {
        let refused = cli.run(&format!("transfer ctf more {target}"));
        assert_eq!(refused.code, Some(6), "{refused}");
    }
    assert!(bytes(&cli) == before);
}

#[test]
fn nothing_is_taken_out_of_an_archive_in_parts() {
    let cli = parted();
    let product = "acme.org/bar/product:1.0.0";
    let before: Vec<_> = files(&cli).iter().map(|file| cli.read(file)).collect();
    for path in ["new.tar.parts", "new.tar.001"] {
        for command in [
            format!("prune {path} --root {product}"),
            format!("prune {path} --root {product} --yes"),
            format!("delete cv {path}//{product}"),
        ] {
            let run = cli.run(&command);
            assert_eq!(run.code, Some(6), "{run}");
            assert!(run.stderr.contains("read-only"), "{run}");
        }
    }
    let after: Vec<_> = files(&cli).iter().map(|file| cli.read(file)).collect();
    assert!(after == before);
}

#[test]
fn a_size_that_makes_no_parts_is_refused() {
    let cli = signed();
    for (arguments, reason) in [
        ("new.tar --split-size 10", "not between 64 KiB"),
        ("new.tar --split-size 4XB", "`XB` is no unit"),
        ("new --split-size 1MiB", "new cannot be written in parts"),
        (
            "new.tgz --split-size 1MiB",
            "new.tgz cannot be written in parts",
        ),
        (
            "http://127.0.0.1:1/x --split-size 1MiB",
            "cannot be written in parts",
        ),
    ] {
        let refused = cli.run(&format!("transfer cv {PRODUCT} {arguments}"));
        assert_eq!(refused.code, Some(2), "{refused}");
        assert!(refused.stderr.contains(reason), "{refused}");
    }
    for taken in ["new.tar", "new.tar.001"] {
        cli.write(taken, "of somebody else");
        let refused = cli.run(&format!("transfer cv {PRODUCT} new.tar --split-size 1MiB"));
        assert_eq!(refused.code, Some(6), "{refused}");
        assert_eq!(cli.read(taken), b"of somebody else");
        fs::remove_file(cli.path(taken)).unwrap();
    }
}

#[test]
fn parts_are_checked_one_by_one() {
    let cli = parted();
    let count = list(&cli).parts.len();
    let whole = cli.run("check new.tar.parts");
    assert_eq!(whole.code, Some(0), "{whole}");
    assert!(whole.stdout.contains("new.tar.001"), "{whole}");
    assert!(
        whole
            .stderr
            .contains(&format!("new.tar.parts is whole: {count} of {count} parts")),
        "{whole}"
    );
    // One medium has one part, and the list.
    let part = cli.read("new.tar.002");
    cli.write("medium/new.tar.002", &part);
    cli.copy(cli.path("new.tar.parts"), "medium/new.tar.parts");
    let alone = cli.run("check medium/new.tar.002");
    assert_eq!(alone.code, Some(0), "{alone}");
    assert!(
        alone.stderr.contains(&format!("1 of {count} parts")),
        "{alone}"
    );

    let mut damaged = part.clone();
    damaged[1000] ^= 1;
    cli.write("new.tar.002", &damaged);
    let found = cli.run("check new.tar.parts");
    assert_eq!(found.code, Some(4), "{found}");
    assert!(
        found
            .stderr
            .contains("new.tar.parts is not whole: new.tar.002"),
        "{found}"
    );
    assert_eq!(cli.run("check new.tar.001").code, Some(0));
    assert_eq!(cli.run("check new.tar.002").code, Some(4));
    let json = cli.run("check new.tar.parts -o json");
    let reports: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(reports[0]["parts"][1]["outcome"], "wrong");
    assert_eq!(reports[0]["parts"][0]["outcome"], "verified");
}

#[test]
fn parts_that_are_missing_swapped_or_of_another_size_are_named() {
    let cli = parted();
    let (first, second) = (cli.read("new.tar.001"), cli.read("new.tar.002"));
    cli.write("new.tar.001", &second);
    cli.write("new.tar.002", &first);
    let swapped = cli.run("check new.tar.parts");
    assert_eq!(swapped.code, Some(4), "{swapped}");
    assert!(
        swapped.stderr.contains("new.tar.001, new.tar.002"),
        "{swapped}"
    );
    assert_ne!(cli.run("transfer ctf new.tar.parts far").code, Some(0));
    cli.write("new.tar.001", &first);
    cli.write("new.tar.002", &second[..1000]);
    for command in [
        "check new.tar.parts",
        "transfer ctf new.tar.parts far",
        "list new.tar.001",
    ] {
        let cut = cli.run(command);
        assert_eq!(cut.code, Some(4), "{cut}");
        assert!(cut.stderr.contains("new.tar.002"), "{cut}");
    }
    fs::remove_file(cli.path("new.tar.002")).unwrap();
    for command in [
        "check new.tar.parts",
        "transfer ctf new.tar.parts far",
        "list new.tar.001",
    ] {
        let missing = cli.run(command);
        assert_eq!(missing.code, Some(3), "{missing}");
        assert!(missing.stderr.contains("new.tar.002"), "{missing}");
    }
    cli.write("new.tar.002", &second);
    check_product(&cli, "new.tar.001");
    fs::remove_file(cli.path("new.tar.parts")).unwrap();
    let alone = cli.run("list new.tar.001");
    assert_eq!(alone.code, Some(3), "{alone}");
    assert!(alone.stderr.contains("new.tar.parts"), "{alone}");
}

#[test]
fn lists_that_are_none_are_refused() {
    let cli = parted();
    let text = String::from_utf8(cli.read("new.tar.parts")).unwrap();
    for (change, reason) in [
        (
            text.replace("parts.ocm.software", "other.example"),
            "its type is",
        ),
        (
            text.replace("new.tar.002", "../new.tar.002"),
            "is no name of a part",
        ),
        (text.replace("new.tar.002", "new.tar.001"), "twice"),
        (
            text.replacen("\"size\": 131072", "\"size\": 131073", 1),
            "not 4",
        ),
        (text.replacen('{', "", 1), "malformed"),
        (String::new(), "malformed"),
    ] {
        cli.write("new.tar.parts", &change);
        for command in [
            "list new.tar.parts",
            "check new.tar.parts",
            "transfer ctf new.tar.001 far",
        ] {
            let refused = cli.run(command);
            assert_eq!(refused.code, Some(1), "{change}: {refused}");
            assert!(refused.stderr.contains(reason), "{change}: {refused}");
        }
    }
    assert!(!cli.path("far").exists());
}

#[test]
fn a_killed_transfer_into_parts_is_continued_to_the_same_parts() {
    let cli = parted();
    let whole: Vec<Vec<u8>> = files(&cli).iter().map(|it| cli.read(it)).collect();
    let names = files(&cli);
    for kib in [30, 100] {
        for name in files(&cli) {
            fs::remove_file(cli.path(name)).unwrap();
        }
        let killed = cli.run_until_killed(kib, "transfer ctf kept new.tar --split-size 128KiB");
        assert_ne!(killed.code, Some(0), "{killed}");
        assert!(!cli.path("new.tar.parts").exists());
        cli.ok("transfer ctf kept new.tar --split-size 128KiB");
        assert_eq!(files(&cli), names);
        let again: Vec<Vec<u8>> = names.iter().map(|it| cli.read(it)).collect();
        assert!(again == whole, "{kib}");
    }
}

/// Begins to write an archive in parts from two large contents, and kills that when the first parts
/// are finished.
fn begun(cli: &mut Cli) -> String {
    let (registry, place) = crate::world::registry(cli);
    cli.write("src/noise", noise(400 * 1024, 7));
    cli.write("src/more", noise(300 * 1024, 8));
    cli.write(
        "src/two.yaml",
        "name: acme.org/large\nversion: 1.0.0\nprovider: {name: acme}\nresources:\n\
         - {name: noise, type: blob, input: {type: file, path: noise}}\n\
         - {name: more, type: blob, input: {type: file, path: more}}\n",
    );
    cli.ok("add cv -r two src/two.yaml");
    cli.ok(&format!("transfer ctf two {place}"));
    registry.take_requests();
    let second = Digest::sha256(noise(300 * 1024, 8)).to_string();
    registry.fail(usize::MAX, "GET", &second, Fault::Hold);
    let command = format!("transfer ctf {place} new.tar --split-size 128KiB");
    let started = cli.start(&command);
    registry.wait_for(&format!(
        "GET /v2/shop/component-descriptors/acme.org/large/blobs/{second}"
    ));
    assert_eq!(started.signal("KILL").code, None);
    "transfer ctf two new.tar --split-size 128KiB".to_owned()
}

#[test]
fn finished_parts_that_are_away_are_named_and_have_to_come_back() {
    let mut cli = signed();
    let command = begun(&mut cli);
    let started: Vec<String> = files(&cli);
    for part in ["new.tar.001", "new.tar.002", "new.tar.003"] {
        assert!(started.contains(&part.to_owned()), "{started:?}");
    }
    fs::create_dir(cli.path("away")).unwrap();
    for part in ["new.tar.001", "new.tar.003"] {
        fs::rename(cli.path(part), cli.path(format!("away/{part}"))).unwrap();
    }
    let before = files(&cli);
    let refused = cli.run(&command);
    assert_eq!(refused.code, Some(3), "{refused}");
    let place = cli.path("new.tar");
    let place = place.parent().unwrap().display();
    let expected = format!("finished parts have to be in {place} again: new.tar.001, new.tar.003");
    assert!(refused.stderr.contains(&expected), "{refused}");
    assert!(refused.stderr.contains("`.new.tar.partial`"), "{refused}");
    assert_eq!(files(&cli), before);
    for part in ["new.tar.001", "new.tar.003"] {
        cli.copy(cli.path(format!("away/{part}")), part);
    }
    cli.ok(&command);
    cli.ok("check new.tar.parts");
    cli.ok("check --content new.tar.parts//acme.org/large:1.0.0");
    // What is begun anew is the same, whatever a writer before has left.
    let whole: Vec<Vec<u8>> = files(&cli).iter().map(|it| cli.read(it)).collect();
    let names = files(&cli);
    for name in &names {
        fs::remove_file(cli.path(name)).unwrap();
    }
    cli.write(".new.tar.006", noise(128 * 1024, 9));
    cli.ok(&command);
    assert_eq!(files(&cli), names);
    let again: Vec<Vec<u8>> = names.iter().map(|it| cli.read(it)).collect();
    assert!(again == whole);
}

#[test]
fn a_part_of_somebody_else_is_found_before_anything_is_written() {
    let mut cli = signed();
    // What a killed writer of a plain tar has left says nothing of parts.
    for (left, foreign) in [
        (None, "new.tar.002"),
        (None, "new.tar.099"),
        (Some(".new.tar.partial"), "new.tar.001"),
    ] {
        cli.write(foreign, "of somebody else");
        if let Some(left) = left {
            cli.write(left, noise(1000, 1));
        }
        let before = files(&cli);
        let refused = cli.run(&format!("transfer cv {PRODUCT} new.tar --split-size 64KiB"));
        assert_eq!(refused.code, Some(6), "{refused}");
        assert!(refused.stderr.contains(foreign), "{refused}");
        assert_eq!(files(&cli), before);
        assert_eq!(cli.read(foreign), b"of somebody else");
        fs::remove_file(cli.path(foreign)).unwrap();
    }
    fs::remove_file(cli.path(".new.tar.partial")).unwrap();
    // Among those that a killed writer has left, it is found as well.
    let command = begun(&mut cli);
    cli.write("new.tar.005", "of somebody else");
    let before = files(&cli);
    let refused = cli.run(&command);
    assert_eq!(refused.code, Some(6), "{refused}");
    assert!(refused.stderr.contains("new.tar.005"), "{refused}");
    assert_eq!(files(&cli), before);
}

#[test]
fn a_delta_archive_can_be_in_parts() {
    let cli = parted();
    let text = String::from_utf8(cli.read("src/large.yaml")).unwrap();
    cli.write("src/larger", noise(300 * 1024, 7));
    let text = text.replace("1.0.0", "1.1.0");
    let more = "\n- {name: more, type: blob, input: {type: file, path: larger}}\n";
    cli.write("src/next.yaml", format!("{}{more}", text.trim_end()));
    cli.ok("add cv -r next src/next.yaml");
    let delta = "transfer ctf next delta.tar --split-size 64KiB --since new.tar.parts";
    let made = cli.run(delta);
    assert_eq!(made.code, Some(0), "{made}");
    assert!(
        made.stderr.contains("leaves out 1 blob (400.0 KiB)"),
        "{made}"
    );
    let again = cli.run(delta);
    assert_eq!(again.code, Some(0), "{again}");
    let refused = cli.run("transfer ctf kept delta.tar --split-size 64KiB");
    assert_eq!(refused.code, Some(2), "{refused}");
    cli.ok("transfer ctf new.tar.parts far");
    cli.ok("transfer ctf delta.tar.parts far");
    cli.ok("check --content far//acme.org/large:1.1.0");
}
