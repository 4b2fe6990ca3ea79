//! Component descriptors, from which nothing is lost.
//!
//! A [`Descriptor`] is the JSON document that was read, whose shape has been checked once. Views
//! are made of it on demand; changes touch the place they are about and no other. So unknown
//! fields, `null` against absent, the order of lists and every spelling survive, and a signature
//! that held before holds after.
//!
//! ```yaml
//! meta: {schemaVersion: v2}
//! component:
//!   name: acme.org/notes
//!   version: 1.0.0
//!   provider: acme.org
//!   resources: [{name: image, version: 1.0.0, type: ociImage, relation: local, access: {…}}]
//!   sources: []
//!   componentReferences: []
//!   repositoryContexts: []
//! ```

mod change;
mod convert;
mod document;
mod lookup;
mod schema;
mod write;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use thiserror::Error as ThisError;

pub use self::change::{NoSuchElement, SignatureExists};
use self::document::Document;
pub use self::lookup::LookupError;
use crate::access::Access;
use crate::digest_spec::DigestSpec;
use crate::element::{ElementKind, Reference, Resource, Source};
use crate::identity::Identity;
use crate::json;
use crate::label::{Label, Provider};
use crate::name::ComponentName;
use crate::schema::{Object, Severity, Violation, Violations};
use crate::signature::{NestedDigest, Signature};
use crate::typed::TypedSpec;
use crate::version::{ComponentVersionId, Version};
use crate::yaml;

/// The largest descriptor that is read, in bytes: room for 30 000 resources. While one is read,
/// compared and normalised, its texts are in memory several times.
pub const MAX_SIZE: usize = 16 * 1024 * 1024;

/// The longest list in a descriptor that is read.
pub const MAX_ELEMENTS: usize = 100_000;

/// A component descriptor (OCM specification, "Component Descriptor").
///
/// ```
/// use ocm_model::{Descriptor, Provider};
///
/// let mut descriptor = Descriptor::new(
///     "acme.org/notes".parse()?,
///     "1.0.0".parse()?,
///     &Provider::new("acme.org"),
/// );
/// descriptor.set_creation_time("2026-01-01T00:00:00Z");
/// let again = Descriptor::read_json(&descriptor.write_json())?;
/// assert_eq!(again.id().to_string(), "acme.org/notes:1.0.0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    document: Document,
    schema: Schema,
    id: ComponentVersionId,
}

/// What a descriptor says of the content of a resource or a source, read when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ElementContent<'a> {
    kind: ElementKind,
    element: &'a Value,
}

impl ElementContent<'_> {
    /// Returns name, version and extra identity of the element.
    pub fn identity(&self) -> Identity {
        lookup::identity_of(self.element)
    }

    /// Returns where the content is.
    pub fn access(&self) -> Option<Access> {
        let access = self.element.get("access");
        let access = access.filter(|access| !access.is_null())?;
        Some(Access::from_json(access.clone()).expect(CHECKED))
    }

    /// Returns its digest, which sources do not have.
    pub fn digest(&self) -> Option<DigestSpec> {
        let digest = self.element.get("digest");
        digest
            .filter(|_| self.kind == ElementKind::Resource)
            .and_then(read)
    }
}

/// The layout of a descriptor.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Schema {
    /// `meta.schemaVersion: v2`, the one that is written.
    V2,
    /// `apiVersion: ocm.software/v3alpha1`. Such a descriptor keeps its layout when it is
    /// written again; new ones never have it. See [`Descriptor::to_v2`].
    V3Alpha1,
}

impl Schema {
    /// Returns the key of the object with name and version.
    const fn component(self) -> &'static str {
        match self {
            Self::V2 => "component",
            Self::V3Alpha1 => "metadata",
        }
    }

    /// Returns the keys of the object with a list, and of the list.
    const fn list(self, kind: ElementKind) -> (&'static str, &'static str) {
        match (self, kind) {
            (Self::V2, ElementKind::Resource) => ("component", "resources"),
            (Self::V2, ElementKind::Source) => ("component", "sources"),
            (Self::V2, ElementKind::Reference) => ("component", "componentReferences"),
            (Self::V3Alpha1, ElementKind::Resource) => ("spec", "resources"),
            (Self::V3Alpha1, ElementKind::Source) => ("spec", "sources"),
            (Self::V3Alpha1, ElementKind::Reference) => ("spec", "references"),
        }
    }
}

impl Descriptor {
    /// Returns a descriptor without elements. As the Go implementation does, it has `null` for
    /// each of the four lists.
    pub fn new(name: ComponentName, version: Version, provider: &Provider) -> Self {
        let document = json!({
            "meta": {"schemaVersion": "v2"},
            "component": {
                "name": name.as_str(),
                "version": version.as_str(),
                "provider": provider.to_text(),
                "repositoryContexts": null,
                "resources": null,
                "sources": null,
                "componentReferences": null,
            },
        });
        let Value::Object(document) = document else {
            unreachable!("the literal is an object");
        };
        Self {
            document: Document::new(document, false),
            schema: Schema::V2,
            id: ComponentVersionId::new(name, version),
        }
    }

    /// Reads a descriptor from JSON.
    ///
    /// # Errors
    ///
    /// The bytes are too many, no JSON or no descriptor. What only breaks a rule of the schema is
    /// no error; [`Descriptor::validate`] finds it.
    pub fn read_json(bytes: &[u8]) -> Result<Self, Error> {
        limit(bytes.len())?;
        Self::from_document(Value::Object(json::parse_object(bytes)?))
    }

    /// Reads a descriptor from YAML, of which JSON is a part.
    ///
    /// # Errors
    ///
    /// As [`Descriptor::read_json`].
    pub fn read_yaml(text: &str) -> Result<Self, Error> {
        limit(text.len())?;
        let read = Self::from_document(yaml::parse(text)?);
        read.map_err(|mut error| {
            if let Error::Shape(violation) = &mut error
                && let Ok(located) = yaml::parse_located(text)
            {
                violation.locate(&located);
            }
            error
        })
    }

    /// Takes a document that has been parsed.
    ///
    /// # Errors
    ///
    /// The document is no descriptor.
    pub fn from_document(document: Value) -> Result<Self, Error> {
        let Value::Object(document) = document else {
            let found = format!("must be an object, not {}", json::describe(&document));
            return Err(Error::Shape(Violation::new(&[], found, Severity::Error)));
        };
        let schema = schema::detect(&document)?;
        let violations = schema::check(schema, &document);
        let is_sound = violations.is_empty();
        if let Some(fatal) = violations
            .into_iter()
            .find(|v| v.severity == Severity::Error)
        {
            return Err(Error::Shape(fatal));
        }
        let component = &document[schema.component()];
        let text = |key: &str| component[key].as_str().unwrap_or_default();
        let name: ComponentName = text("name").parse().expect(CHECKED);
        let version = Version::lenient(text("version")).expect(CHECKED);
        let id = ComponentVersionId::new(name, version);
        Ok(Self {
            id,
            document: Document::new(document, is_sound),
            schema,
        })
    }

    /// Returns the document.
    pub fn as_document(&self) -> &Map<String, Value> {
        &self.document
    }

    /// Returns a copy of the document.
    pub fn to_document(&self) -> Value {
        Value::Object(self.as_document().clone())
    }

    /// Returns the layout of the document.
    pub const fn schema(&self) -> Schema {
        self.schema
    }

    /// Returns the identity of the component version.
    pub const fn id(&self) -> &ComponentVersionId {
        &self.id
    }

    /// Returns the name of the component.
    pub const fn name(&self) -> &ComponentName {
        &self.id.name
    }

    /// Returns the version of the component.
    pub const fn version(&self) -> &Version {
        &self.id.version
    }

    /// Returns who provides the component.
    pub fn provider(&self) -> Provider {
        match self.component().get("provider") {
            Some(Value::String(text)) => Provider::from_text(text),
            Some(object @ Value::Object(_)) => read(object),
            _ => Provider::default(),
        }
    }

    /// Returns when the component version was made, as it is written (RFC 3339).
    pub fn creation_time(&self) -> Option<&str> {
        let text = self.component().get("creationTime")?.as_str()?;
        (!text.is_empty()).then_some(text)
    }

    /// Returns the labels of the component version.
    pub fn labels(&self) -> Vec<Label> {
        read_list(self.component().get("labels"))
    }

    /// Returns the labels of the component version as they are written.
    pub(crate) fn raw_labels(&self) -> &[Value] {
        let labels = self.component().get("labels").and_then(Value::as_array);
        labels.map_or(&[], Vec::as_slice)
    }

    /// Returns a label of the component version.
    pub fn label(&self, name: &str) -> Option<Label> {
        self.labels().into_iter().find(|label| label.name == name)
    }

    /// Returns the resources.
    pub fn resources(&self) -> Vec<Resource> {
        self.list(ElementKind::Resource)
            .iter()
            .map(read_resource)
            .collect()
    }

    /// Returns the resource at a position in the list of [`resources`](Self::resources).
    pub fn resource(&self, position: usize) -> Option<Resource> {
        let resource = self.list(ElementKind::Resource).get(position);
        resource.map(read_resource)
    }

    /// Returns the sources.
    pub fn sources(&self) -> Vec<Source> {
        self.list(ElementKind::Source).iter().map(read).collect()
    }

    /// Returns what is said of the content of the elements of a kind, in their order, without reading
    /// all else.
    pub fn contents(&self, kind: ElementKind) -> impl Iterator<Item = ElementContent<'_>> {
        let elements = self.list(kind).iter();
        elements.map(move |element| ElementContent { kind, element })
    }

    /// Returns the references to other component versions.
    pub fn references(&self) -> Vec<Reference> {
        self.list(ElementKind::Reference).iter().map(read).collect()
    }

    /// Returns the signatures.
    pub fn signatures(&self) -> Vec<Signature> {
        read_list(self.document.get("signatures"))
    }

    /// Returns a signature.
    pub fn signature(&self, name: &str) -> Option<Signature> {
        self.signatures()
            .into_iter()
            .find(|signature| signature.name == name)
    }

    /// Returns the digests of component versions below that are kept here.
    pub fn nested_digests(&self) -> Vec<NestedDigest> {
        read_list(self.document.get("nestedDigests"))
    }

    /// Returns the repositories that the component version has been in.
    pub fn repository_contexts(&self) -> Vec<TypedSpec> {
        let holder = match self.schema {
            Schema::V2 => self.component(),
            Schema::V3Alpha1 => &self.document,
        };
        read_list(holder.get("repositoryContexts"))
    }

    /// Finds everything that breaks a rule of the schema, or of uniqueness, with its JSON path.
    ///
    /// The Go implementation only warns of these, and so should whoever reads descriptors of
    /// others, unless asked to be strict: see [`Descriptor::check`].
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = if self.document.is_sound() {
            Vec::new()
        } else {
            schema::check(self.schema, &self.document)
        };
        violations.extend(schema::check_uniqueness(self));
        violations
    }

    /// As [`Descriptor::validate`], with line and column in the YAML that the descriptor was read
    /// from.
    ///
    /// # Errors
    ///
    /// The text is no YAML.
    pub fn validate_located(&self, text: &str) -> Result<Vec<Violation>, Error> {
        let mut violations = self.validate();
        if !violations.is_empty() {
            let located = yaml::parse_located(text)?;
            for violation in &mut violations {
                violation.locate(&located);
            }
        }
        Ok(violations)
    }

    /// Checks that no rule is broken: [`Descriptor::validate`] as a strict reader has it.
    ///
    /// # Errors
    ///
    /// Names each rule that is.
    pub fn check(&self) -> Result<(), Violations> {
        Violations::none(self.validate())
    }

    /// Returns what documents of a layout must look like.
    pub const fn table(schema: Schema) -> &'static Object {
        schema::table(schema)
    }

    /// Returns the elements of a kind as they are written.
    pub fn list(&self, kind: ElementKind) -> &[Value] {
        let (holder, key) = self.schema.list(kind);
        let list = self.document.get(holder).and_then(|holder| holder.get(key));
        list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn component(&self) -> &Map<String, Value> {
        self.document[self.schema.component()]
            .as_object()
            .expect(CHECKED)
    }
}

fn limit(size: usize) -> Result<(), Error> {
    if size > MAX_SIZE {
        return Err(Error::TooLarge { size });
    }
    Ok(())
}

/// Why a view cannot fail: what it needs is an error in the table, so that a descriptor without it
/// is never made. Tests break descriptors in every way, and look at all views of what is left.
const CHECKED: &str = "the table has asked for what views need";

fn read<T: DeserializeOwned>(value: &Value) -> T {
    T::deserialize(value).expect(CHECKED)
}

fn read_list<T: DeserializeOwned>(value: Option<&Value>) -> Vec<T> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(list) => read(list),
    }
}

/// Old descriptors have `srcRef` for `srcRefs`.
fn read_resource(value: &Value) -> Resource {
    if value.get("srcRef").is_none() || value.get("srcRefs").is_some_and(|it| !it.is_null()) {
        return read(value);
    }
    let mut value = value.clone();
    if let Some(map) = value.as_object_mut()
        && let Some(old) = map.remove("srcRef")
    {
        map.insert("srcRefs".to_owned(), old);
    }
    read(&value)
}

/// Why something is not a component descriptor.
#[derive(Clone, Debug, Eq, PartialEq, ThisError)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// It has more than [`MAX_SIZE`] bytes.
    #[error("component descriptor has {size} bytes, more than {MAX_SIZE}")]
    TooLarge { size: usize },
    /// It is no JSON.
    #[error("component descriptor is not well-formed JSON")]
    Json(#[from] json::Error),
    /// It is no YAML.
    #[error("component descriptor is not well-formed YAML")]
    Yaml(#[from] yaml::Error),
    /// It has no schema that is known.
    #[error("component descriptor has the unknown schema version `{version}`")]
    UnknownSchema { version: String },
    /// A field that is needed is missing or has the wrong type.
    #[error("component descriptor has another shape than its schema asks for")]
    Shape(#[source] Violation),
}

#[cfg(test)]
mod tests;
