//! Constructor files: which component versions are to be made, and of what.
//!
//! ```yaml
//! components:
//! - name: acme.org/notes
//!   version: 1.0.0
//!   provider: {name: acme.org}
//!   resources:
//!   - {name: chart, type: helmChart, input: {type: helm, path: ./chart}}
//!   - {name: image, type: ociImage, version: 1.0.0, access: {type: ociArtifact, imageReference: …}}
//! ```
//!
//! A file has a list of components, a single one without the list, or several such documents. It is
//! read strictly: whatever is not known is refused with file, line, column and path.

mod elements;
mod labels;
mod schema;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ocm_model::schema::Either;
use ocm_model::yaml::{self, Position};
use ocm_model::{
    ComponentVersionId, Identity, Label, Provider, Reference, Resource, Source, TypedSpec, Version,
};

use crate::place::Place;
use crate::reader::{Document, Node};
use crate::template::Expanded;

/// The largest file that is read, in bytes.
pub const MAX_SIZE: usize = 64 * 1024 * 1024;

/// The number of YAML documents that a file may have.
pub const MAX_DOCUMENTS: usize = 1000;

/// The number of problems that are reported at once.
pub const MAX_PROBLEMS: usize = 20;

/// What a constructor file asks for.
#[derive(Clone, Debug)]
pub struct Constructor {
    /// The component versions in the order of the file.
    pub components: Vec<Component>,
    /// What is odd about the file, though it can be used.
    pub warnings: Vec<Problem>,
}

/// A component version that is to be made.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its name and version.
    pub id: ComponentVersionId,
    /// Who provides it.
    pub provider: Provider,
    /// What is said about it.
    pub labels: Vec<Label>,
    /// When it was made, if the file says so (RFC 3339).
    pub creation_time: Option<String>,
    /// Its resources.
    pub resources: Vec<Entry<Resource>>,
    /// Its sources.
    pub sources: Vec<Entry<Source>>,
    /// The component versions that belong to it.
    pub references: Vec<Entry<Reference>>,
    /// Where it stands.
    pub place: Place,
}

/// An element of a component version that is to be made.
#[derive(Clone, Debug)]
pub struct Entry<E> {
    /// What goes into the descriptor. A resource or source has an access here, unless it has an
    /// input.
    pub element: E,
    /// Where the content comes from that becomes a local blob.
    pub input: Option<InputSpec>,
    /// Who is told about the owner of an artifact.
    pub ownership: OwnershipPolicy,
    /// Whether it goes without a digest, other than one in the file.
    pub skips_digest: bool,
    /// Where it stands.
    pub place: Place,
}

/// Whether an OCI artifact is marked as owned by the component version that delivers it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OwnershipPolicy {
    /// It is not.
    #[default]
    Never,
    /// It is.
    Always,
}

/// Where the content of a resource or source comes from: a typed specification that knows its
/// place.
#[derive(Clone, Debug)]
pub struct InputSpec {
    /// The specification.
    pub spec: TypedSpec,
    /// Where it stands.
    pub place: Place,
    fields: BTreeMap<String, Position>,
}

impl InputSpec {
    /// Takes a specification. `fields` says where its fields stand, as far as known.
    pub const fn new(spec: TypedSpec, place: Place, fields: BTreeMap<String, Position>) -> Self {
        Self {
            spec,
            place,
            fields,
        }
    }

    /// Returns where a field stands, or the specification if it has no such field.
    pub fn place_of(&self, field: &str) -> Place {
        match self.fields.get(field) {
            None => self.place.clone(),
            Some(position) => Place {
                file: Arc::clone(&self.place.file),
                position: *position,
                path: format!("{}.{field}", self.place.path),
            },
        }
    }
}

impl Constructor {
    /// Returns what constructor files look like, of which their JSON schema is made.
    pub const fn table() -> &'static Either {
        &schema::CONSTRUCTOR
    }

    /// Reads a constructor file.
    ///
    /// # Errors
    ///
    /// The text is no YAML or asks for something that cannot be made; every problem is named, up
    /// to [`MAX_PROBLEMS`]. `origin` names the file in messages.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConstructorError> {
        Self::read(&Expanded::verbatim(text), origin)
    }

    /// Reads a constructor file in which variables have been replaced. Messages tell places in the
    /// file as it was written.
    ///
    /// # Errors
    ///
    /// As [`Constructor::parse`].
    pub fn read(text: &Expanded, origin: &str) -> Result<Self, ConstructorError> {
        Self::read_with(text, origin, None)
    }

    /// Reads a constructor file, as [`Constructor::read`] does, whose components need no version:
    /// it is the given one then.
    ///
    /// # Errors
    ///
    /// As [`Constructor::parse`].
    pub fn read_with(
        text: &Expanded,
        origin: &str,
        version: Option<&Version>,
    ) -> Result<Self, ConstructorError> {
        let file: Arc<str> = origin.into();
        let alone = |position: Position, message: String| {
            ConstructorError::new(vec![Problem {
                place: Place {
                    file: Arc::clone(&file),
                    position: text.original(position),
                    path: String::new(),
                },
                message,
            }])
        };
        if text.text.len() > MAX_SIZE {
            return Err(alone(START, format!("is larger than {MAX_SIZE} bytes")));
        }
        let documents = split_documents(&text.text);
        if documents.len() > MAX_DOCUMENTS {
            let message = format!("has more than {MAX_DOCUMENTS} documents");
            return Err(alone(START, message));
        }
        let (mut components, mut problems, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        for (offset, part) in documents {
            let located = yaml::parse_located(part).map_err(|error| {
                let line = error.line.max(1) + offset;
                let column = error.column.max(1);
                alone(Position { line, column }, error.message)
            })?;
            if located.value.is_null() {
                continue;
            }
            let document = Document::new(Arc::clone(&file), located, offset, text);
            read_document(&document.root(), version, &mut components);
            let (more_problems, more_warnings) = document.finish();
            problems.extend(more_problems);
            warnings.extend(more_warnings);
        }
        problems.extend(repeated_components(&components));
        if !problems.is_empty() {
            return Err(ConstructorError::new(problems));
        }
        if components.is_empty() {
            return Err(alone(START, "has no components".to_owned()));
        }
        Ok(Self {
            components,
            warnings,
        })
    }
}

const START: Position = Position { line: 1, column: 1 };

/// Cuts a text at its document markers; returns each part with the number of lines before it.
///
/// YAML allows a marker at the start of a line only, whatever surrounds it, so no parser is needed
/// to find it. Directives and comments before a marker stay with what follows it.
fn split_documents(text: &str) -> Vec<(u64, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line) = (0, 0);
    let (mut at, mut line_number) = (0, 0);
    let mut has_content = false;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_end();
        let marker = trimmed.strip_prefix("---").or(trimmed.strip_prefix("..."));
        let is_marker = marker.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        if is_marker && has_content {
            parts.push((start_line, &text[start..at]));
            (start, start_line) = (at, line_number);
            has_content = false;
        }
        if is_marker && trimmed.starts_with("...") {
            // Nothing but comments may follow before the next document.
            (start, start_line) = (at + line.len(), line_number + 1);
        } else {
            has_content |= is_marker || !trimmed.is_empty() && !trimmed.starts_with(['#', '%']);
        }
        at += line.len();
        line_number += 1;
    }
    if has_content {
        parts.push((start_line, &text[start..]));
    }
    parts
}

const COMPONENT_FIELDS: [&str; 11] = [
    "name",
    "version",
    "provider",
    "labels",
    "creationTime",
    "resources",
    "sources",
    "componentReferences",
    "references",
    "signatures",
    "meta",
];

fn read_document(root: &Node<'_>, version: Option<&Version>, components: &mut Vec<Component>) {
    let Some(fields) = root.open_object() else {
        return;
    };
    if !fields.has("components") {
        if fields.has("name") || fields.has("version") {
            components.extend(read_component(root, version));
        } else {
            root.problem("has neither `components` nor the fields of one component");
        }
        return;
    }
    let Some(fields) = root.object(&["components"]) else {
        return;
    };
    let Some(list) = fields.required("components").and_then(|node| node.list()) else {
        return;
    };
    let read = |node: &Node<'_>| read_component(node, version);
    components.extend(list.iter().filter_map(read));
}

fn read_component(node: &Node<'_>, default: Option<&Version>) -> Option<Component> {
    let fields = node.object(&COMPONENT_FIELDS)?;
    if let Some(meta) = fields.optional("meta") {
        read_meta(&meta);
    }
    if let Some(signatures) = fields.optional("signatures") {
        signatures.warning("is ignored; component versions are signed after they are made");
    }
    let name = fields.required("name").and_then(|node| node.parse());
    let version = match default {
        Some(default) if !fields.has("version") => Some(default.clone()),
        _ => fields.required("version").and_then(|node| node.parse()),
    };
    let provider = fields
        .required("provider")
        .and_then(|node| labels::provider(&node));
    let labels = labels::labels(&fields);
    let creation_time = elements::creation_time(&fields);
    let id = name
        .zip(version)
        .map(|(name, version)| ComponentVersionId::new(name, version));
    let context = id.as_ref().map(|id| &id.version);
    let resources = elements::resources(&fields, context);
    let sources = elements::sources(&fields, context);
    let references = elements::references(&fields);
    Some(Component {
        id: id?,
        provider: provider?,
        labels: labels?,
        creation_time: creation_time.ok()?,
        resources: resources?,
        sources: sources?,
        references: references?,
        place: node.place(),
    })
}

/// Reads what the first Go tool takes for the schema to write.
fn read_meta(meta: &Node<'_>) {
    let schema = meta
        .open_object()
        .and_then(|fields| fields.optional("configuredSchemaVersion"));
    if let Some(schema) = schema.filter(|schema| schema.value != "v2") {
        schema.warning("is ignored; component descriptors are written by the schema `v2`");
    }
}

fn repeated_components(components: &[Component]) -> Vec<Problem> {
    let mut seen: BTreeMap<&ComponentVersionId, &Component> = BTreeMap::new();
    let mut problems = Vec::new();
    for component in components {
        match seen.get(&component.id) {
            Some(first) => {
                let position = first.place.position;
                let message = format!("{} was already given at {position}", component.id);
                let place = component.place.clone();
                problems.push(Problem { place, message });
            }
            None => {
                seen.insert(&component.id, component);
            }
        }
    }
    problems
}

/// Returns the identity under which an element is unique in its list: with its version, as the Go
/// implementation has it.
pub(crate) fn identity_of(element: &impl ocm_model::Element) -> Identity {
    element.identity()
}

/// Something that is wrong with a constructor file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Why a constructor file cannot be used: all of its problems, one in each line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", lines(.problems, *.omitted))]
pub struct ConstructorError {
    /// The problems in the order of the file, up to [`MAX_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// The number of problems beyond.
    pub omitted: usize,
}

impl ConstructorError {
    fn new(mut problems: Vec<Problem>) -> Self {
        let omitted = problems.len().saturating_sub(MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        Self { problems, omitted }
    }
}

fn lines(problems: &[Problem], omitted: usize) -> String {
    let mut lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    if omitted > 0 {
        lines.push(format!("and {omitted} more"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_at_their_markers() {
        for (text, expected) in [
            ("a: 1\n---\nb: 2\n", vec![(0, "a: 1\n"), (1, "---\nb: 2\n")]),
            ("---\na: 1\n", vec![(0, "---\na: 1\n")]),
            (
                "# x\n%YAML 1.2\n---\na: 1\n",
                vec![(0, "# x\n%YAML 1.2\n---\na: 1\n")],
            ),
            ("a: 1\n...\n# x\n", vec![(0, "a: 1\n")]),
            ("a: |\n  ---\n ---\n", vec![(0, "a: |\n  ---\n ---\n")]),
            ("a: 1\n---x: 2\n", vec![(0, "a: 1\n---x: 2\n")]),
            (
                "a: 1\n--- # x\nb: 1",
                vec![(0, "a: 1\n"), (1, "--- # x\nb: 1")],
            ),
            ("", vec![]),
            ("# only\n", vec![]),
        ] {
            assert_eq!(split_documents(text), expected, "{text}");
        }
    }

    #[test]
    fn the_number_of_reported_problems_is_bounded() {
        let text = format!("components: [{}]", "1, ".repeat(50));
        let error = Constructor::parse(&text, "c.yaml").unwrap_err();
        assert_eq!((error.problems.len(), error.omitted), (20, 30));
        assert!(error.to_string().ends_with("\nand 30 more"));
    }

    #[test]
    fn arbitrary_text_is_an_error_and_no_panic() {
        for text in [
            "",
            "\0",
            "{",
            "a",
            "[]",
            "components:",
            "components: {}",
            "---\n---\n",
            "~",
        ] {
            assert!(Constructor::parse(text, "c.yaml").is_err(), "{text}");
        }
    }
}
