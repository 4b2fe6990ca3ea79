//! The names in an archive, and how they change.

use super::*;

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn digest(text: &str) -> Digest {
    Digest::sha256(text)
}

/// Adds `(tag, digest)` pairs to one repository, `""` being no tag, and returns what is left.
fn after(pairs: &[(&str, &str)]) -> Vec<(String, Digest)> {
    let mut index = ArtifactIndex::default();
    for (text, content) in pairs {
        let tag = (!text.is_empty()).then(|| tag(text));
        index.add(&name("repo"), tag.as_ref(), digest(content), "");
    }
    let again = ArtifactIndex::read(&index.write(), "index").unwrap();
    let entries = again.entries.into_iter().flatten();
    entries
        .map(|entry| (entry.tag().unwrap_or_default().to_owned(), entry.digest))
        .collect()
}

#[track_caller]
fn check(pairs: &[(&str, &str)], expected: &[(&str, &str)]) {
    let mut expected: Vec<_> = expected
        .iter()
        .map(|(tag, content)| ((*tag).to_owned(), digest(content)))
        .collect();
    expected.sort();
    assert_eq!(after(pairs), expected);
}

#[test]
fn the_same_entry_twice_is_one_entry() {
    check(&[("v1", "a"), ("v1", "a")], &[("v1", "a")]);
    check(&[("", "a"), ("", "a")], &[("", "a")]);
    check(&[("v1", "a"), ("", "a")], &[("v1", "a")]);
}

#[test]
fn a_moved_tag_leaves_its_old_manifest_untagged() {
    check(&[("v1", "a"), ("v1", "b")], &[("", "a"), ("v1", "b")]);
}

#[test]
fn a_tag_fills_an_untagged_entry() {
    check(&[("", "a"), ("v1", "a")], &[("v1", "a")]);
    check(
        &[("", "new"), ("latest", "old"), ("latest", "new")],
        &[("latest", "new"), ("", "old")],
    );
}

#[test]
fn a_manifest_may_have_many_tags() {
    check(
        &[("v1", "a"), ("latest", "a"), ("latest", "b")],
        &[("v1", "a"), ("latest", "b")],
    );
}

#[test]
fn a_release_workflow_keeps_every_version() {
    let mut pairs = Vec::new();
    for (version, content) in [("v1", "a"), ("v2", "b"), ("v3", "c")] {
        pairs.extend([("", content), (version, content), ("latest", content)]);
    }
    check(
        &pairs,
        &[("v1", "a"), ("v2", "b"), ("v3", "c"), ("latest", "c")],
    );
}

#[test]
fn repositories_do_not_disturb_each_other() {
    let mut index = ArtifactIndex::default();
    assert!(index.add(&name("a"), Some(&tag("v1")), digest("x"), ""));
    assert!(index.add(&name("b"), Some(&tag("v1")), digest("y"), ""));
    let found = index.resolve(&name("a"), &tag("v1").into()).unwrap();
    assert_eq!(found.digest, digest("x"));
    assert_eq!(index.repositories().count(), 2);
}

#[test]
fn removing_a_tag_keeps_the_manifest_and_removing_the_manifest_removes_its_tags() {
    let mut index = ArtifactIndex::default();
    let repository = name("a");
    for text in ["v1", "v2"] {
        index.add(&repository, Some(&tag(text)), digest("x"), "");
    }
    assert!(index.remove_tag(&repository, &tag("v1")));
    assert!(!index.remove_tag(&repository, &tag("v1")));
    assert!(index.resolve(&repository, &digest("x").into()).is_some());
    assert!(index.remove_manifest(&repository, &digest("x")));
    assert!(index.resolve(&repository, &tag("v2").into()).is_none());
    assert!(!index.has_repository(&repository));
    assert_eq!(index.write(), br#"{"schemaVersion":1,"artifacts":[]}"#);
}

#[test]
fn what_has_been_written_before_is_written_as_it_is_now() {
    let mut index = ArtifactIndex::default();
    index.add(&name("a"), Some(&tag("1")), digest("x"), "t/m");
    index.add(&name("b"), None, digest("y"), "");
    let before = index.clone();
    let written = before.write();
    index.add(&name("a"), Some(&tag("1")), digest("z"), "t/m");
    index.add(&name("b"), Some(&tag("2")), digest("y"), "");
    index.remove_manifest(&name("a"), &digest("x"));
    let entries = |index: &ArtifactIndex| {
        let again = ArtifactIndex::read(&index.write(), "index").unwrap();
        let entries = again.entries.into_iter().flatten();
        let entries = entries.map(|entry| {
            let tag = entry.tag().unwrap_or_default();
            format!("{}:{tag}@{}", entry.repository, entry.digest)
        });
        entries.collect::<Vec<_>>()
    };
    let (x, y, z) = (digest("x"), digest("y"), digest("z"));
    let now = [format!("a:1@{z}"), format!("b:2@{y}")];
    assert_eq!(entries(&index), now);
    // The clone has kept what it was.
    assert_eq!(before.write(), written);
    assert_eq!(entries(&before), [format!("a:1@{x}"), format!("b:@{y}")]);
}

#[test]
fn it_does_not_tell_who_was_quicker() {
    let entries = [("b", ""), ("a", "v2"), ("a", "v10"), ("b", "v1"), ("a", "")];
    let written = |order: &[usize]| {
        let mut index = ArtifactIndex::default();
        for (repository, text) in order.iter().map(|at| entries[*at]) {
            let tag = (!text.is_empty()).then(|| tag(text));
            let content = format!("{repository}{text}");
            index.add(&name(repository), tag.as_ref(), digest(&content), "");
        }
        index.write()
    };
    assert_eq!(written(&[0, 1, 2, 3, 4]), written(&[4, 2, 0, 3, 1]));
}

/// Also where nobody can ask for them, as other tools may.
#[test]
fn of_two_entries_with_one_tag_the_first_is_written_first() {
    let mut digests = [digest("x"), digest("y")];
    for _ in 0..2 {
        digests.reverse();
        let [first, second] = digests;
        let text = format!(
            r#"{{"schemaVersion":1,"artifacts":[{{"repository":"UPPER","tag":"t","digest":"{first}"}},{{"repository":"UPPER","tag":"t","digest":"{second}"}}]}}"#,
        );
        let index = ArtifactIndex::read(text.as_bytes(), "index").unwrap();
        assert_eq!(String::from_utf8(index.write()).unwrap(), text);
    }
}

#[test]
fn unknown_fields_and_strange_names_are_kept() {
    let text = format!(
        r#"{{"schemaVersion":1,"artifacts":[{{"repository":"UPPER","tag":"a+b","digest":"{0}"}},{{"repository":"a","digest":"{0}","mediaType":"m","x":[1]}}],"y":2}}"#,
        digest("x")
    );
    let index = ArtifactIndex::read(text.as_bytes(), "index").unwrap();
    assert_eq!(String::from_utf8(index.write()).unwrap(), text);
    assert_eq!(index.repositories().count(), 1);
}

#[test]
fn of_two_entries_with_one_tag_the_first_counts() {
    let text = format!(
        r#"{{"schemaVersion":1,"artifacts":[{{"repository":"a","tag":"t","digest":"{}"}},{{"repository":"a","tag":"t","digest":"{}"}}]}}"#,
        digest("first"),
        digest("second")
    );
    let mut index = ArtifactIndex::read(text.as_bytes(), "index").unwrap();
    let resolve = |index: &ArtifactIndex| {
        let found = index.resolve(&name("a"), &tag("t").into());
        found.map(|listed| listed.digest)
    };
    assert_eq!(resolve(&index), Some(digest("first")));
    index.add(&name("a"), Some(&tag("t")), digest("second"), "");
    let again = ArtifactIndex::read(&index.write(), "index").unwrap();
    assert_eq!(resolve(&again), Some(digest("second")));
}

#[test]
fn an_empty_file_is_an_empty_index() {
    for text in ["", " \n", r#"{"schemaVersion":1,"artifacts":null}"#] {
        let index = ArtifactIndex::read(text.as_bytes(), "index").unwrap();
        assert_eq!(index.repositories().count(), 0);
    }
}

#[test]
fn a_tag_that_is_null_or_empty_is_none() {
    for tag in ["null", r#""""#] {
        let text = format!(
            r#"{{"schemaVersion":1,"artifacts":[{{"repository":"a","tag":{tag},"digest":"{}"}}]}}"#,
            digest("x")
        );
        let index = ArtifactIndex::read(text.as_bytes(), "index").unwrap();
        assert_eq!(index.tags(&name("a")).unwrap().count(), 0);
        assert_eq!(index.manifests(&name("a")).count(), 1);
    }
}

#[test]
fn malformed_indexes_name_the_file() {
    for (text, reason) in [
        ("{", "EOF"),
        ("[]", "invalid type"),
        (
            r#"{"schemaVersion":2,"artifacts":[]}"#,
            "schema version is 2",
        ),
        (r#"{"artifacts":[]}"#, "schemaVersion"),
        (
            r#"{"schemaVersion":1,"artifacts":[{"repository":"a","digest":"sha256:12"}]}"#,
            "hexadecimal",
        ),
        (
            r#"{"schemaVersion":1,"artifacts":[{"repository":"a","digest":7}]}"#,
            "invalid type: integer `7`, expected a string",
        ),
        (
            r#"{"schemaVersion":1,"artifacts":[{"repository":"a","tag":"t"}]}"#,
            "missing field `digest`",
        ),
        (
            r#"{"schemaVersion":1,"artifacts":[{"tag":"t","tag":"u"}]}"#,
            "duplicate field `tag`",
        ),
        (
            r#"{"schemaVersion":1,"artifacts":["a"]}"#,
            "expected an entry",
        ),
    ] {
        let error = ArtifactIndex::read(text.as_bytes(), "./x/artifact-index.json")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("./x/artifact-index.json is malformed"),
            "{error}"
        );
        assert!(error.contains(reason), "{error}");
    }
    let deep = "[".repeat(100_000);
    assert!(ArtifactIndex::read(deep.as_bytes(), "index").is_err());
}

#[test]
fn ten_thousand_entries_are_added_and_found_by_lookup() {
    let mut index = ArtifactIndex::default();
    let repository = name("a");
    for number in 0..10_000_u32 {
        let version = tag(&format!("1.0.{number}"));
        index.add(&repository, None, digest(version.as_str()), "m");
        index.add(&repository, Some(&version), digest(version.as_str()), "m");
    }
    let again = ArtifactIndex::read(&index.write(), "index").unwrap();
    assert_eq!(again.tags(&repository).unwrap().count(), 10_000);
    assert_eq!(again.manifests(&repository).count(), 10_000);
}
