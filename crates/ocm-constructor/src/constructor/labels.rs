//! Reading labels, and the provider, which has some.

use std::collections::BTreeMap;

use ocm_model::{Label, Merge, Provider};
use serde_json::Map;

use crate::reader::{Fields, Node, optional};

/// Reads the provider: an object, or the name alone.
pub(super) fn provider(node: &Node<'_>) -> Option<Provider> {
    if node.value.is_string() {
        return Some(Provider::new(node.filled_text()?));
    }
    if !node.value.is_object() {
        node.unexpected("an object or a text");
        return None;
    }
    let fields = node.open_object()?;
    for other in fields.nodes() {
        if !["name", "labels"].contains(&other.key()) {
            other.warning("is ignored; a provider has a `name` and `labels`");
        }
    }
    let name = fields
        .required("name")
        .and_then(|node| Some(node.filled_text()?.to_owned()));
    let labels = labels(&fields);
    Some(Provider {
        name: name?,
        labels: labels?,
    })
}

/// Reads the labels of anything.
pub(super) fn labels(holder: &Fields<'_>) -> Option<Vec<Label>> {
    let Some(node) = holder.optional("labels") else {
        return Some(Vec::new());
    };
    let nodes = node.list()?;
    let mut seen = BTreeMap::new();
    let read: Vec<Option<Label>> = nodes.iter().map(label).collect();
    for (node, label) in nodes.iter().zip(&read) {
        let Some(label) = label else { continue };
        if let Some(first) = seen.insert(label.name.clone(), node.path().to_owned()) {
            node.problem(format!("has the name `{}` of {first}", label.name));
        }
    }
    read.into_iter().collect()
}

fn label(node: &Node<'_>) -> Option<Label> {
    let fields = node.object(&["name", "value", "version", "signing", "merge"])?;
    let name = fields
        .required("name")
        .and_then(|node| Some(node.filled_text()?.to_owned()));
    if !fields.has("value") {
        node.problem("`value` is missing");
    }
    let version = optional(&fields, "version", label_version);
    let signing = optional(&fields, "signing", Node::flag);
    let merge = optional(&fields, "merge", merge);
    Some(Label {
        name: name?,
        value: fields.map().get("value")?.clone(),
        version: version.ok()?,
        signing: signing.ok()?.unwrap_or_default(),
        merge: merge.ok()?,
        extra: Map::new(),
    })
}

fn label_version(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let number = text.strip_prefix('v').unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        node.problem(format!(
            "`{text}` is not the version of a label such as `v1`"
        ));
        return None;
    }
    Some(text.to_owned())
}

fn merge(node: &Node<'_>) -> Option<Merge> {
    let fields = node.object(&["algorithm", "config"])?;
    let algorithm = match fields.optional("algorithm") {
        Some(node) => node.filled_text()?.to_owned(),
        None => String::new(),
    };
    Some(Merge {
        algorithm,
        config: fields.optional("config").map(|node| node.value.clone()),
    })
}
