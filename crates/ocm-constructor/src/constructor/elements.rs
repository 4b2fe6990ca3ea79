//! Reading the elements of a component and their identities.

use std::collections::BTreeMap;

use ocm_model::schema::Rule;
use ocm_model::{
    Access, ComponentName, DigestSpec, Element, ElementName, Identity, Label, Reference, Relation,
    Resource, Source, SourceRef, TypedSpec, Version,
};
use serde_json::Map;

use super::labels::labels;
use super::{Entry, InputSpec, OwnershipPolicy};
use crate::reader::{Fields, Node, Reported, optional};

const RESOURCE_FIELDS: [&str; 12] = [
    "name",
    "version",
    "type",
    "relation",
    "extraIdentity",
    "labels",
    "srcRefs",
    "srcRef",
    "access",
    "input",
    "digest",
    "options",
];

const SOURCE_FIELDS: [&str; 7] = [
    "name",
    "version",
    "type",
    "extraIdentity",
    "labels",
    "access",
    "input",
];

const REFERENCE_FIELDS: [&str; 6] = [
    "name",
    "componentName",
    "version",
    "extraIdentity",
    "labels",
    "digest",
];

/// Reads the resources. What has no version gets that of the component; without one nothing can be
/// returned, but everything is checked.
pub(super) fn resources(
    component: &Fields<'_>,
    version: Option<&Version>,
) -> Option<Vec<Entry<Resource>>> {
    list(component, "resources", |node| resource(node, version))
}

/// Reads the sources, as [`resources`].
pub(super) fn sources(
    component: &Fields<'_>,
    version: Option<&Version>,
) -> Option<Vec<Entry<Source>>> {
    list(component, "sources", |node| source(node, version))
}

/// Reads the references, also under the key that the first Go tool prefers.
pub(super) fn references(component: &Fields<'_>) -> Option<Vec<Entry<Reference>>> {
    const KEYS: [&str; 2] = ["componentReferences", "references"];
    let read = |key: &str| list(component, key, reference);
    match KEYS.map(|key| component.optional(key)) {
        [Some(_), Some(other)] => {
            other.problem("is the same as `componentReferences`, of which only one can be");
            None
        }
        [None, Some(_)] => read(KEYS[1]),
        _ => read(KEYS[0]),
    }
}

/// Reads when a component version was made, in RFC 3339. The text is kept as it is written, since
/// signatures cover it.
pub(super) fn creation_time(component: &Fields<'_>) -> Result<Option<String>, Reported> {
    optional(component, "creationTime", |node| {
        let text = node.text()?;
        if !Rule::Time.is_followed_by(text) {
            node.problem(format!(
                "`{text}` is not a time such as `2026-01-31T12:00:00Z`"
            ));
            return None;
        }
        Some(text.to_owned())
    })
}

fn list<E: Element>(
    component: &Fields<'_>,
    key: &str,
    read: impl Fn(&Node<'_>) -> Option<Entry<E>>,
) -> Option<Vec<Entry<E>>> {
    let Some(node) = component.optional(key) else {
        return Some(Vec::new());
    };
    let nodes = node.list()?;
    let entries: Vec<Option<Entry<E>>> = nodes.iter().map(read).collect();
    let mut seen = BTreeMap::new();
    for (node, entry) in nodes.iter().zip(&entries) {
        let Some(entry) = entry else { continue };
        let identity = super::identity_of(&entry.element);
        match seen.get(&identity) {
            Some(first) => node.problem(format!("has the identity `{identity}` of {first}")),
            None => {
                seen.insert(identity, node.path().to_owned());
            }
        }
    }
    entries.into_iter().collect()
}

fn resource(node: &Node<'_>, component: Option<&Version>) -> Option<Entry<Resource>> {
    let fields = node.object(&RESOURCE_FIELDS)?;
    let common = common(&fields);
    let content = content(node, &fields);
    let version = match content {
        // Content from elsewhere has a version of its own.
        Some((Some(_), None)) => fields.required("version").and_then(|node| node.parse()),
        _ => version(&fields, component),
    };
    let has_input = matches!(content, Some((None, Some(_))));
    let relation = relation(&fields, has_input);
    let src_refs = source_refs(&fields);
    let digest = digest(&fields);
    let options = options(&fields);
    let (name, r#type, extra_identity, labels) = common?;
    let (access, input) = content?;
    let (ownership, skips_digest) = options?;
    Some(Entry {
        element: Resource {
            name,
            version: version?,
            r#type,
            relation: Some(relation?),
            extra_identity,
            labels,
            src_refs: src_refs?,
            access,
            digest: digest.ok()?,
            extra: Map::new(),
        },
        input,
        ownership,
        skips_digest,
        place: node.place(),
    })
}

fn source(node: &Node<'_>, component: Option<&Version>) -> Option<Entry<Source>> {
    let fields = node.object(&SOURCE_FIELDS)?;
    let common = common(&fields);
    let content = content(node, &fields);
    let version = version(&fields, component);
    let (name, r#type, extra_identity, labels) = common?;
    let (access, input) = content?;
    Some(Entry {
        element: Source {
            name,
            version: version?,
            r#type,
            extra_identity,
            labels,
            access,
            extra: Map::new(),
        },
        input,
        ownership: OwnershipPolicy::Never,
        skips_digest: false,
        place: node.place(),
    })
}

fn reference(node: &Node<'_>) -> Option<Entry<Reference>> {
    let fields = node.object(&REFERENCE_FIELDS)?;
    let name = element_name(&fields);
    let component_name: Option<ComponentName> = fields
        .required("componentName")
        .and_then(|node| node.parse());
    let version: Option<Version> = fields.required("version").and_then(|node| node.parse());
    let extra_identity = identity(&fields, "extraIdentity");
    let labels = labels(&fields);
    let digest = digest(&fields);
    Some(Entry {
        element: Reference {
            name: name?,
            version: version?,
            component_name: component_name?,
            extra_identity: extra_identity?,
            labels: labels?,
            digest: digest.ok()?,
            extra: Map::new(),
        },
        input: None,
        ownership: OwnershipPolicy::Never,
        skips_digest: false,
        place: node.place(),
    })
}

/// Reads name, type, extra identity and labels.
fn common(fields: &Fields<'_>) -> Option<(String, String, Identity, Vec<Label>)> {
    let name = element_name(fields);
    let r#type = fields.required("type").and_then(|node| element_type(&node));
    let extra_identity = identity(fields, "extraIdentity");
    let labels = labels(fields);
    Some((name?, r#type?, extra_identity?, labels?))
}

fn element_name(fields: &Fields<'_>) -> Option<String> {
    let name: ElementName = fields.required("name")?.parse()?;
    Some(name.into())
}

fn element_type(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if !text.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        node.problem(format!("`{text}` is not a type such as `ociImage`"));
        return None;
    }
    Some(text.to_owned())
}

fn version(fields: &Fields<'_>, component: Option<&Version>) -> Option<Version> {
    match fields.optional("version") {
        Some(node) => node.parse(),
        None => component.cloned(),
    }
}

fn identity(fields: &Fields<'_>, key: &str) -> Option<Identity> {
    let Some(node) = fields.optional(key) else {
        return Some(Identity::new());
    };
    let attributes: Vec<Option<(String, String)>> = node
        .open_object()?
        .nodes()
        .map(|node| attribute(&node, key))
        .collect();
    attributes.into_iter().collect()
}

fn attribute(node: &Node<'_>, holder: &str) -> Option<(String, String)> {
    let key: Option<String> = match node.key().parse::<ElementName>() {
        Ok(_) if holder == "extraIdentity" && node.key() == Identity::NAME => {
            node.problem("must not be part of the extra identity");
            None
        }
        Ok(key) => Some(key.into()),
        Err(error) => {
            node.problem(error.to_string());
            None
        }
    };
    let value = node.text();
    Some((key?, value?.to_owned()))
}

/// Reads access or input; exactly one of the two is there.
fn content(node: &Node<'_>, fields: &Fields<'_>) -> Option<(Option<Access>, Option<InputSpec>)> {
    match (fields.optional("access"), fields.optional("input")) {
        (Some(access), None) => Some((Some(Access::new(typed(&access)?)), None)),
        (None, Some(input)) => {
            let spec = typed(&input)?;
            let positions = input.open_object()?;
            let positions = positions
                .nodes()
                .map(|field| (field.key().to_owned(), field.place().position));
            Some((
                None,
                Some(InputSpec::new(spec, input.place(), positions.collect())),
            ))
        }
        (Some(_), Some(_)) => {
            node.problem("has both `access` and `input`, of which only one can be");
            None
        }
        (None, None) => {
            node.problem("has neither `access` nor `input`");
            None
        }
    }
}

fn typed(node: &Node<'_>) -> Option<TypedSpec> {
    let fields = node.open_object()?;
    element_type(&fields.required("type")?)?;
    match TypedSpec::from_json(node.value.clone()) {
        Ok(spec) => Some(spec),
        Err(error) => {
            node.problem(error.to_string());
            None
        }
    }
}

fn relation(fields: &Fields<'_>, has_input: bool) -> Option<Relation> {
    let Some(node) = fields.optional("relation") else {
        return Some(if has_input {
            Relation::Local
        } else {
            Relation::External
        });
    };
    match node.text()? {
        "local" => Some(Relation::Local),
        "external" if has_input => {
            node.problem("must be `local` for a resource with `input`");
            None
        }
        "external" => Some(Relation::External),
        other => {
            node.problem(format!("must be `local` or `external`, not `{other}`"));
            None
        }
    }
}

fn source_refs(fields: &Fields<'_>) -> Option<Vec<SourceRef>> {
    let old = fields.optional("srcRef");
    if let Some(old) = &old {
        old.warning("is an old name for `srcRefs`");
    }
    let Some(node) = fields.optional("srcRefs").or(old) else {
        return Some(Vec::new());
    };
    let refs: Vec<Option<SourceRef>> = node.list()?.iter().map(source_ref).collect();
    refs.into_iter().collect()
}

fn source_ref(node: &Node<'_>) -> Option<SourceRef> {
    let fields = node.object(&["identitySelector", "labels"])?;
    let identity_selector = identity(&fields, "identitySelector");
    let labels = labels(&fields);
    Some(SourceRef {
        identity_selector: identity_selector?,
        labels: labels?,
    })
}

fn digest(fields: &Fields<'_>) -> Result<Option<DigestSpec>, Reported> {
    optional(fields, "digest", |node| {
        let fields = node.object(&["hashAlgorithm", "normalisationAlgorithm", "value"])?;
        let text = |key: &str| {
            let node = fields.required(key)?;
            Some(node.filled_text()?.to_owned())
        };
        let hash_algorithm = text("hashAlgorithm");
        let normalisation_algorithm = text("normalisationAlgorithm");
        let value = text("value");
        Some(DigestSpec {
            hash_algorithm: hash_algorithm?,
            normalisation_algorithm: normalisation_algorithm?,
            value: value?,
        })
    })
}

/// Reads who is told about the owner, and whether there is to be no digest.
fn options(fields: &Fields<'_>) -> Option<(OwnershipPolicy, bool)> {
    let Some(node) = fields.optional("options") else {
        return Some((OwnershipPolicy::Never, false));
    };
    let options = node.object(&["ownershipPolicy", "skipDigestGeneration"])?;
    let ownership = match options.optional("ownershipPolicy") {
        None => Some(OwnershipPolicy::Never),
        Some(policy) => match policy.text()? {
            "Never" => Some(OwnershipPolicy::Never),
            "Always" => Some(OwnershipPolicy::Always),
            other => {
                policy.problem(format!("must be `Always` or `Never`, not `{other}`"));
                None
            }
        },
    };
    let skips_digest = optional(&options, "skipDigestGeneration", Node::flag);
    Some((ownership?, skips_digest.ok()?.unwrap_or_default()))
}
