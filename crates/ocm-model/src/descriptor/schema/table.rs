//! The schemas of descriptors: v2 as published in JSON schema, v3alpha1 likewise.

use crate::schema::{Field, Object, Rule, Shape};

pub(super) const V2: Object = Object::open(
    "descriptor",
    "Component descriptor (OCM specification), layout v2",
    &[
        Field::required("meta", Shape::Object(&META)),
        Field::required("component", Shape::Object(&COMPONENT)),
        Field::optional("signatures", Shape::List(&Shape::Object(&SIGNATURE))).or_null(),
        Field::optional("nestedDigests", Shape::List(&Shape::Object(&NESTED))).or_null(),
    ],
);

const META: Object = Object::open(
    "meta",
    "What the document is",
    &[Field::required(
        "schemaVersion",
        Shape::Text(Rule::SchemaVersion),
    )],
);

const COMPONENT: Object = Object::open(
    "component",
    "The component version",
    &[
        Field::required("name", Shape::Text(Rule::ComponentName)),
        Field::required("version", Shape::Text(Rule::Version)),
        Field::optional("labels", LABELS).or_null(),
        Field::optional("creationTime", Shape::Text(Rule::Time)).or_null(),
        Field::expected("provider", Shape::Text(Rule::NonEmpty)),
        Field::expected("repositoryContexts", Shape::List(&Shape::Typed)).or_null(),
        Field::expected("sources", Shape::List(&Shape::Object(&SOURCE))).or_null(),
        Field::expected(
            "componentReferences",
            Shape::List(&Shape::Object(&REFERENCE)),
        )
        .or_null(),
        Field::expected("resources", Shape::List(&Shape::Object(&RESOURCE))).or_null(),
    ],
);

pub(super) const V3ALPHA1: Object = Object::open(
    "descriptor",
    "Component descriptor (OCM specification), layout v3alpha1",
    &[
        Field::required("apiVersion", Shape::Text(Rule::Free)),
        Field::expected("kind", Shape::Text(Rule::NonEmpty)),
        Field::required("metadata", Shape::Object(&METADATA)),
        Field::optional("repositoryContexts", Shape::List(&Shape::Typed)).or_null(),
        Field::optional("spec", Shape::Object(&SPEC)),
        Field::optional("signatures", Shape::List(&Shape::Object(&SIGNATURE))).or_null(),
        Field::optional("nestedDigests", Shape::List(&Shape::Object(&NESTED))).or_null(),
    ],
);

const METADATA: Object = Object::open(
    "metadata",
    "The identity of the component version, and what is said about it",
    &[
        Field::required("name", Shape::Text(Rule::ComponentName)),
        Field::required("version", Shape::Text(Rule::Version)),
        Field::optional("labels", LABELS).or_null(),
        Field::optional("creationTime", Shape::Text(Rule::Time)).or_null(),
        Field::expected("provider", Shape::Object(&PROVIDER)),
    ],
);

const PROVIDER: Object = Object::open(
    "provider",
    "Who provides the component",
    &[
        Field::expected("name", Shape::Text(Rule::NonEmpty)),
        Field::optional("labels", LABELS).or_null(),
    ],
);

const SPEC: Object = Object::open(
    "spec",
    "What the component version consists of",
    &[
        Field::optional("resources", Shape::List(&Shape::Object(&RESOURCE))).or_null(),
        Field::optional("sources", Shape::List(&Shape::Object(&SOURCE))).or_null(),
        Field::optional("references", Shape::List(&Shape::Object(&REFERENCE))).or_null(),
    ],
);

const RESOURCE: Object = Object::open(
    "resource",
    "Something that is delivered",
    &[
        Field::expected("name", Shape::Text(Rule::ElementName)),
        Field::required("version", Shape::Text(Rule::Version)),
        Field::expected("type", Shape::Text(Rule::TypeName)),
        Field::expected("relation", Shape::Text(Rule::Relation)),
        Field::optional("extraIdentity", Shape::Identity),
        Field::optional("labels", LABELS).or_null(),
        Field::optional("srcRefs", Shape::List(&Shape::Object(&SRC_REF))).or_null(),
        Field::optional("srcRef", Shape::List(&Shape::Object(&SRC_REF)))
            .or_null()
            .old(),
        Field::expected("access", Shape::Typed),
        Field::optional("digest", Shape::Object(&DIGEST)).or_null(),
    ],
);

const SOURCE: Object = Object::open(
    "source",
    "Something that resources were made of",
    &[
        Field::expected("name", Shape::Text(Rule::ElementName)),
        Field::required("version", Shape::Text(Rule::Version)),
        Field::expected("type", Shape::Text(Rule::TypeName)),
        Field::optional("extraIdentity", Shape::Identity),
        Field::optional("labels", LABELS).or_null(),
        Field::expected("access", Shape::Typed),
    ],
);

const REFERENCE: Object = Object::closed(
    "reference",
    "Another component version that belongs to this one",
    &[
        Field::expected("name", Shape::Text(Rule::ElementName)),
        Field::required("componentName", Shape::Text(Rule::ComponentName)),
        Field::required("version", Shape::Text(Rule::Version)),
        Field::optional("extraIdentity", Shape::Identity),
        Field::optional("labels", LABELS).or_null(),
        Field::optional("digest", Shape::Object(&DIGEST)).or_null(),
    ],
);

const SRC_REF: Object = Object::closed(
    "sourceRef",
    "Names sources by their identity",
    &[
        Field::optional("identitySelector", Shape::Identity),
        Field::optional("labels", LABELS).or_null(),
    ],
);

const LABELS: Shape = Shape::List(&Shape::Object(&LABEL));

const LABEL: Object = Object::open(
    "label",
    "A named value; signatures cover it if it says so",
    &[
        Field::expected("name", Shape::Text(Rule::NonEmpty)),
        Field::expected("value", Shape::Any),
        Field::optional("version", Shape::Text(Rule::LabelVersion)).or_null(),
        Field::optional("signing", Shape::Flag),
        Field::optional("merge", Shape::Object(&MERGE)),
    ],
);

const MERGE: Object = Object::closed(
    "merge",
    "How two values of a label become one",
    &[
        Field::optional("algorithm", Shape::Text(Rule::MergeAlgorithm)),
        Field::optional("config", Shape::Any),
    ],
);

const DIGEST: Object = Object::open(
    "digest",
    "A digest, and how it was computed",
    &[
        Field::expected("hashAlgorithm", Shape::Text(Rule::Free)),
        Field::expected("normalisationAlgorithm", Shape::Text(Rule::Free)),
        Field::expected("value", Shape::Text(Rule::Free)),
    ],
);

const SIGNATURE: Object = Object::closed(
    "signature",
    "A signature of the component version",
    &[
        Field::required("name", Shape::Text(Rule::NonEmpty)),
        Field::required("digest", Shape::Object(&DIGEST)),
        Field::required("signature", Shape::Object(&SIGNATURE_INFO)),
        Field::optional("timestamp", Shape::Object(&TIMESTAMP)),
    ],
);

const SIGNATURE_INFO: Object = Object::open(
    "signatureValue",
    "What the signature algorithm has made",
    &[
        Field::expected("algorithm", Shape::Text(Rule::NonEmpty)),
        Field::expected("value", Shape::Text(Rule::NonEmpty)),
        Field::expected("mediaType", Shape::Text(Rule::NonEmpty)),
        Field::optional("issuer", Shape::Text(Rule::NonEmpty)),
    ],
);

const TIMESTAMP: Object = Object::open(
    "timestamp",
    "Who testifies when the signature was made",
    &[
        Field::optional("value", Shape::Text(Rule::NonEmpty)),
        Field::optional("time", Shape::Text(Rule::Time)),
    ],
);

const NESTED: Object = Object::open(
    "nestedDigest",
    "The digests of a component version somewhere below",
    &[
        Field::required("name", Shape::Text(Rule::ComponentName)),
        Field::expected("version", Shape::Text(Rule::Version)),
        Field::optional("digest", Shape::Object(&DIGEST)),
        Field::optional(
            "resourceDigests",
            Shape::List(&Shape::Object(&NESTED_RESOURCE)),
        )
        .or_null(),
    ],
);

const NESTED_RESOURCE: Object = Object::open(
    "nestedResourceDigest",
    "The digest of a resource somewhere below",
    &[
        Field::required("name", Shape::Text(Rule::NonEmpty)),
        Field::optional("version", Shape::Text(Rule::Free)),
        Field::optional("extraIdentity", Shape::Identity),
        Field::optional("digest", Shape::Object(&DIGEST)),
    ],
);
