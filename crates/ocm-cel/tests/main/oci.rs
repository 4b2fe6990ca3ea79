//! `toOCI` in all its forms.

use ocm_cel::{Expression, OciReference, Subject};
use serde_json::{Value, json};

use crate::{DIGEST, evaluate, try_evaluate};

#[test]
fn a_text_is_taken_apart() {
    for (text, registry, repository, tag, digest) in [
        ("ghcr.io/acme/notes:1.0", "ghcr.io", "acme/notes", "1.0", ""),
        (
            &format!("ghcr.io/acme/notes@{DIGEST}"),
            "ghcr.io",
            "acme/notes",
            "",
            DIGEST,
        ),
        (
            &format!("oci://h:5000/notes:1@{DIGEST}"),
            "h:5000",
            "notes",
            "1",
            DIGEST,
        ),
        ("http://localhost:5001/a/b", "localhost:5001", "a/b", "", ""),
        ("notes:1.0", "", "notes", "1.0", ""),
        (DIGEST, "", "", "", DIGEST),
    ] {
        let reference = OciReference::parse(text).expect(text);
        let parts = (registry, repository, tag, digest);
        let found = (
            &*reference.registry,
            &*reference.repository,
            &*reference.tag,
            &*reference.digest,
        );
        assert_eq!(found, parts, "{text}");
    }
}

#[test]
fn what_is_no_reference_is_refused() {
    for text in [
        "ftp://h/a",
        "ghcr.io/a@sha256:abc",
        "ghcr.io/a:b:c",
        "ghcr.io/A",
        "ghcr.io/a//b",
        "ghcr.io/a:-x",
        "gh cr/a",
    ] {
        assert!(OciReference::parse(text).is_err(), "{text}");
    }
}

#[test]
fn it_is_a_method_and_a_function_over_texts_and_accesses() {
    let parts = json!({
        "host": "ghcr.io", "registry": "ghcr.io", "repository": "acme/notes",
        "tag": "1.2.3", "digest": DIGEST, "reference": format!("1.2.3@{DIGEST}"),
    });
    for source in [
        "resource.access.toOCI()",
        "toOCI(resource.access)",
        "resource.access.imageReference.toOCI()",
        "toOCI(resource.access.imageReference)",
        "{'imageReference': resource.access.imageReference}.toOCI()",
    ] {
        assert_eq!(evaluate(source), parts, "{source}");
    }
    assert_eq!(
        evaluate("'docker.io/library/a:1'.toOCI().host"),
        json!("registry-1.docker.io")
    );
}

fn of_local_blob(repository: &Value) -> Result<Value, String> {
    let resource = json!({"access": {
        "type": "localBlob/v1",
        "localReference": DIGEST,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
    }});
    let subject = Subject::new(&resource, "acme.org/notes", repository).expect("a subject");
    let expression = Expression::compile("resource.access.toOCI()").expect("an expression");
    expression
        .evaluate(&subject)
        .map_err(|error| error.to_string())
}

#[test]
fn a_local_blob_is_where_its_descriptor_is() {
    for (base, path, registry, prefix) in [
        ("localhost:5001", "", "localhost:5001", ""),
        ("http://registry:5000", "", "registry:5000", ""),
        ("1.2.3.4:5000", "mirror", "1.2.3.4:5000", "mirror/"),
        ("https://ghcr.io/acme", "x/y", "ghcr.io", "acme/x/y/"),
    ] {
        let repository = json!({"type": "OCIRepository/v1", "baseUrl": base, "subPath": path});
        let parts = of_local_blob(&repository).expect(base);
        assert_eq!(parts["registry"], registry, "{base}");
        let expected = format!("{prefix}component-descriptors/acme.org/notes");
        assert_eq!(parts["repository"], json!(expected), "{base}");
        assert_eq!(parts["digest"], DIGEST);
        assert_eq!(parts["reference"], DIGEST);
        assert_eq!(parts["tag"], "");
    }
}

#[test]
fn a_local_blob_of_an_archive_cannot_be_pulled() {
    let archive = json!({"type": "CommonTransportFormat/v1", "filePath": "a.ctf"});
    let error = of_local_blob(&archive).expect_err("no registry");
    assert!(
        error.contains("only if its repository is an OCI registry"),
        "{error}"
    );
}

#[test]
fn other_accesses_and_values_are_refused() {
    for (source, message) in [
        (
            "{'type': 'helm/v1', 'helmRepository': 'r', 'helmChart': 'c'}.toOCI()",
            "expected map with",
        ),
        ("toOCI(1)", "expected string or map"),
        ("'ftp://a/b'.toOCI()", "its scheme is none of"),
    ] {
        let error = try_evaluate(source).expect_err(source).to_string();
        assert!(error.contains(message), "{source}: {error}");
    }
}
