//! Expressions.

use std::sync::LazyLock;

use ocm_cel::{Expression, Subject};
use serde_json::json;

static SUBJECT: LazyLock<Subject> = LazyLock::new(|| {
    let resource = json!({
        "name": "image",
        "labels": [{"name": "a", "value": [1, 2, 3]}],
        "access": {"type": "ociArtifact", "imageReference": "ghcr.io/acme/notes:1.2.3"},
    });
    let repository = json!({"type": "OCIRegistry", "baseUrl": "localhost:5001"});
    Subject::new(&resource, "acme.org/notes", &repository).expect("a subject")
});

/// An expression ends, whatever it is, and comes to JSON of limited size.
pub fn expression(input: &[u8]) {
    let Ok(source) = std::str::from_utf8(input) else {
        return;
    };
    let result = Expression::compile(source).and_then(|expression| expression.evaluate(&SUBJECT));
    if let Ok(result) = result {
        // Lists of lists are as large as the steps that make them allow.
        assert!(result.to_string().len() < 64 << 20, "{source}");
    }
}
