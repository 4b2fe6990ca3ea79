//! Transfers as the second Go tool stores them: graphs of transformations.
//!
//! ```yaml
//! environment:
//!   shop: {meta: …, component: …}             # the component descriptor as it was at the source
//! transformations:
//! - type: CTFGetLocalResource/v1alpha1
//!   id: get
//!   spec: {repository: …, component: …, version: …, resourceIdentity: …}
//! - type: OCIAddLocalResource/v1alpha1
//!   id: add
//!   spec: {repository: …, resource: "${get.output.resource}", file: "${get.output.file}"}
//! - type: OCIAddComponentVersion/v1alpha1
//!   id: upload
//!   spec:
//!     repository: …
//!     descriptor: {meta: "${environment.shop.meta}", component: {resources: ["${add.output.resource}"], …}}
//! ```
//!
//! What such a graph says is what is moved from where to where, and as what. This is read; how it
//! is done is up to the planner, as for every other transfer. Nothing is evaluated: an expression
//! is a name of something in the document, or it is refused.

use std::collections::BTreeMap;

use ocm_model::element::Element as _;
use ocm_model::{Access, Descriptor, Identity, RepositorySpec, Resource, TypedSpec};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::options::{ResourceCopy, TransferOptions, UploadAs};
use crate::plan::MAX_SIZE;
use crate::step::{Step, resource_step, upload};

/// What a graph of transformations brings to one repository.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphTransfer {
    /// The repository that is written.
    pub target: RepositorySpec,
    /// The component versions, in the order of the document.
    pub versions: Vec<GraphVersion>,
}

/// A component version in a graph of transformations.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphVersion {
    /// Where it comes from; `None` where nothing of it is read but its descriptor.
    pub source: Option<RepositorySpec>,
    /// Its descriptor, as the document has it: the Go tool knows fewer fields than there may be.
    pub descriptor: Descriptor,
    /// What is done with each of its resources.
    pub steps: Vec<Step>,
}

/// Reads a graph of transformations from JSON or YAML.
///
/// # Errors
///
/// [`Error::Plan`] if the bytes are too many or no graph, or if it has a transformation or an
/// expression that the Go tool does not write for a transfer.
pub fn read_transformation_graph(bytes: &[u8]) -> Result<Vec<GraphTransfer>, Error> {
    transfers(document(bytes)?)
}

/// Takes a document for a graph of transformations.
pub(crate) fn transfers(document: Value) -> Result<Vec<GraphTransfer>, Error> {
    let graph: Graph =
        serde_json::from_value(document).map_err(|error| Error::plan(error.to_string()))?;
    let mut nodes = BTreeMap::new();
    for node in &graph.transformations {
        if nodes.insert(node.id.as_str(), node).is_some() {
            return Err(node.refused("its id is there twice"));
        }
        node.kind()?;
    }
    let reader = Reader {
        environment: &graph.environment,
        nodes,
    };
    let mut transfers: Vec<GraphTransfer> = Vec::new();
    for node in &graph.transformations {
        if node.kind()? != Kind::AddComponentVersion {
            continue;
        }
        let target = node.repository()?;
        let version = reader.version(node, &target)?;
        match transfers.iter_mut().find(|known| known.target == target) {
            Some(transfer) => transfer.versions.push(version),
            None => transfers.push(GraphTransfer {
                target,
                versions: vec![version],
            }),
        }
    }
    if transfers.is_empty() {
        return Err(Error::plan("it adds no component version anywhere"));
    }
    Ok(transfers)
}

pub(crate) fn document(bytes: &[u8]) -> Result<Value, Error> {
    if bytes.len() > MAX_SIZE {
        return Err(Error::plan(format!("it has more than {MAX_SIZE} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Error::plan(error.to_string()))?;
    ocm_model::yaml::parse(text).map_err(|error| Error::plan(error.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Graph {
    #[serde(default)]
    environment: Option<Map<String, Value>>,
    transformations: Vec<Node>,
}

/// A transformation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    id: String,
    r#type: String,
    spec: Map<String, Value>,
    /// What the Go tool has found out; it writes none before it has run.
    #[serde(default, rename = "output")]
    _output: Value,
}

/// The transformations of which the Go tool builds transfers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    GetLocalResource,
    GetElsewhere,
    ConvertChart,
    AddLocalResource,
    AddArtifact,
    TransferArtifact,
    AddComponentVersion,
    CleanUp,
}

impl Node {
    fn kind(&self) -> Result<Kind, Error> {
        let name = match self.r#type.split_once('/') {
            Some((name, "v1alpha1")) => name,
            None => self.r#type.as_str(),
            Some(_) => "",
        };
        Ok(match name {
            "OCIGetLocalResource" | "CTFGetLocalResource" => Kind::GetLocalResource,
            "GetOCIArtifact" | "GetHelmChart" | "DownloadWgetResource" | "GetGitHubCommit" => {
                Kind::GetElsewhere
            }
            "ConvertHelmToOCI" => Kind::ConvertChart,
            "OCIAddLocalResource" | "CTFAddLocalResource" => Kind::AddLocalResource,
            "AddOCIArtifact" => Kind::AddArtifact,
            "TransferOCIArtifact" => Kind::TransferArtifact,
            "OCIAddComponentVersion" | "CTFAddComponentVersion" => Kind::AddComponentVersion,
            "FileCleanup" => Kind::CleanUp,
            _ => return Err(self.refused(format!("its type `{}` is not known", self.r#type))),
        })
    }

    fn refused(&self, reason: impl std::fmt::Display) -> Error {
        Error::plan(format!("transformation `{}`: {reason}", self.id))
    }

    fn field(&self, name: &str) -> Result<&Value, Error> {
        let field = self.spec.get(name);
        field.ok_or_else(|| self.refused(format!("it has no `spec.{name}`")))
    }

    fn text(&self, name: &str) -> Result<&str, Error> {
        let text = self.field(name)?.as_str();
        text.ok_or_else(|| self.refused(format!("`spec.{name}` is no text")))
    }

    fn repository(&self) -> Result<RepositorySpec, Error> {
        let spec = TypedSpec::from_json(self.field("repository")?.clone())
            .map_err(|error| self.refused(format!("`spec.repository`: {error}")))?;
        let repository = RepositorySpec::try_from(spec);
        repository.map_err(|error| self.refused(format!("`spec.repository`: {error}")))
    }

    /// Returns the identity of the resource that a transformation reads.
    fn resource_identity(&self, kind: Kind) -> Result<Identity, Error> {
        if kind == Kind::GetLocalResource {
            let identity = serde_json::from_value(self.field("resourceIdentity")?.clone());
            return identity
                .map_err(|error| self.refused(format!("`spec.resourceIdentity`: {error}")));
        }
        let resource: Resource = serde_json::from_value(self.field("resource")?.clone())
            .map_err(|error| self.refused(format!("`spec.resource`: {error}")))?;
        Ok(resource.identity())
    }
}

struct Reader<'a> {
    environment: &'a Option<Map<String, Value>>,
    nodes: BTreeMap<&'a str, &'a Node>,
}

/// A resource of a component version that is read.
struct Element<'a> {
    index: usize,
    resource: &'a Resource,
    access: &'a Access,
}

impl Reader<'_> {
    fn version(&self, node: &Node, target: &RepositorySpec) -> Result<GraphVersion, Error> {
        let (name, elements) = named(node)?;
        let environment = self.environment.as_ref();
        let document = environment.and_then(|environment| environment.get(name));
        let document =
            document.ok_or_else(|| node.refused(format!("there is no `environment.{name}`")))?;
        let descriptor = Descriptor::from_document(document.clone())
            .map_err(|error| node.refused(format!("`environment.{name}`: {error}")))?;
        let resources = descriptor.resources();
        if elements.is_some_and(|elements| elements.len() != resources.len()) {
            return Err(node.refused(format!(
                "its resources are not those of `environment.{name}`"
            )));
        }
        let mut source = None;
        let mut steps = Vec::new();
        for (index, resource) in resources.iter().enumerate() {
            let Some(access) = &resource.access else {
                steps.push(Step::Keep);
                continue;
            };
            let element = Element {
                index,
                resource,
                access,
            };
            let kept = format!("environment.{name}.component.resources[{index}]");
            let step = match elements.map(|elements| expression(node, &elements[index])) {
                Some(found) => match found? {
                    path if path == kept => Step::Keep,
                    path => self.step(node, path, &element, target, &mut source)?,
                },
                None => Step::Keep,
            };
            if step == Step::Keep && access.is_local() {
                return Err(node.refused(format!(
                    "resource `{}` is a local blob that nothing brings",
                    resource.identity()
                )));
            }
            steps.push(step);
        }
        Ok(GraphVersion {
            source,
            descriptor,
            steps,
        })
    }

    /// Follows what becomes of a resource back to where it comes from.
    fn step(
        &self,
        node: &Node,
        path: &str,
        element: &Element<'_>,
        target: &RepositorySpec,
        source: &mut Option<RepositorySpec>,
    ) -> Result<Step, Error> {
        let added = self.node(node, path, ".output.resource")?;
        let kind = added.kind()?;
        if kind == Kind::TransferArtifact {
            check_identity(added, kind, element)?;
            return artifact_step(added, element, target, "targetResource");
        }
        if !matches!(kind, Kind::AddLocalResource | Kind::AddArtifact) {
            return Err(node.refused(format!("`{path}` is not the outcome of an upload")));
        }
        let mut from = self.node(added, inner(added, added.text("file")?)?, ".output.file")?;
        if from.kind()? == Kind::ConvertChart {
            let chart = inner(from, from.text("resource")?)?;
            from = self.node(from, chart, ".output.resource")?;
        }
        let read = from.kind()?;
        match (read, element.access.is_local()) {
            (Kind::GetLocalResource, true) => {
                let repository = from.repository()?;
                if source.get_or_insert_with(|| repository.clone()) != &repository {
                    return Err(node.refused("its resources come from several repositories"));
                }
            }
            (Kind::GetElsewhere, false) => {}
            _ => {
                let identity = element.resource.identity();
                return Err(from.refused(format!("resource `{identity}` is not read like this")));
            }
        }
        check_identity(from, read, element)?;
        if kind == Kind::AddArtifact {
            return artifact_step(added, element, target, "resource");
        }
        if &added.repository()? != target {
            return Err(added.refused("its repository is not that of the component version"));
        }
        if element.access.is_local() {
            return Ok(Step::CopyLocalBlob);
        }
        let name = added.spec.get("resource");
        let name = name.and_then(|it| it.get("access")?.get("referenceName")?.as_str());
        Ok(match name.filter(|name| !name.contains("${")) {
            Some(name) => Step::CopyByValue {
                reference_name: Some(name.to_owned()),
            },
            None => usual_step(element, UploadAs::LocalBlob),
        })
    }

    /// Returns the transformation that an expression names.
    fn node(&self, node: &Node, path: &str, field: &str) -> Result<&Node, Error> {
        let id = path.strip_suffix(field);
        let found = id.and_then(|id| self.nodes.get(id)).copied();
        found.ok_or_else(|| node.refused(format!("`{path}` names nothing that is known here")))
    }
}

/// Returns the name that a descriptor has in the environment, and what its resources become
/// unless they stay as they are.
fn named(node: &Node) -> Result<(&str, Option<&Vec<Value>>), Error> {
    const PREFIX: &str = "environment.";
    let unknown = || node.refused("`spec.descriptor` is not one of the environment");
    match node.field("descriptor")? {
        whole @ Value::String(_) => {
            let path = expression(node, whole)?;
            let name = path.strip_prefix(PREFIX).filter(|name| !name.contains('.'));
            Ok((name.ok_or_else(unknown)?, None))
        }
        parts => {
            let component = parts.get("component").ok_or_else(unknown)?;
            let path = expression(node, component.get("name").unwrap_or(&Value::Null))?;
            let name = path.strip_prefix(PREFIX);
            let name = name.and_then(|path| path.strip_suffix(".component.name"));
            let name = name.ok_or_else(unknown)?;
            check_parts(node, parts, name)?;
            let resources = component.get("resources").and_then(Value::as_array);
            Ok((name, Some(resources.ok_or_else(unknown)?)))
        }
    }
}

/// Checks that a descriptor is that of the environment in everything but its resources: what has
/// been changed by hand could not be brought without changing what is signed.
fn check_parts(node: &Node, parts: &Value, name: &str) -> Result<(), Error> {
    let check = |object: &Value, below: &str, skipped: &[&str]| {
        let fields = object.as_object().into_iter().flatten();
        for (field, value) in fields.filter(|(field, _)| !skipped.contains(&field.as_str())) {
            let expected = format!("${{environment.{name}{below}.{field}}}");
            if !value.is_null() && value.as_str() != Some(&expected) {
                return Err(node.refused(format!(
                    "`spec.descriptor{below}.{field}` is not `{expected}`"
                )));
            }
        }
        Ok(())
    };
    check(parts, "", &["component"])?;
    check(&parts["component"], ".component", &["resources"])
}

/// Returns what stands in `${…}`.
fn expression<'a>(node: &Node, value: &'a Value) -> Result<&'a str, Error> {
    let text = value.as_str();
    let text = text.ok_or_else(|| node.refused(format!("`{value}` is no expression")))?;
    inner(node, text)
}

fn inner<'a>(node: &Node, text: &'a str) -> Result<&'a str, Error> {
    let path = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    path.filter(|path| !path.contains(['{', '}', ' ']))
        .ok_or_else(|| node.refused(format!("`{text}` is no expression that is known here")))
}

fn check_identity(node: &Node, kind: Kind, element: &Element<'_>) -> Result<(), Error> {
    let (found, expected) = (node.resource_identity(kind)?, element.resource.identity());
    if found == expected {
        return Ok(());
    }
    let index = element.index;
    Err(node.refused(format!(
        "it reads `{found}`, but resource {index} is `{expected}`"
    )))
}

/// Returns the upload of an artifact. What is computed in the document is what is usual.
fn artifact_step(
    node: &Node,
    element: &Element<'_>,
    target: &RepositorySpec,
    field: &str,
) -> Result<Step, Error> {
    let reference = node.field(field)?;
    let reference = reference["access"]["imageReference"].as_str();
    let reference = reference
        .ok_or_else(|| node.refused(format!("it has no `spec.{field}.access.imageReference`")))?;
    let elsewhere = || node.refused(format!("`{reference}` is not in the target {target}"));
    let RepositorySpec::Oci(registry) = target else {
        return Err(elsewhere());
    };
    let mut base = registry.base_url.to_string();
    if !registry.sub_path.is_empty() {
        base = format!("{base}/{}", registry.sub_path);
    }
    let name = reference
        .strip_prefix(&base)
        .and_then(|name| name.strip_prefix('/'));
    let name = name.ok_or_else(elsewhere)?;
    if name.starts_with("${") {
        return Ok(usual_step(element, UploadAs::OciArtifact));
    }
    upload(name).ok_or_else(|| node.refused(format!("`{name}` names no OCI repository")))
}

fn usual_step(element: &Element<'_>, upload_as: UploadAs) -> Step {
    let options = TransferOptions {
        copy_resources: ResourceCopy::All,
        upload_as,
        ..TransferOptions::default()
    };
    let digest = element.resource.digest.as_ref();
    let name = element.resource.name.as_str();
    resource_step(name, Some(element.access), digest, true, &options).step
}
