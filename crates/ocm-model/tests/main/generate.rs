//! Arbitrary descriptors, valid in shape and strange in content.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

/// How often each property is tried.
pub(crate) fn cases() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(128)
    }
}

/// Any JSON value, three levels deep.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e30..1e30).prop_map(|number: f64| Value::from(number)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(text(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        "[<>&\"\\\\\u{1}-\u{1f}\u{e4}\u{2028}\u{fb33}\u{1f600}]{0,4}"
    ]
}

fn version() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]",
        "v[1-9]\\.[0-9]",
        "[1-9]\\.[0-9]\\.[0-9](-rc\\.[1-9])?(\\+b[0-9])?",
        "latest"
    ]
}

fn labels() -> impl Strategy<Value = Value> {
    let label = ("[a-z]{1,3}", value(), option::of("v[1-9]"), option::of(any::<bool>()), value())
        .prop_map(|(name, value, version, signing, extra)| {
            json!({"name": name, "value": value, "version": version, "signing": signing, "x": extra})
        });
    option::of(vec(label, 0..3)).prop_map(Value::from)
}

fn identity() -> impl Strategy<Value = Value> {
    option::of(btree_map("[a-z]{2,4}", text(), 0..3)).prop_map(|map| json!(map))
}

fn digest() -> impl Strategy<Value = Value> {
    option::of(("SHA-(256|512)", "[a-z]{1,4}/v1", "[0-9a-f]{4}")).prop_map(|digest| match digest {
        Some((hash, normalisation, value)) => json!({
            "hashAlgorithm": hash, "normalisationAlgorithm": normalisation, "value": value,
        }),
        None => Value::Null,
    })
}

fn access() -> impl Strategy<Value = Value> {
    ("(none|None|localBlob|ociArtifact/v1|acme)", value())
        .prop_map(|(name, extra)| json!({"type": name, "extra": extra}))
}

fn resource() -> impl Strategy<Value = Value> {
    let relation = option::of(prop_oneof![Just("local"), Just("external")]);
    (
        "[a-z]{2,3}",
        version(),
        text(),
        relation,
        identity(),
        labels(),
        access(),
        digest(),
    )
        .prop_map(
            |(name, version, kind, relation, identity, labels, access, digest)| {
                json!({
                    "name": name, "version": version, "type": kind, "relation": relation,
                    "extraIdentity": identity, "labels": labels, "access": access, "digest": digest,
                })
            },
        )
}

fn reference() -> impl Strategy<Value = Value> {
    ("[a-z]{2,3}", version(), identity(), labels(), digest()).prop_map(
        |(name, version, identity, labels, digest)| {
            json!({
                "name": name, "componentName": "acme.org/leaf", "version": version,
                "extraIdentity": identity, "labels": labels, "digest": digest,
            })
        },
    )
}

/// A document that is a descriptor, if one that breaks rules.
pub(crate) fn document() -> impl Strategy<Value = Value> {
    let lists = (
        option::of(vec(resource(), 0..4)),
        option::of(vec(resource(), 0..3)),
        option::of(vec(reference(), 0..3)),
    );
    (version(), text(), labels(), lists, value()).prop_map(
        |(version, provider, labels, (resources, sources, references), extra)| {
            json!({
                "meta": {"schemaVersion": "v2"},
                "component": {
                    "name": "acme.org/x", "version": version, "provider": provider,
                    "labels": labels, "resources": resources, "sources": sources,
                    "componentReferences": references, "repositoryContexts": null, "extra": extra,
                },
            })
        },
    )
}
