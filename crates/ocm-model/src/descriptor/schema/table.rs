//! The schemas of descriptors: v2 as published in JSON schema, v3alpha1 likewise.

/// What a value must be.
pub(super) enum Shape {
    Any,
    Flag,
    Text(Rule),
    /// A map of texts whose keys are element names.
    Texts,
    List(&'static Self),
    Object(&'static Object),
    /// An object with a type.
    Typed,
}

/// What an object must have.
pub(super) struct Object {
    pub(super) fields: &'static [Field],
    /// Whether other fields are forbidden.
    pub(super) closed: bool,
}

/// A field of an object.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) need: Need,
}

/// Whether a field must be there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Need {
    Optional,
    /// Demanded by the schema, but a view can do without.
    Expected,
    Required,
}

/// What a text must be.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    Free,
    NonEmpty,
    SchemaVersion,
    ComponentName,
    ElementName,
    Version,
    TypeName,
    Time,
    Relation,
    LabelVersion,
    MergeAlgorithm,
}

const fn field(name: &'static str, shape: Shape, need: Need) -> Field {
    Field { name, shape, need }
}

const fn optional(name: &'static str, shape: Shape) -> Field {
    field(name, shape, Need::Optional)
}

const fn expected(name: &'static str, shape: Shape) -> Field {
    field(name, shape, Need::Expected)
}

const fn required(name: &'static str, shape: Shape) -> Field {
    field(name, shape, Need::Required)
}

const fn open(fields: &'static [Field]) -> Object {
    Object {
        fields,
        closed: false,
    }
}

const fn closed(fields: &'static [Field]) -> Object {
    Object {
        fields,
        closed: true,
    }
}

pub(super) const V2: Object = open(&[
    required("meta", Shape::Object(&META)),
    required("component", Shape::Object(&COMPONENT)),
    optional("signatures", Shape::List(&Shape::Object(&SIGNATURE))),
    optional("nestedDigests", Shape::List(&Shape::Object(&NESTED))),
]);

const META: Object = open(&[required("schemaVersion", Shape::Text(Rule::SchemaVersion))]);

const COMPONENT: Object = open(&[
    required("name", Shape::Text(Rule::ComponentName)),
    required("version", Shape::Text(Rule::Version)),
    optional("labels", LABELS),
    optional("creationTime", Shape::Text(Rule::Time)),
    expected("provider", Shape::Text(Rule::NonEmpty)),
    expected("repositoryContexts", Shape::List(&Shape::Typed)),
    expected("sources", Shape::List(&Shape::Object(&SOURCE))),
    expected(
        "componentReferences",
        Shape::List(&Shape::Object(&REFERENCE)),
    ),
    expected("resources", Shape::List(&Shape::Object(&RESOURCE))),
]);

pub(super) const V3ALPHA1: Object = open(&[
    required("apiVersion", Shape::Text(Rule::Free)),
    expected("kind", Shape::Text(Rule::NonEmpty)),
    required("metadata", Shape::Object(&METADATA)),
    optional("repositoryContexts", Shape::List(&Shape::Typed)),
    optional("spec", Shape::Object(&SPEC)),
    optional("signatures", Shape::List(&Shape::Object(&SIGNATURE))),
    optional("nestedDigests", Shape::List(&Shape::Object(&NESTED))),
]);

const METADATA: Object = open(&[
    required("name", Shape::Text(Rule::ComponentName)),
    required("version", Shape::Text(Rule::Version)),
    optional("labels", LABELS),
    optional("creationTime", Shape::Text(Rule::Time)),
    expected("provider", Shape::Object(&PROVIDER)),
]);

const PROVIDER: Object = open(&[
    expected("name", Shape::Text(Rule::NonEmpty)),
    optional("labels", LABELS),
]);

const SPEC: Object = open(&[
    optional("resources", Shape::List(&Shape::Object(&RESOURCE))),
    optional("sources", Shape::List(&Shape::Object(&SOURCE))),
    optional("references", Shape::List(&Shape::Object(&REFERENCE))),
]);

const RESOURCE: Object = open(&[
    expected("name", Shape::Text(Rule::ElementName)),
    required("version", Shape::Text(Rule::Version)),
    expected("type", Shape::Text(Rule::NonEmpty)),
    expected("relation", Shape::Text(Rule::Relation)),
    optional("extraIdentity", Shape::Texts),
    optional("labels", LABELS),
    optional("srcRefs", Shape::List(&Shape::Object(&SRC_REF))),
    optional("srcRef", Shape::List(&Shape::Object(&SRC_REF))),
    expected("access", Shape::Typed),
    optional("digest", Shape::Object(&DIGEST)),
]);

const SOURCE: Object = open(&[
    expected("name", Shape::Text(Rule::ElementName)),
    required("version", Shape::Text(Rule::Version)),
    expected("type", Shape::Text(Rule::NonEmpty)),
    optional("extraIdentity", Shape::Texts),
    optional("labels", LABELS),
    expected("access", Shape::Typed),
]);

const REFERENCE: Object = closed(&[
    expected("name", Shape::Text(Rule::ElementName)),
    required("componentName", Shape::Text(Rule::ComponentName)),
    required("version", Shape::Text(Rule::Version)),
    optional("extraIdentity", Shape::Texts),
    optional("labels", LABELS),
    optional("digest", Shape::Object(&DIGEST)),
]);

const SRC_REF: Object = closed(&[
    optional("identitySelector", Shape::Texts),
    optional("labels", LABELS),
]);

const LABELS: Shape = Shape::List(&Shape::Object(&LABEL));

const LABEL: Object = open(&[
    expected("name", Shape::Text(Rule::NonEmpty)),
    expected("value", Shape::Any),
    optional("version", Shape::Text(Rule::LabelVersion)),
    optional("signing", Shape::Flag),
    optional("merge", Shape::Object(&MERGE)),
]);

const MERGE: Object = closed(&[
    optional("algorithm", Shape::Text(Rule::MergeAlgorithm)),
    optional("config", Shape::Any),
]);

const DIGEST: Object = open(&[
    expected("hashAlgorithm", Shape::Text(Rule::Free)),
    expected("normalisationAlgorithm", Shape::Text(Rule::Free)),
    expected("value", Shape::Text(Rule::Free)),
]);

const SIGNATURE: Object = closed(&[
    required("name", Shape::Text(Rule::NonEmpty)),
    required("digest", Shape::Object(&DIGEST)),
    required("signature", Shape::Object(&SIGNATURE_INFO)),
    optional("timestamp", Shape::Object(&TIMESTAMP)),
]);

const SIGNATURE_INFO: Object = open(&[
    expected("algorithm", Shape::Text(Rule::NonEmpty)),
    expected("value", Shape::Text(Rule::NonEmpty)),
    expected("mediaType", Shape::Text(Rule::NonEmpty)),
    optional("issuer", Shape::Text(Rule::NonEmpty)),
]);

const TIMESTAMP: Object = open(&[
    optional("value", Shape::Text(Rule::NonEmpty)),
    optional("time", Shape::Text(Rule::Time)),
]);

const NESTED: Object = open(&[
    required("name", Shape::Text(Rule::ComponentName)),
    expected("version", Shape::Text(Rule::Version)),
    optional("digest", Shape::Object(&DIGEST)),
    optional(
        "resourceDigests",
        Shape::List(&Shape::Object(&NESTED_RESOURCE)),
    ),
]);

const NESTED_RESOURCE: Object = open(&[
    required("name", Shape::Text(Rule::NonEmpty)),
    optional("version", Shape::Text(Rule::Free)),
    optional("extraIdentity", Shape::Texts),
    optional("digest", Shape::Object(&DIGEST)),
]);
