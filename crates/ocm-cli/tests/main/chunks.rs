//! Delta archives that leave out parts of blobs.

use std::fs;
use std::io::Write as _;

use ocm_testkit::Cli;

use crate::world::{empty, names, noise, registry};

const NEXT: &str = "acme.org/disk:1.1.0";

/// The size of the disk, and of what changes, in bytes.
const DISK: usize = 3 << 20;
const CHANGED: usize = 40_000;

/// The content of the two releases.
fn disks() -> (Vec<u8>, Vec<u8>) {
    let before = noise(DISK, 3);
    let mut after = before.clone();
    after.splice(2_000_000..2_000_000 + CHANGED, noise(CHANGED, 4));
    after.splice(500_000..500_000, *b"some bytes more");
    (before, after)
}

fn pack(cli: &Cli, archive: &str, version: &str, content: &[u8]) {
    cli.write("disk.img", content);
    cli.write(
        "disk.yaml",
        format!(
            "name: acme.org/disk\nversion: {version}\nprovider: {{name: acme}}\nresources:\n\
             - {{name: disk, type: blob, input: {{type: file, path: disk.img, mediaType: \
             application/octet-stream}}}}\n"
        ),
    );
    cli.ok(&format!("add cv -r {archive} disk.yaml"));
}

/// Returns a directory with two releases of a disk, in `old` and in `new`.
fn released() -> Cli {
    let cli = empty();
    let (before, after) = disks();
    pack(&cli, "old", "1.0.0", &before);
    pack(&cli, "new", "1.1.0", &after);
    cli
}

#[track_caller]
fn check_next(cli: &Cli, place: &str) {
    cli.ok(&format!("check --content {place}//{NEXT}"));
    let run = format!("download resource {place}//{NEXT} --identity name=disk --output out.img");
    cli.ok(&run);
    assert!(cli.read("out.img") == disks().1);
    fs::remove_file(cli.path("out.img")).unwrap();
}

fn size(cli: &Cli, file: &str) -> usize {
    cli.read(file).len()
}

#[test]
fn of_a_blob_that_changed_only_what_is_new_crosses() {
    let mut cli = released();
    let (_registry, place) = registry(&mut cli);
    cli.ok(&format!("transfer ctf old {place}"));
    cli.ok(&format!("state export {place} --chunks -o far.json"));
    assert!(size(&cli, "far.json") < DISK / 100);
    let made = cli.run("transfer ctf new delta.tar --since far.json --chunk-deltas");
    assert_eq!(made.code, Some(0), "{made}");
    assert!(
        made.stderr.contains("leaves out 1 blob in part (2."),
        "{made}"
    );
    // Next to what is new: chunks at its edges, and the descriptors.
    assert!(
        size(&cli, "delta.tar") < CHANGED + 300_000,
        "{}",
        size(&cli, "delta.tar")
    );
    cli.ok(&format!("transfer ctf delta.tar {place}"));
    check_next(&cli, &place);
    let again = cli.run(&format!("transfer ctf delta.tar {place}"));
    assert!(again.stderr.contains("1 skipped"), "{again}");
}

#[test]
fn a_dry_run_counts_what_would_be_written() {
    let cli = released();
    let transfer = "transfer ctf new delta.tar --since old --chunk-deltas";
    let shown = cli.run(&format!("{transfer} --dry-run"));
    assert_eq!(shown.code, Some(0), "{shown}");
    assert!(!cli.path("delta.tar").exists());
    let made = cli.run(transfer);
    let left_out = |text: &str, marker: &str| {
        let (_, rest) = text.split_once(marker).unwrap();
        rest.lines().next().unwrap().to_owned()
    };
    let expected = left_out(&made.stderr, "leaves out ");
    assert!(expected.contains("1 blob in part (2."), "{made}");
    assert_eq!(
        left_out(&shown.stderr, "would leave out up to "),
        expected,
        "{shown}"
    );
    let whole = cli.run("transfer ctf new delta.tar --since old --dry-run");
    assert!(whole.stderr.contains("up to 0 blobs"), "{whole}");
}

#[test]
fn every_form_of_archive_is_base_and_delta_and_target() {
    let cli = released();
    for (base, delta, target, more) in [
        ("base.tar", "delta.tgz", "far", ""),
        ("base.tgz", "delta", "far.tar", ""),
        ("base", "parts.tar", "far.tgz", "--split-size 64KiB"),
    ] {
        cli.ok(&format!("transfer ctf old {base}"));
        cli.ok(&format!("transfer ctf old {target}"));
        cli.ok(&format!(
            "transfer ctf new {delta} --since {base} --chunk-deltas {more}"
        ));
        let delta = if more.is_empty() {
            delta
        } else {
            "parts.tar.parts"
        };
        let alone = cli.run(&format!("check {delta}//{NEXT}"));
        assert_eq!(alone.code, Some(3), "{alone}");
        assert!(alone.stderr.contains("is a delta archive"), "{alone}");
        cli.ok(&format!("transfer ctf {delta} {target}"));
        check_next(&cli, target);
    }
}

#[test]
fn the_same_delta_is_the_same_bytes_and_is_not_made_twice() {
    let cli = released();
    cli.ok("transfer ctf new one.tar --since old --chunk-deltas --concurrency-limit 1");
    cli.ok("transfer ctf new two.tar --since old --chunk-deltas --concurrency-limit 8");
    let bytes = cli.read("one.tar");
    assert!(cli.read("two.tar") == bytes);
    cli.ok("transfer ctf new one.tar --since old --chunk-deltas");
    assert!(cli.read("one.tar") == bytes);
    cli.ok("transfer ctf new one.tar --since old");
    assert!(cli.read("one.tar") == bytes);
}

#[test]
fn a_killed_transfer_is_continued_to_the_same_bytes() {
    let cli = released();
    // All is new, so that there is something to write.
    cli.write("nothing.txt", "# nothing\n");
    let transfer = "transfer ctf new delta.tar --since nothing.txt --chunk-deltas";
    cli.ok(transfer);
    let bytes = cli.read("delta.tar");
    for kib in [1300, 2500, 3500] {
        fs::remove_file(cli.path("delta.tar")).unwrap();
        let killed = cli.run_until_killed(kib, transfer);
        assert_ne!(killed.code, Some(0), "{killed}");
        cli.ok(transfer);
        assert!(cli.read("delta.tar") == bytes, "{kib}");
    }
}

#[test]
fn without_its_base_nothing_is_changed_and_what_is_missing_is_named() {
    let cli = released();
    cli.ok("transfer ctf new delta.tar --since old --chunk-deltas");
    let before = names(&cli);
    let refused = cli.run("transfer ctf delta.tar far");
    assert_eq!(refused.code, Some(3), "{refused}");
    let (disk, _) = disks();
    let digest = ocm::digest::Digest::sha256(disk).to_string();
    assert!(refused.stderr.contains(&digest), "{refused}");
    assert_eq!(names(&cli), before);
}

#[test]
fn a_base_that_is_damaged_is_found_and_what_is_made_of_it_is_not_kept() {
    let cli = released();
    cli.ok("transfer ctf new delta.tar --since old --chunk-deltas");
    cli.ok("transfer ctf old far");
    let (disk, _) = disks();
    let file = format!(
        "far/blobs/sha256.{}",
        ocm::digest::Digest::sha256(&disk).to_hex()
    );
    let mut damaged = disk;
    damaged[1_000_000] ^= 1;
    cli.write(&file, damaged);
    let refused = cli.run("transfer ctf delta.tar far");
    assert_eq!(refused.code, Some(4), "{refused}");
    let missing = cli.run(&format!("get cv far//{NEXT}"));
    assert_eq!(missing.code, Some(3), "{missing}");
}

#[test]
fn what_is_compressed_crosses_as_a_whole() {
    let cli = empty();
    let (before, after) = disks();
    let gzip = |content: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    pack(&cli, "old", "1.0.0", &gzip(&before));
    pack(&cli, "new", "1.1.0", &gzip(&after));
    let made = cli.run("transfer ctf new delta.tar --since old --chunk-deltas");
    assert_eq!(made.code, Some(0), "{made}");
    assert!(made.stderr.contains("leaves out 0 blobs (0 B)"), "{made}");
    // So it needs nothing of the other side.
    cli.ok("transfer ctf delta.tar far");
    cli.ok(&format!("check --content far//{NEXT}"));
}

#[test]
fn a_delta_builds_upon_a_delta_in_chunks() {
    let cli = released();
    cli.ok("transfer ctf old far");
    cli.ok("transfer ctf new first.tar --since old --chunk-deltas");
    let (_, after) = disks();
    pack(&cli, "last", "1.2.0", &after);
    cli.ok("transfer ctf last second.tar --since first.tar");
    assert!(
        size(&cli, "second.tar") < 20_000,
        "{}",
        size(&cli, "second.tar")
    );
    cli.ok("transfer ctf first.tar far");
    cli.ok("transfer ctf second.tar far");
    cli.ok("check --content far//acme.org/disk:1.2.0");
}

#[test]
fn recipes_that_are_none_are_refused() {
    let cli = released();
    cli.ok("transfer ctf old far");
    cli.ok("transfer ctf new delta --since old --chunk-deltas");
    let blobs = fs::read_dir(cli.path("delta/blobs")).unwrap();
    let recipe = blobs.map(|entry| entry.unwrap().path()).find(|path| {
        let bytes = fs::read(path).unwrap();
        bytes.starts_with(b"{\"type\":\"recipe.")
    });
    let recipe = recipe.unwrap();
    let text = fs::read_to_string(&recipe).unwrap();
    for (change, code) in [
        // Its digest tells.
        (text.replace("\"copy\":[0,", "\"copy\":[9,"), 4),
        (String::new(), 4),
    ] {
        fs::write(&recipe, change).unwrap();
        let refused = cli.run("transfer ctf delta far");
        assert_eq!(refused.code, Some(code), "{refused}");
    }
    fs::remove_file(&recipe).unwrap();
    let refused = cli.run("transfer ctf delta far");
    assert_eq!(refused.code, Some(4), "{refused}");
    fs::write(&recipe, text).unwrap();
    cli.ok("transfer ctf delta far");
    check_next(&cli, "far");
}

#[test]
fn chunks_are_told_from_what_is_none() {
    let cli = released();
    let refused = cli.run("transfer ctf new delta.tar --chunk-deltas");
    assert_eq!(refused.code, Some(2), "{refused}");
    let state = cli.ok("state export old --chunks");
    let chunks = state.split_once("\"chunks\": {").unwrap().1;
    let (_, list) = chunks.split_once("\": \"").unwrap();
    let (list, _) = list.split_once('"').unwrap();
    for (change, reason) in [
        ("A".repeat(40), "chunks are no list of chunks"),
        ("$".to_owned(), "chunks are no Base64"),
        (
            list[80..].to_owned(),
            "are not those of a blob that is there",
        ),
    ] {
        cli.write("far.json", state.replace(list, &change));
        let refused = cli.run("transfer ctf new delta.tar --since far.json --chunk-deltas");
        assert_eq!(refused.code, Some(2), "{refused}");
        assert!(refused.stderr.contains(reason), "{refused}");
    }
    // Without chunks everything of a blob is new.
    cli.ok("state export old -o far.json");
    cli.ok("transfer ctf new delta.tar --since far.json --chunk-deltas");
    assert!(size(&cli, "delta.tar") > DISK);
    cli.ok("transfer ctf delta.tar far");
    check_next(&cli, "far");
}
