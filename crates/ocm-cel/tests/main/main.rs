//! The behaviour of `ocm-cel`.

use ocm_cel::{Error, Expression, Subject, evaluate_fields};
use serde_json::{Value, json};

mod limits;
mod oci;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn subject() -> Subject {
    let resource = json!({
        "name": "image",
        "version": "1.2.3",
        "type": "ociImage",
        "relation": "external",
        "extraIdentity": {"os": "linux"},
        "labels": [
            {"name": "team", "value": "a", "version": "v1"},
            {"name": "size", "value": {"n": 3}},
        ],
        "access": {"type": "ociArtifact", "imageReference": format!("ghcr.io/acme/notes:1.2.3@{DIGEST}")},
        "digest": {"hashAlgorithm": "SHA-256", "normalisationAlgorithm": "ociArtifactDigest/v1", "value": "e3b0"},
    });
    let repository =
        json!({"type": "OCIRegistry", "baseUrl": "localhost:5001", "subPath": "mirror"});
    Subject::new(&resource, "acme.org/notes", &repository).expect("a small subject")
}

fn try_evaluate(source: &str) -> Result<Value, Error> {
    Expression::compile(source)?.evaluate(&subject())
}

#[track_caller]
fn evaluate(source: &str) -> Value {
    try_evaluate(source).unwrap_or_else(|error| panic!("{source}: {error}"))
}

#[test]
fn what_the_go_controllers_offer_is_there() {
    for (source, result) in [
        // The resource.
        (
            "resource.name + ':' + resource.version",
            json!("image:1.2.3"),
        ),
        ("resource.extraIdentity['os']", json!("linux")),
        ("resource.labels[0].value", json!("a")),
        ("resource.labels[1].value.n + 1", json!(4)),
        (
            "has(resource.digest) && !has(resource.srcRefs)",
            json!(true),
        ),
        (
            "resource.digest",
            json!({"hashAlgorithm": "SHA-256",
            "normalisationAlgorithm": "ociArtifactDigest/v1", "value": "e3b0"}),
        ),
        // Standard library.
        ("resource.version.startsWith('1.')", json!(true)),
        ("resource.version.matches('^[0-9.]+$')", json!(true)),
        ("resource.labels.exists(l, l.name == 'team')", json!(true)),
        ("resource.labels.all(l, l.name.size() == 4)", json!(true)),
        (
            "resource.labels.exists_one(l, l.name == 'size')",
            json!(true),
        ),
        (
            "resource.labels.filter(l, l.name == 'team').map(l, l.value)",
            json!(["a"]),
        ),
        (
            "resource.labels.map(l, l.name == 'size', l.value.n)",
            json!([3]),
        ),
        ("'a' in ['a', 'b'] ? 1 : 2", json!(1)),
        (
            "{'a': 1, 'b': [true, null]}",
            json!({"a": 1, "b": [true, null]}),
        ),
        ("int('3') + 2", json!(5)),
        ("type(1) == int", json!(true)),
        // Extensions.
        ("'a,b'.split(',')", json!(["a", "b"])),
        ("['a', 'b'].join('-')", json!("a-b")),
        (
            "'Tacocat'.lowerAscii().replace('taco', 'dog')",
            json!("dogcat"),
        ),
        ("'%s is %d'.format(['a', 3])", json!("a is 3")),
        ("[3, 1, 2].sort()", json!([1, 2, 3])),
        ("[1, [2, 3]].flatten()", json!([1, 2, 3])),
        ("[1, 1, 2].distinct()", json!([1, 2])),
        ("lists.range(3)", json!([0, 1, 2])),
        ("math.greatest(1, 3, 2)", json!(3)),
        ("math.abs(-2)", json!(2)),
        ("base64.encode(b'hello')", json!("aGVsbG8=")),
        ("string(base64.decode('aGVsbG8='))", json!("hello")),
        ("sets.contains([1, 2, 3], [3, 1])", json!(true)),
        ("sets.contains([1, 2], [3])", json!(false)),
        ("sets.equivalent([1, 2], [2, 1, 1])", json!(true)),
        ("sets.intersects([1], [2])", json!(false)),
        ("cel.bind(v, resource.version, v + v)", json!("1.2.31.2.3")),
        ("cel.bind(a, 1, cel.bind(b, a + 1, a + b))", json!(3)),
        ("resource.?missing.orValue('none')", json!("none")),
        ("resource.labels[?9].hasValue()", json!(false)),
        ("optional.of(1)", json!(1)),
        ("optional.none()", Value::Null),
        // Conversions of results.
        ("b'hello'", json!("aGVsbG8=")),
        ("duration('90s')", json!("1m30s")),
        (
            "timestamp('2026-01-02T03:04:05+01:00')",
            json!("2026-01-02T02:04:05Z"),
        ),
        ("1.5", json!(1.5)),
    ] {
        assert_eq!(evaluate(source), result, "{source}");
    }
}

#[test]
fn errors_say_what_is_wrong() {
    for (source, message) in [
        ("resource.", "cannot be parsed"),
        ("resource.nothing", "No such key: nothing"),
        ("unknown", "Undeclared reference to 'unknown'"),
        ("1 / 0", "Division by zero"),
        ("cel.bind('a', 1, 2)", "must be simple identifiers"),
        ("1.0 / 0.0", "infinite"),
        ("'a' + 1", "Unsupported binary operator"),
    ] {
        let error = try_evaluate(source).expect_err(source);
        assert!(error.to_string().contains(message), "{source}: {error}");
    }
}

#[test]
fn fields_keep_their_shape() {
    let fields = json!({
        "tag": "resource.version",
        "oci": {"registry": "resource.access.toOCI().registry", "deep": {"name": "resource.name"}},
    });
    let fields = fields.as_object().expect("an object");
    let results = evaluate_fields(fields, &subject()).expect("results");
    assert_eq!(
        Value::Object(results),
        json!({"tag": "1.2.3", "oci": {"registry": "ghcr.io", "deep": {"name": "image"}}})
    );
}

#[test]
fn a_field_that_fails_is_named() {
    let evaluate = |fields: Value| {
        let fields = fields.as_object().expect("an object").clone();
        evaluate_fields(&fields, &subject()).expect_err("a fault")
    };
    let error = evaluate(json!({"oci": {"tag": "resource.nothing"}}));
    assert!(error.to_string().contains("\"oci.tag\""), "{error}");
    let error = evaluate(json!({"oci": {"tag": 5}}));
    assert_eq!(
        error.to_string(),
        "additional status field \"oci.tag\": value must be a CEL expression string or an object"
    );
}
