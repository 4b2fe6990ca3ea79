//! The table of constructor files, the JSON schema that is made of it, the parser, and the schema
//! that the Go implementation has published, agree on good and on bad files. Where ours and the
//! published one do not, [`Difference`] says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use ocm_constructor::Constructor;
use ocm_constructor::template::{Undefined, Variables, expand};
use ocm_model::schema::{check_value, to_json_schema};
use ocm_model::yaml;
use serde_json::{Value, json};

use crate::broken::{Broken, every_way};

/// Where the schemas differ, and why. There is no other place.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Difference {
    /// Here a label has any value, as in a descriptor. There it is an object or a text.
    ValueOfLabel,
    /// Here a provider may be the name alone; if it is an object, it has a name, and its labels are
    /// looked at.
    Provider,
    /// Here `references` is another name for `componentReferences`, as in the first Go tool.
    References,
    /// Here merge algorithms have any name; there it has no capitals, as in `simpleMapMerge`.
    MergeAlgorithm,
    /// Here every object but a provider has the fields that are known and no others. There this
    /// holds for components, references, references to sources, and merges only.
    UnknownField,
    /// Here texts are texts: values of identities, types of accesses and inputs, versions of
    /// labels. There a pattern without a type, or nothing, lets others pass.
    NoText,
    /// Here the digest of a resource with input is looked at.
    DigestOfInput,
    /// Here the options of a resource are looked at.
    Options,
}

use Difference::{
    DigestOfInput, MergeAlgorithm, NoText, Options, Provider, References, UnknownField,
    ValueOfLabel,
};

/// Which difference a change of a document falls under. Both verdicts are known to differ.
fn difference(broken: &Broken, accepted_here: bool) -> Option<Difference> {
    let changed = broken.document.pointer(&broken.pointer);
    let steps: Vec<&str> = broken.pointer.split('/').rev().collect();
    let [last, holder] = [0, 1].map(|index| steps.get(index).copied().unwrap_or_default());
    let is_text = changed.is_some_and(Value::is_string);
    let is_in = |name: &str| steps.contains(&name);
    let found = match (last, accepted_here) {
        ("value", true) if steps[2] == "labels" => ValueOfLabel,
        _ if is_in("provider") => Provider,
        ("references", _) => References,
        ("algorithm", _) if holder == "merge" => MergeAlgorithm,
        (_, true) => return None,
        _ if broken.pointer.contains("/resources/1/digest") => DigestOfInput,
        _ if is_in("options") => Options,
        _ if ["extraIdentity", "identitySelector"].contains(&holder) && !is_text => NoText,
        ("extraIdentity" | "identitySelector" | "access" | "input", _) => NoText,
        ("type", _) if ["access", "input"].contains(&holder) => NoText,
        ("version", _) if steps[2] == "labels" && !is_text => NoText,
        _ if broken.change == "gets a field" => UnknownField,
        _ => return None,
    };
    Some(found)
}

/// A file that has everything which both know.
fn everything() -> Value {
    let label = json!({
        "name": "acme.org/note", "value": {"a": null, "b": [1]}, "version": "v1", "signing": true,
        "merge": {"algorithm": "default", "config": {"overwrite": "none"}},
    });
    let plain = json!({"name": "plain", "value": "x"});
    let digest = json!({
        "hashAlgorithm": "SHA-256", "normalisationAlgorithm": "genericBlobDigest/v1", "value": "00",
    });
    json!({
        "name": "acme.org/notes", "version": "1.0.0-rc.1+b", "creationTime": "2026-01-01T00:00:00Z",
        "provider": {"name": "acme.org", "labels": [label], "url": "https://acme.org"},
        "labels": [label, plain],
        "resources": [
            {
                "name": "image", "version": "v1.0", "type": "ociImage", "relation": "external",
                "extraIdentity": {"os": "linux", "architecture": "amd64"},
                "srcRefs": [{"identitySelector": {"name": "code"}, "labels": [plain]}],
                "labels": [label], "digest": digest,
                "access": {"type": "ociArtifact/v1", "imageReference": "ghcr.io/acme/notes:1"},
            },
            {
                "name": "chart", "type": "helmChart", "relation": "local", "version": "2",
                "extraIdentity": {"role": "chart"}, "labels": [plain], "digest": digest,
                "options": {"ownershipPolicy": "Always", "skipDigestGeneration": true},
                "srcRefs": [{}],
                "input": {"type": "dir", "path": "chart"},
            },
            {"name": "data", "type": "landscaper.gardener.cloud/blueprint", "input": {"type": "utf8"}},
        ],
        "sources": [
            {
                "name": "code", "version": "1.0.0", "type": "git", "extraIdentity": {"vcs": "git"},
                "labels": [plain], "access": {"type": "gitHub", "repoUrl": "x", "commit": "y"},
            },
            {"name": "tree", "type": "directoryTree", "input": {"type": "dir/v1", "path": "."}},
        ],
        "componentReferences": [{
            "name": "leaf", "componentName": "acme.org/leaf", "version": "2.0.0",
            "extraIdentity": {"role": "leaf"}, "labels": [label], "digest": digest,
        }],
    })
}

struct Schemas {
    ours: Validator,
    published: Validator,
}

impl Schemas {
    fn new() -> Self {
        let text =
            include_str!("../../../../conformance/schemas/component-constructor-v1.schema.json");
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        let compile = |schema: &Value| options.build(schema).unwrap();
        Self {
            ours: compile(&to_json_schema(Constructor::table(), "urn:test")),
            published: compile(&serde_json::from_str(text).unwrap()),
        }
    }

    /// Returns whether our table and our schema, which must agree, accept a document.
    #[track_caller]
    fn accept(&self, document: &Value, what: &str) -> bool {
        let verdict = check_value(Constructor::table(), document).is_empty();
        assert_eq!(self.ours.is_valid(document), verdict, "{what}");
        verdict
    }
}

fn is_parsed(document: &Value) -> bool {
    Constructor::parse(&document.to_string(), "c.yaml").is_ok()
}

/// Returns the document without a field which has become `null`. That is what the parser sees, but
/// for values that may be anything.
fn as_parsed(broken: &Broken) -> Value {
    let mut document = broken.document.clone();
    let (holder, key) = broken.pointer.rsplit_once('/').unwrap_or_default();
    let is_free =
        key == "value" || holder.ends_with("extraIdentity") || holder.ends_with("Selector");
    if broken.change == "becomes null" && !is_free {
        let holder = document.pointer_mut(holder).and_then(Value::as_object_mut);
        holder.and_then(|holder| holder.shift_remove(key));
    }
    document
}

#[test]
fn the_verdict_on_constructors_is_that_of_the_published_schema() {
    let schemas = Schemas::new();
    let mut counts = [0; 2];
    let mut differences = BTreeMap::new();
    let list = json!({"components": [{
        "name": "acme.org/notes", "version": "1.0.0", "provider": {"name": "acme.org"},
        "resources": [{"name": "data", "type": "blob", "input": {"type": "utf8"}}],
    }]});
    for document in [everything(), list] {
        assert!(schemas.accept(&document, "everything"));
        assert!(schemas.published.is_valid(&document));
        for broken in every_way(&document) {
            let what = format!("{} {}", broken.pointer, broken.change);
            let verdict = schemas.accept(&broken.document, &what);
            let parsed = as_parsed(&broken);
            // That there are no components at all is known to the parser alone.
            let is_empty = parsed == json!({"components": []});
            let expected = if parsed == broken.document {
                verdict
            } else {
                schemas.accept(&parsed, &what)
            };
            let expected = expected && !is_empty;
            assert_eq!(is_parsed(&broken.document), expected, "{what}");

            if schemas.published.is_valid(&broken.document) == verdict {
                counts[usize::from(verdict)] += 1;
            } else {
                let found = difference(&broken, verdict);
                let found = found.unwrap_or_else(|| panic!("{what}: accepted here: {verdict}"));
                *differences.entry(found).or_insert(0) += 1;
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 1000), "{counts:?}");
    // No difference is listed that is none; the rest of the list is below.
    let met: Vec<Difference> = differences.into_keys().collect();
    assert_eq!(
        met,
        [
            ValueOfLabel,
            Provider,
            MergeAlgorithm,
            UnknownField,
            NoText,
            DigestOfInput,
            Options
        ]
    );
}

#[test]
fn what_only_one_of_the_schemas_accepts() {
    let schemas = Schemas::new();
    let with = |pointer: &str, value: Value| {
        let mut document = everything();
        let (holder, key) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(holder).unwrap()[key] = value;
        document
    };
    let leaf = json!([{"name": "leaf", "componentName": "acme.org/leaf", "version": "1"}]);
    let mut references = with("/references", leaf);
    references
        .as_object_mut()
        .unwrap()
        .shift_remove("componentReferences");
    for (difference, document) in [
        (ValueOfLabel, with("/labels/0/value", json!([1]))),
        (ValueOfLabel, with("/labels/0/value", json!(""))),
        (Provider, with("/provider", json!("acme.org"))),
        (References, references),
        (
            MergeAlgorithm,
            with("/labels/0/merge/algorithm", json!("simpleMapMerge")),
        ),
    ] {
        assert!(!schemas.published.is_valid(&document), "{difference:?}");
        assert!(
            schemas.accept(&document, "accepted here") && is_parsed(&document),
            "{difference:?}"
        );
    }
    let digest = "/resources/1/digest";
    for (difference, document) in [
        (Provider, with("/provider", json!({"labels": []}))),
        (UnknownField, with("/resources/0/new", json!(1))),
        (NoText, with("/resources/0/extraIdentity/os", json!(1))),
        (NoText, with("/labels/0/version", json!(1))),
        (DigestOfInput, with(digest, json!({"value": "00"}))),
        (
            Options,
            with("/resources/1/options/ownershipPolicy", json!("Sometimes")),
        ),
    ] {
        assert!(schemas.published.is_valid(&document), "{difference:?}");
        assert!(
            !schemas.accept(&document, "refused here") && !is_parsed(&document),
            "{difference:?}"
        );
    }
}

#[test]
fn names_of_older_files_are_read_and_not_published() {
    let schemas = Schemas::new();
    for (pointer, value) in [
        ("/signatures", json!([{"name": "x"}])),
        ("/meta", json!({"configuredSchemaVersion": "v2"})),
        (
            "/resources/0/srcRef",
            json!([{"identitySelector": {"name": "code"}}]),
        ),
    ] {
        let mut document = everything();
        let (holder, key) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(holder).unwrap()[key] = value;
        assert!(is_parsed(&document), "{pointer}");
        assert_eq!(
            check_value(Constructor::table(), &document),
            [],
            "{pointer}"
        );
        assert!(!schemas.ours.is_valid(&document), "{pointer}");
    }
}

/// What the parser refuses, and no schema can.
#[test]
fn what_no_schema_can_say_is_said_by_the_parser() {
    let schemas = Schemas::new();
    let mut twice = everything();
    let label = twice["labels"][0].clone();
    twice["labels"].as_array_mut().unwrap().push(label);
    let mut same_identity = everything();
    let resource = same_identity["resources"][2].clone();
    same_identity["resources"]
        .as_array_mut()
        .unwrap()
        .push(resource);
    let mut name = everything();
    name["resources"][0]["extraIdentity"]["name"] = "image".into();
    let mut both = everything();
    both["references"] = both["componentReferences"].clone();
    let same_component = json!({"components": [everything(), everything()]});
    let none = json!({"components": []});
    for document in [twice, same_identity, name, both, same_component, none] {
        assert!(schemas.accept(&document, "accepted"));
        assert!(!is_parsed(&document), "{document}");
    }
}

/// Content comes from one place.
#[test]
fn neither_two_contents_nor_none_are_accepted() {
    let schemas = Schemas::new();
    for list in ["resources", "sources"] {
        let mut both = everything();
        both[list][0]["input"] = json!({"type": "utf8"});
        let mut none = everything();
        none[list][0]
            .as_object_mut()
            .unwrap()
            .shift_remove("access");
        for document in [both, none] {
            assert!(!schemas.accept(&document, list));
            assert!(!is_parsed(&document));
        }
    }
}

#[test]
fn files_in_the_field_follow_the_schemas() {
    let schemas = Schemas::new();
    let mut paths = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance");
    collect(&root, &mut paths);
    assert!(paths.len() >= 15, "{paths:?}");
    for path in paths {
        let what = path.display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let variables = Variables::new().with_environment([
            ("NAME", "acme.org/notes"),
            ("OCI_LAYOUT", "layout.tar"),
            ("POSTGRES_VERSION", "18.1.0"),
            ("VERSION", "1.0.0"),
        ]);
        let text = expand(&text, &variables, Undefined::Empty).unwrap();
        let document = yaml::parse(&text.text).unwrap();
        assert!(schemas.accept(&document, &what), "{what}");
        assert!(schemas.published.is_valid(&document), "{what}");
        Constructor::read(&text, &what).unwrap();
    }
}

/// Finds constructor files.
fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml");
        if path.is_dir() {
            collect(&path, found);
        } else if is_yaml && stem.starts_with("component-constructor") {
            found.push(path);
        }
    }
    found.sort();
}
