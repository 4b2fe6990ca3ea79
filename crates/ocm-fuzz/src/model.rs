//! Descriptors, and the JSON and YAML below them.

use ocm_model::{
    Descriptor, NormalisationAlgorithm, NormalisedDescriptor, json as json_format,
    yaml as yaml_format,
};

const ALGORITHMS: [NormalisationAlgorithm; 4] = [
    NormalisationAlgorithm::JsonV1,
    NormalisationAlgorithm::JsonV2,
    NormalisationAlgorithm::JsonV3,
    NormalisationAlgorithm::JsonV4Alpha1,
];

/// A descriptor in JSON.
pub fn descriptor_json(bytes: &[u8]) {
    if let Ok(descriptor) = Descriptor::read_json(bytes) {
        check(&descriptor);
    }
}

/// A descriptor in YAML.
pub fn descriptor_yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Descriptor::read_yaml(text) {
        Ok(descriptor) => {
            check(&descriptor);
            check_places(&descriptor, text);
        }
        Err(error) => check_alive(&error),
    }
}

/// What is wrong with a descriptor has a place in its text.
fn check_places(descriptor: &Descriptor, text: &str) {
    let found = descriptor.validate_located(text).expect("the text is YAML");
    assert_eq!(found.len(), descriptor.validate().len());
    let lines = text.split(['\n', '\r']).count() as u64;
    for violation in found {
        let line = violation.position.map(|position| position.line);
        assert!(line.is_some_and(|line| line <= lines), "{violation}");
    }
}

/// Looks at all of a descriptor; writing and reading it changes nothing, least of all what is
/// signed.
pub(crate) fn check(descriptor: &Descriptor) {
    descriptor.validate();
    let _ = descriptor.check_digestible();
    let _ = (descriptor.provider(), descriptor.labels());
    let _ = (descriptor.signatures(), descriptor.nested_digests());
    let _ = (descriptor.repository_contexts(), descriptor.references());
    for resource in descriptor.resources() {
        let _ = resource.access.map(|access| access.kind().is_ok());
    }
    for source in descriptor.sources() {
        let _ = source.access.map(|access| access.kind().is_ok());
    }

    let stored = descriptor.write_json();
    let again = Descriptor::read_json(&stored).expect("what was written is a descriptor");
    assert_same(descriptor, &again, &stored);
    let text = descriptor.write_yaml();
    match Descriptor::read_yaml(&text) {
        Ok(again) => assert_same(descriptor, &again, &stored),
        Err(error) => panic!("what was written is no descriptor: {error:?}\n{text}"),
    }
}

fn assert_same(left: &Descriptor, right: &Descriptor, stored: &[u8]) {
    assert_eq!(left.id(), right.id());
    assert_eq!(left.schema(), right.schema());
    let again = right.write_json();
    assert!(
        stored == again,
        "stored as\n{}\nthen as\n{}",
        String::from_utf8_lossy(stored),
        String::from_utf8_lossy(&again)
    );
    for algorithm in ALGORITHMS {
        let candidates = texts(&left.normalise_candidates(algorithm));
        assert_eq!(candidates[..1], texts(&[left.normalise(algorithm)]));
        assert_eq!(candidates, texts(&right.normalise_candidates(algorithm)));
    }
}

fn texts(normalised: &[NormalisedDescriptor]) -> Vec<String> {
    let bytes = normalised.iter().map(NormalisedDescriptor::as_bytes);
    bytes
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .collect()
}

/// Any JSON.
pub fn json(bytes: &[u8]) {
    let _ = json_format::parse_object(bytes);
    let Ok(value) = json_format::parse(bytes) else {
        return;
    };
    for write in [json_format::compact, json_format::canonical] {
        let written = write(&value);
        let again = json_format::parse(&written).expect("what was written is JSON");
        assert_eq!(write(&again), written);
    }
}

/// Any YAML, with and without places.
pub fn yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Err(error) = yaml_format::parse_documents(text) {
        check_alive(&error);
    }
    let located = match yaml_format::parse_located(text) {
        Ok(located) => located,
        Err(error) => return check_alive(&error),
    };
    let value = located.value.clone();
    assert_eq!(yaml_format::parse(text).as_ref(), Ok(&value));
    let lines = text.split(['\n', '\r']).count() as u64;
    for pointer in [
        "",
        "/",
        "/0/a",
        "/a/b/0",
        "/~0~1~",
        "/-1",
        "/999999999999999999999",
    ] {
        let position = located.position(pointer);
        assert!(
            position.line <= lines,
            "{pointer} is at {position} of {lines}"
        );
    }
    // Numbers are compared in their written form: not every reader tells 1 and 1.0 apart.
    let expected = json_format::canonical(&value);
    let written = yaml_format::to_string(&value).expect("JSON values can be written as YAML");
    match yaml_format::parse(&written) {
        Ok(again) => assert_eq!(json_format::canonical(&again), expected, "{written}"),
        Err(error) => panic!("what was written is no YAML: {error}\n{written}"),
    }
}

/// A parser that runs on a thread of its own reports a panic as an error.
fn check_alive(error: &dyn std::error::Error) {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let message = error.to_string();
        assert!(!message.contains("the parser has stopped"), "{message}");
        cause = error.source();
    }
}
