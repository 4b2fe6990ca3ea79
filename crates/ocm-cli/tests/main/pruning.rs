//! Removing component versions: by name, or all that nobody needs any more.

mod deleting;
mod killed;
mod registries;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use ocm::digest::Digest;
use ocm_testkit::{Cli, Registry, Run};
use serde_json::{Value, json};

use crate::world::{conformance, empty, names, registry};

const FOREVER: usize = usize::MAX;

/// Where archives of each form are.
const ARCHIVES: [&str; 3] = ["here", "here.tar", "here.tgz"];

/// Packs three versions of a shop, of which the first two need the old library and the third the
/// new one, into the directory `shop`. All versions of the shop have the same image, and each a
/// text and an image set of its own.
fn world() -> Cli {
    let cli = empty();
    cli.copy(
        conformance("go-tools/input/image.tar.gz"),
        "src/image.tar.gz",
    );
    let mut components = String::from("components:\n");
    let mut add = |name: &str, version: &str, rest: &str| {
        let _ = write!(
            components,
            "- name: acme.org/{name}\n  version: {version}\n  provider: {{name: acme}}\n{rest}"
        );
    };
    for version in ["1.0.0", "2.0.0"] {
        let text = format!("library {version}");
        add(
            "lib",
            version,
            &format!("  resources:\n{}", blob("text", &text)),
        );
    }
    for (version, library) in [("1.0.0", "1.0.0"), ("2.0.0", "1.0.0"), ("3.0.0", "2.0.0")] {
        let reference = format!(
            "  componentReferences:\n  - {{name: lib, componentName: acme.org/lib, version: {library}}}\n"
        );
        let text = blob("text", &format!("shop {version}"));
        let image = "  - name: image\n    type: ociImage\n    input:\n      type: file\n      \
                     path: image.tar.gz\n      mediaType: \
                     application/vnd.ocm.software.oci.layout.v1+tar+gzip\n";
        add(
            "shop",
            version,
            &format!("{reference}  resources:\n{text}{image}"),
        );
    }
    cli.write("src/all.yaml", components);
    cli.ok("add cv -r shop src/all.yaml");
    cli
}

fn blob(name: &str, text: &str) -> String {
    format!("  - {{name: {name}, type: blob, input: {{type: utf8, text: {text}}}}}\n")
}

/// Brings the product to a place.
fn at(place: &str) -> Cli {
    let cli = world();
    cli.ok(&format!("transfer ctf shop {place}"));
    cli
}

fn in_registry() -> (Cli, Registry, String) {
    let mut cli = world();
    let (registry, place) = registry(&mut cli);
    cli.ok(&format!("transfer ctf shop {place}"));
    registry.take_requests();
    (cli, registry, place)
}

/// Checks that just these component versions are there, and whole.
#[track_caller]
fn check(cli: &Cli, place: &str, expected: &[&str]) {
    let listed: Value = serde_json::from_str(&cli.ok(&format!("list {place} -o json"))).unwrap();
    let mut found = Vec::new();
    for component in listed.as_array().unwrap() {
        let name = component["name"].as_str().unwrap();
        let name = name.trim_start_matches("acme.org/");
        let versions = component["versions"].as_array().unwrap();
        found.extend(
            versions
                .iter()
                .map(|it| format!("{name}:{}", it.as_str().unwrap())),
        );
    }
    found.sort();
    assert_eq!(found, expected, "{place}");
    for id in expected {
        cli.ok(&format!("check --content {place}//acme.org/{id}"));
    }
}

const ALL: [&str; 5] = [
    "lib:1.0.0",
    "lib:2.0.0",
    "shop:1.0.0",
    "shop:2.0.0",
    "shop:3.0.0",
];
const NEW: [&str; 2] = ["lib:2.0.0", "shop:3.0.0"];

/// Returns the names of the files of an archive that is a directory.
fn files(directory: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path.display().to_string());
            }
        }
    }
    files.sort();
    files
}

/// Changes the index of an archive that is a directory.
fn edit(cli: &Cli, archive: &str, change: impl FnOnce(&mut Vec<Value>)) {
    let path = format!("{archive}/artifact-index.json");
    let mut index: Value = serde_json::from_slice(&cli.read(&path)).unwrap();
    change(index["artifacts"].as_array_mut().unwrap());
    cli.write(&path, index.to_string());
}

/// Returns what an index lists under a tag.
fn entry(entries: &[Value], repository: &str, tag: &str) -> Value {
    let mut entries = entries.iter();
    let entry = entries.find(|it| it["repository"] == repository && it["tag"] == tag);
    entry.unwrap().clone()
}

/// Puts a manifest into an archive that is a directory, and returns its entry for the index.
fn put_manifest(cli: &Cli, archive: &str, repository: &str, mut manifest: Value) -> Value {
    let put = |content: &[u8]| {
        let digest = Digest::sha256(content).to_string();
        cli.write(
            format!("{archive}/blobs/{}", digest.replace(':', ".")),
            content,
        );
        digest
    };
    let empty = json!({
        "mediaType": "application/vnd.oci.empty.v1+json", "digest": put(b"{}"), "size": 2,
    });
    manifest["schemaVersion"] = 2.into();
    let index = "application/vnd.oci.image.index.v1+json";
    let image = "application/vnd.oci.image.manifest.v1+json";
    let media_type = if manifest.get("manifests").is_some() {
        index
    } else {
        image
    };
    manifest["mediaType"] = media_type.into();
    if media_type == image {
        manifest["config"] = empty.clone();
        manifest["layers"] = json!([empty]);
    }
    let digest = put(manifest.to_string().as_bytes());
    json!({"repository": repository, "digest": digest, "mediaType": media_type})
}

fn said(run: &Run) -> String {
    assert_eq!(run.code, Some(0), "{run}");
    run.to_string()
}

#[test]
fn without_yes_nothing_is_changed() {
    let cli = at("here");
    let before = files(&cli.path("here"));
    let index = cli.read("here/artifact-index.json");
    for arguments in ["", "--dry-run"] {
        let run = cli.run(&format!("prune here --root acme.org/shop {arguments}"));
        assert_eq!(run.code, Some(0), "{run}");
        assert!(run.stderr.contains("`--yes` removes it"), "{run}");
    }
    assert_eq!(files(&cli.path("here")), before);
    assert_eq!(cli.read("here/artifact-index.json"), index);
    let run = cli.run("prune here --root acme.org/shop --yes --dry-run");
    assert_eq!(run.code, Some(2), "{run}");
    assert_snapshot!(said(&cli.run("prune here --root acme.org/shop")), @r"
    $ ocm prune here --root acme.org/shop
    exit 0
    --- stdout
    COMPONENT VERSION    REPOSITORY  OUTCOME
    acme.org/lib:1.0.0   here        would go
    acme.org/lib:2.0.0   here        stays
    acme.org/shop:1.0.0  here        would go
    acme.org/shop:2.0.0  here        would go
    acme.org/shop:3.0.0  here        stays
    --- stderr
    3 component versions and 5 manifests would go from here, with 14 blobs of 9.0 KiB
    nothing has been changed; `--yes` removes it
    ");
    assert_snapshot!(said(&cli.run("prune here --root acme.org/shop --yes")), @r"
    $ ocm prune here --root acme.org/shop --yes
    exit 0
    --- stdout
    COMPONENT VERSION    REPOSITORY  OUTCOME
    acme.org/lib:1.0.0   here        removed
    acme.org/lib:2.0.0   here        stays
    acme.org/shop:1.0.0  here        removed
    acme.org/shop:2.0.0  here        removed
    acme.org/shop:3.0.0  here        stays
    --- stderr
    3 component versions and 5 manifests went from here, with 14 blobs of 9.0 KiB
    ");
    assert_snapshot!(said(&cli.run("prune here --root acme.org/shop -o json")), @r#"
    $ ocm prune here --root acme.org/shop -o json
    exit 0
    --- stdout
    [
      {
        "repository": "here",
        "dryRun": true,
        "retained": [
          "acme.org/lib:2.0.0",
          "acme.org/shop:3.0.0"
        ],
        "elsewhere": [],
        "removed": [],
        "tags": [],
        "manifests": 0,
        "blobs": 0,
        "bytes": 0,
        "shared": false,
        "unlisted": false
      }
    ]
    --- stderr
    there is nothing to remove from here
    "#);
    check(&cli, "here", &NEW);
}

#[test]
fn what_stays_is_whole_in_every_sort_of_archive() {
    for archive in ARCHIVES {
        let cli = at(archive);
        let there = names(&cli);
        let report = |arguments: &str| -> Value {
            let command = format!("prune {archive} --root acme.org/shop:3.0.0 -o json {arguments}");
            let reports: Value = serde_json::from_str(&cli.ok(&command)).unwrap();
            reports[0].clone()
        };
        let preview = report("");
        let mut done = report("--yes");
        assert_eq!(done["dryRun"], false);
        done["dryRun"] = true.into();
        assert_eq!(done, preview, "{archive}");
        assert_eq!(done["removed"].as_array().unwrap().len(), 3);
        assert!(done["bytes"].as_u64().unwrap() > 0);
        check(&cli, archive, &NEW);
        assert_eq!(names(&cli), there);
        let again = report("--yes");
        assert_eq!(
            (&again["blobs"], &again["manifests"]),
            (&json!(0), &json!(0))
        );
        check(&cli, archive, &NEW);
        // What is left is what had been brought there in the first place.
        cli.ok("transfer cv --recursive shop//acme.org/shop:3.0.0 fresh");
        cli.ok(&format!("transfer ctf {archive} copy"));
        let blobs = |archive: &str| -> Vec<String> {
            let files = files(&cli.path(archive).join("blobs"));
            files
                .iter()
                .map(|file| file.rsplit('/').next().unwrap().to_owned())
                .collect()
        };
        assert_eq!(blobs("copy"), blobs("fresh"), "{archive}");
        if archive == "here" {
            assert_eq!(blobs("here"), blobs("fresh"));
        }
    }
}

#[test]
fn older_versions_stay_on_request_with_what_they_need() {
    let cli = at("here");
    cli.ok("prune here --root acme.org/shop --keep 1 --yes");
    check(
        &cli,
        "here",
        &["lib:1.0.0", "lib:2.0.0", "shop:2.0.0", "shop:3.0.0"],
    );
    cli.ok("prune here --root acme.org/shop:2.0.0 --keep 5 --root acme.org/lib:2.0.0 --yes");
    check(&cli, "here", &["lib:1.0.0", "lib:2.0.0", "shop:2.0.0"]);
    cli.ok("prune here --root acme.org/lib --yes");
    check(&cli, "here", &["lib:2.0.0"]);
}

#[test]
fn a_root_that_is_not_there_stops_everything() {
    let cli = at("here");
    for root in [
        "acme.org/shop:4.0.0",
        "acme.org/none",
        "acme.org/none:1.0.0",
    ] {
        let run = cli.run(&format!(
            "prune here --root acme.org/lib --root {root} --yes"
        ));
        assert_eq!(run.code, Some(3), "{run}");
    }
    for arguments in ["--yes", "--root ?? --yes"] {
        let run = cli.run(&format!("prune here {arguments}"));
        assert_eq!(run.code, Some(2), "{run}");
    }
    let run = cli.run("prune ./nowhere --root acme.org/lib --yes");
    assert_eq!(run.code, Some(3), "{run}");
    check(&cli, "here", &ALL);
}

#[test]
fn a_reference_to_elsewhere_keeps_nothing_and_is_said() {
    let cli = at("here");
    cli.ok("delete cv --force here//acme.org/lib:2.0.0");
    let run = cli.run("prune here --root acme.org/shop --yes");
    assert_eq!(run.code, Some(0), "{run}");
    assert!(
        run.stderr
            .contains("acme.org/lib:2.0.0 is referred to and is not here"),
        "{run}"
    );
    let listed = cli.ok("list here");
    assert!(
        listed.contains("acme.org/shop") && !listed.contains("acme.org/lib"),
        "{listed}"
    );
}

/// Aliases go with what they name; what somebody else keeps beside component versions stays, and
/// signatures of an image stay as long as the image does.
#[test]
fn what_is_not_of_component_versions_stays() {
    let shop = "component-descriptors/acme.org/shop";
    for command in [
        "prune here --root acme.org/shop:3.0.0 --yes",
        "delete cv here//acme.org/shop:1.0.0",
    ] {
        let cli = at("here");
        let foreign = put_manifest(&cli, "here", shop, json!({"annotations": {"a": "foreign"}}));
        let beside = put_manifest(
            &cli,
            "here",
            "images/app",
            json!({"annotations": {"a": "beside"}}),
        );
        let mut kept = vec![foreign["digest"].clone(), beside["digest"].clone()];
        edit(&cli, "here", |entries| {
            let root = |version: &str| entry(entries, shop, version);
            let (mut old, mut new) = (root("1.0.0"), root("3.0.0"));
            old["tag"] = "first".into();
            new["tag"] = "latest".into();
            let tagged = |mut entry: Value, tag: &str| {
                entry["tag"] = tag.into();
                entry
            };
            entries.extend([
                old,
                new,
                tagged(foreign.clone(), "app"),
                tagged(beside.clone(), "v1"),
            ]);
        });
        // The image that all versions have is signed, and so is the first version.
        let index: Value = serde_json::from_slice(&cli.read("here/artifact-index.json")).unwrap();
        let entries = index["artifacts"].as_array().unwrap();
        let root = entry(entries, shop, "1.0.0");
        let file = root["digest"].as_str().unwrap().replace(':', ".");
        let bytes = cli.read(format!("here/blobs/{file}"));
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let image = document["manifests"][1].clone();
        let subject = |digest: &Value, size: u64| json!({"digest": digest, "size": size, "mediaType": "application/vnd.oci.image.manifest.v1+json"});
        let of_image = put_manifest(
            &cli,
            "here",
            shop,
            json!({
                "artifactType": "a/signature", "subject": subject(&image["digest"], 1),
            }),
        );
        let of_version = put_manifest(
            &cli,
            "here",
            shop,
            json!({
                "artifactType": "a/signature", "subject": subject(&root["digest"], bytes.len() as u64),
            }),
        );
        kept.push(of_image["digest"].clone());
        let mut gone = vec![of_version["digest"].clone(), root["digest"].clone()];
        let list = put_manifest(
            &cli,
            "here",
            shop,
            json!({"manifests": [
                {"digest": of_version["digest"], "size": 1, "mediaType": of_version["mediaType"]},
            ]}),
        );
        gone.push(list["digest"].clone());
        edit(&cli, "here", |entries| {
            let mut list = list.clone();
            list["tag"] = root["digest"].as_str().unwrap().replace(':', "-").into();
            entries.extend([of_image, of_version, list]);
        });

        cli.ok(command);
        let index: Value = serde_json::from_slice(&cli.read("here/artifact-index.json")).unwrap();
        let entries = index["artifacts"].as_array().unwrap();
        let has = |field: &str, value: &Value| entries.iter().any(|entry| entry[field] == *value);
        for digest in &kept {
            assert!(has("digest", digest), "{command}: {digest} of {index}");
        }
        for digest in &gone {
            assert!(!has("digest", digest), "{command}: {digest} of {index}");
            let file = digest.as_str().unwrap().replace(':', ".");
            assert!(!cli.path(format!("here/blobs/{file}")).exists());
        }
        let tags = ["latest", "app", "v1"].map(Value::from);
        assert!(
            tags.iter().all(|tag| has("tag", tag)) && !has("tag", &"first".into()),
            "{index}"
        );
        cli.ok("check --content here//acme.org/shop:3.0.0");
    }
}

#[test]
fn what_a_version_was_before_it_was_written_anew_goes() {
    let cli = at("here");
    let (shop, beside) = ("component-descriptors/acme.org/shop", "images/app");
    let stray = put_manifest(&cli, "here", beside, json!({"annotations": {"a": "b"}}));
    edit(&cli, "here", |entries| {
        let old = entries.iter_mut();
        for entry in old.filter(|it| it["repository"] == shop && it["tag"] != "3.0.0") {
            entry.as_object_mut().unwrap().remove("tag");
        }
        entries.push(stray.clone());
    });
    check(&cli, "here", &["lib:1.0.0", "lib:2.0.0", "shop:3.0.0"]);
    let report = cli.ok("prune here --root acme.org/shop --yes -o json");
    let report: Value = serde_json::from_str(&report).unwrap();
    // The library, and of the two versions without a name an index with a manifest each.
    assert_eq!(report[0]["manifests"], 5, "{report}");
    check(&cli, "here", &NEW);
    let file = stray["digest"].as_str().unwrap().replace(':', ".");
    assert!(
        cli.path("here/blobs").join(file).exists(),
        "it is of somebody else"
    );
    let report = cli.ok("prune here --root acme.org/shop -o json");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        (&report[0]["blobs"], &report[0]["manifests"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn where_somebody_else_writes_names_go_and_young_blobs_stay() {
    let cli = at("here");
    let before = files(&cli.path("here/blobs")).len();
    let mut server = cli.start("serve here --listen 127.0.0.1:0");
    server.wait_for("listening on ");
    let run = cli.run("prune here --root acme.org/shop --yes");
    assert_eq!(run.code, Some(0), "{run}");
    assert!(run.stderr.contains("somebody else writes to here"), "{run}");
    check(&cli, "here", &NEW);
    assert_eq!(files(&cli.path("here/blobs")).len(), before);
    assert_eq!(server.signal("INT").code, Some(0));
    cli.ok("prune here --root acme.org/shop --yes");
    assert!(files(&cli.path("here/blobs")).len() < before);
    check(&cli, "here", &NEW);
}
