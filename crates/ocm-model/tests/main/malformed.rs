//! Bytes from outside end in an error that says where, never in a panic.

use ocm_model::element::Element as _;
use ocm_model::{
    Access, ComponentRef, Constraint, Descriptor, ElementKind, NormalisationAlgorithm,
    RepositorySpec, json, yaml,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::generate::{document, value};

/// Does with a descriptor whatever can be done without changing it.
fn use_all(descriptor: &Descriptor) {
    for algorithm in NormalisationAlgorithm::ALL {
        descriptor.normalise_candidates(algorithm);
    }
    descriptor.validate();
    let _ = descriptor.check_digestible();
    let contents = |kind| {
        let contents = descriptor.contents(kind);
        contents
            .map(|content| (content.identity(), content.access(), content.digest()))
            .collect::<Vec<_>>()
    };
    let resources = descriptor.resources();
    let of_resources = resources.iter().map(|resource| {
        let digest = resource.digest.clone();
        (resource.identity(), resource.access.clone(), digest)
    });
    assert_eq!(
        contents(ElementKind::Resource),
        of_resources.collect::<Vec<_>>()
    );
    let sources = descriptor.sources();
    let of_sources = sources
        .iter()
        .map(|source| (source.identity(), source.access.clone(), None));
    assert_eq!(
        contents(ElementKind::Source),
        of_sources.collect::<Vec<_>>()
    );
    for access in resources
        .iter()
        .filter_map(|resource| resource.access.as_ref())
    {
        let _ = access.kind();
    }
    descriptor.signatures();
    descriptor.nested_digests();
    descriptor.repository_contexts();
    descriptor.write_json();
    descriptor.write_yaml();
}

/// All places in a value.
fn pointers(value: &Value, prefix: &str, out: &mut Vec<String>) {
    out.push(prefix.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{prefix}/{index}"), out);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                pointers(item, &format!("{prefix}/{key}"), out);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(crate::generate::cases())]

    #[test]
    fn a_descriptor_with_anything_anywhere_is_refused_or_usable(
        document in document(), place in any::<prop::sample::Index>(), strange in value()
    ) {
        let mut document = document;
        let mut places = Vec::new();
        pointers(&document, "", &mut places);
        let pointer: &String = place.get(&places);
        *document.pointer_mut(pointer).unwrap() = strange;
        if let Ok(descriptor) = Descriptor::from_document(document) {
            use_all(&descriptor);
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Descriptor::read_json(&bytes);
        if let Ok(text) = str::from_utf8(&bytes) {
            let _ = Descriptor::read_yaml(text);
        }
    }

    #[test]
    fn arbitrary_text_is_no_panic(text in "[-a-z0-9:,{}\\[\\]&*!|>'\"%@`#?<>=~^. \n\t]{0,40}") {
        let _ = yaml::parse_located(&text);
        let _ = text.parse::<Constraint>();
        let _ = text.parse::<ComponentRef>();
        let _ = text.parse::<RepositorySpec>();
        let _ = json::parse(text.as_bytes());
    }

    #[test]
    fn any_access_is_read_or_refused(fields in value(), name in "(LocalBlob|ociBlob|wget|s3|helm)") {
        let mut fields = fields;
        if let Value::Object(map) = &mut fields {
            map.insert("type".to_owned(), name.into());
        }
        if let Ok(access) = Access::from_json(fields) {
            let _ = access.kind();
        }
    }
}

#[test]
fn a_duplicate_key_deep_inside_is_located() {
    let text = r#"{"meta":{"schemaVersion":"v2"},"component":{"name":"acme.org/x","name":"b"}}"#;
    let error = Descriptor::read_json(text.as_bytes()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.contains("at `component.name`: key appears twice"),
        "{source}"
    );
    let error = Descriptor::read_yaml("component: {name: a, name: b}").unwrap_err();
    assert!(matches!(error, ocm_model::descriptor::Error::Yaml(_)));
}

#[test]
fn deep_nesting_is_an_error() {
    for bracket in ["[", "{\"a\":"] {
        let deep = bracket.repeat(100_000);
        assert!(Descriptor::read_json(deep.as_bytes()).is_err());
        assert!(Descriptor::read_yaml(&deep).is_err());
    }
    assert!(Descriptor::read_yaml(&"- ".repeat(100_000)).is_err());
}

#[test]
fn huge_texts_are_read() {
    let text = "x".repeat(4 * 1024 * 1024);
    let document = format!(
        r#"{{"meta":{{"schemaVersion":"v2"}},"component":{{"name":"acme.org/x","version":"1",
           "provider":"acme","labels":[{{"name":"a","value":"{text}"}}]}}}}"#
    );
    let descriptor = Descriptor::read_json(document.as_bytes()).unwrap();
    assert_eq!(descriptor.labels()[0].value.as_str(), Some(text.as_str()));
    let long = document.replace("\"1\"", &format!("\"{text}\""));
    assert!(Descriptor::read_json(long.as_bytes()).is_err());
}
