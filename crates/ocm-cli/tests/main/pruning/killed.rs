//! Pruning that is killed anywhere: what stays is whole, and the same command goes on.

use std::collections::BTreeSet;
use std::fs;

use ocm_testkit::{Cli, Fault, Registry};
use serde_json::Value;

use super::{ARCHIVES, FOREVER, NEW, at, check, world};
use crate::raw::exchange;
use crate::world::registry;

const COMMAND: &str = "--root acme.org/shop --yes";

/// A registry with the product, and the manifests in it that have no tag.
struct Place {
    cli: Cli,
    registry: Registry,
    url: String,
    untagged: BTreeSet<String>,
}

impl Place {
    fn new() -> Self {
        let mut cli = world();
        let (registry, url) = registry(&mut cli);
        cli.ok(&format!("transfer ctf shop {url}"));
        let requests = registry.take_requests().into_iter();
        let untagged = requests.filter_map(|request| {
            let path = request.strip_prefix("PUT ")?;
            path.contains("/manifests/sha256:").then(|| path.to_owned())
        });
        Self {
            untagged: untagged.collect(),
            cli,
            registry,
            url,
        }
    }

    /// Returns how many of the manifests without a tag are there.
    fn left(&self) -> usize {
        let is_there = |path: &&String| {
            let (head, _) = exchange(self.registry.host(), &format!("GET {path} HTTP/1.1"), b"");
            head.starts_with("HTTP/1.1 200")
        };
        self.untagged.iter().filter(is_there).count()
    }
}

/// Kills the command where it deletes anything. What has lost its name by then is found by the next
/// one.
#[test]
fn pruning_a_registry_is_killed_anywhere_and_goes_on() {
    let whole = Place::new();
    whole.cli.ok(&format!("prune {} {COMMAND}", whole.url));
    let requests = whole.registry.take_requests().into_iter();
    let deletions = requests.filter(|it| it.starts_with("DELETE")).count();
    let left = whole.left();
    assert!(left > 0 && whole.untagged.len() >= left + 2, "{left}");
    // Two versions of the shop with a manifest of their own, one of the library, and the note, which
    // is asked for before it is there.
    assert_eq!(deletions, 7);
    for before in 0..deletions {
        let place = Place::new();
        let Place {
            cli, registry, url, ..
        } = &place;
        registry.fail_after(before, FOREVER, "DELETE", "", Fault::Hold);
        let command = format!("prune {url} {COMMAND}");
        let started = cli.start(&command);
        registry.wait_for_times(before + 1, "DELETE");
        assert_eq!(started.signal("KILL").code, None);
        registry.heal();
        for id in NEW {
            cli.ok(&format!("check --content {url}//acme.org/{id}"));
        }
        let listed = cli.run(&format!("list {url}"));
        assert_eq!(listed.stderr, "", "{listed}");
        cli.ok(&command);
        check(cli, url, &NEW);
        assert_eq!(place.left(), left, "{before}");
        let report = cli.ok(&format!("prune {url} --root acme.org/shop -o json"));
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report[0]["manifests"], 0, "{before}: {report}");
    }
}

/// Kills the command in archives right before anything that it does to files: what stays is whole,
/// and the same command ends what was begun.
#[cfg(target_os = "linux")]
#[test]
fn pruning_an_archive_is_killed_anywhere_and_goes_on() {
    for archive in ARCHIVES {
        let cli = at(archive);
        fs::rename(cli.path(archive), cli.path("kept")).unwrap();
        let command = format!("prune {archive} {COMMAND}");
        let mut killed = 0;
        loop {
            begin(&cli, archive);
            let run = cli.run_killed_at(killed + 1, &command);
            if run.code == Some(0) {
                break;
            }
            assert_eq!(run.code, None, "{run}");
            killed += 1;
            go_on(&cli, archive, &command);
        }
        // A directory loses each blob by itself; a file is replaced as a whole.
        let least = if archive == "here" { 15 } else { 3 };
        assert!(killed >= least, "{archive}: {killed}");
    }
}

/// Kills the command in archives where one of its files gets some size.
#[test]
fn pruning_an_archive_is_killed_while_it_writes_and_goes_on() {
    for archive in ARCHIVES {
        let cli = at(archive);
        fs::rename(cli.path(archive), cli.path("kept")).unwrap();
        let command = format!("prune {archive} {COMMAND}");
        let mut killed = 0;
        for kib in [0, 1, 2, 4, 8, 12] {
            begin(&cli, archive);
            killed += usize::from(cli.run_until_killed(kib, &command).code.is_none());
            go_on(&cli, archive, &command);
        }
        assert!(killed >= 1, "{archive}");
    }
}

/// Puts an archive in place as it was before anything was removed, and nothing else.
fn begin(cli: &Cli, archive: &str) {
    for entry in fs::read_dir(cli.path("")).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().contains("here") {
            continue;
        }
        if entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        } else {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    cli.copy(cli.path("kept"), archive);
}

fn go_on(cli: &Cli, archive: &str, command: &str) {
    for id in NEW {
        cli.ok(&format!("check --content {archive}//acme.org/{id}"));
    }
    cli.ok(command);
    check(cli, archive, &NEW);
    let report = cli.ok(&format!("prune {archive} --root acme.org/shop -o json"));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report[0]["blobs"], 0, "{report}");
}
