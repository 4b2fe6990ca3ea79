//! What of a descriptor is covered: the projection before it is written.
//!
//! The Go implementations read a descriptor into structs, which drops what they do not know, and
//! then apply a table of exclusions. Both are done here in one go, on the document as it is
//! written, because the structs tell apart `null`, absent and empty.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::writer::{Form, Object, Writer};
use crate::descriptor::{Descriptor, Schema};
use crate::element::ElementKind;
use crate::label::Provider;

/// Where the algorithms differ.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) generation: Generation,
    pub(super) labels: Labels,
    /// Whether the version joins the extra identity of all but the last of several resources with
    /// the same name and extra identity.
    pub(super) default_versions: bool,
}

/// Whose structs the descriptor passes through.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Generation {
    /// Those of the first Go implementation: what is absent stays absent, `null` stays, times are
    /// rounded to seconds and brought to UTC.
    First,
    /// Those of the second: an absent digest of a reference and an absent relation become empty
    /// texts, entries with `null` go, times stay as they are.
    Second,
}

/// Which fields of a label there still are when the descriptor is normalised.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Labels {
    /// Neither version nor merge.
    Plain,
    /// With the version.
    Versioned,
    /// With all fields.
    Whole,
}

impl Rules {
    pub(super) const V3: Self = Self {
        generation: Generation::First,
        labels: Labels::Whole,
        default_versions: false,
    };

    pub(super) const V4: Self = Self {
        generation: Generation::Second,
        labels: Labels::Plain,
        default_versions: false,
    };

    fn is_second(self) -> bool {
        self.generation == Generation::Second
    }
}

/// Whether a list of labels is reduced to those that are signed.
#[derive(Clone, Copy, PartialEq)]
enum Filter {
    Signed,
    All,
}

/// The form of v2, v3 and v4alpha1, whatever the layout of the descriptor.
pub(super) fn neutral_form(descriptor: &Descriptor, rules: Rules) -> Vec<u8> {
    let projection = Projection::new(descriptor, rules);
    let mut writer = Writer::new(Form::Canonical, rules.is_second());
    writer.object(|root| {
        root.entry("component", |writer| {
            writer.object(|component| {
                // The table of exclusions has `references` where the document has
                // `componentReferences`, so all labels of references are covered. Signatures
                // depend on it.
                component.entry("componentReferences", |writer| {
                    projection.list(writer, ElementKind::Reference, Filter::All);
                });
                projection.meta(component);
                component.entry("provider", |writer| {
                    projection.provider(writer, Filter::Signed);
                });
                component.entry("resources", |writer| {
                    projection.list(writer, ElementKind::Resource, Filter::Signed);
                });
                component.entry("sources", |writer| {
                    projection.list(writer, ElementKind::Source, Filter::Signed);
                });
                projection.version(component);
            });
        });
    });
    writer.finish()
}

/// The form of v1, which follows the layout of the descriptor.
pub(super) fn stored_form(descriptor: &Descriptor, rules: Rules) -> Vec<u8> {
    let projection = Projection {
        forces_identity: descriptor.schema() == Schema::V2,
        ..Projection::new(descriptor, rules)
    };
    let mut writer = Writer::new(Form::Entries, rules.is_second());
    writer.object(|root| match descriptor.schema() {
        Schema::V2 => projection.stored_v2(root),
        Schema::V3Alpha1 => projection.stored_v3alpha1(root),
    });
    writer.finish()
}

struct Projection<'a> {
    descriptor: &'a Descriptor,
    rules: Rules,
    provider: Provider,
    /// Whether resources and references without extra identity have `null` there.
    forces_identity: bool,
}

impl<'a> Projection<'a> {
    fn new(descriptor: &'a Descriptor, rules: Rules) -> Self {
        Self {
            descriptor,
            rules,
            provider: descriptor.provider(),
            forces_identity: false,
        }
    }

    /// Sources are left out, an empty extra identity is `null`, and a provider without labels is
    /// plain text.
    fn stored_v2(&self, root: &mut Object<'_>) {
        root.entry("component", |writer| {
            writer.object(|component| {
                component.entry("componentReferences", |writer| {
                    self.list(writer, ElementKind::Reference, Filter::Signed);
                });
                self.meta(component);
                component.entry("provider", |writer| {
                    if self.provider.labels.is_empty() {
                        writer.text(&self.provider.name);
                    } else {
                        self.provider(writer, Filter::Signed);
                    }
                });
                component.entry("resources", |writer| {
                    self.list(writer, ElementKind::Resource, Filter::Signed);
                });
                self.version(component);
            });
        });
        root.entry("meta", |writer| {
            writer.object(|meta| meta.text("schemaVersion", "v2"));
        });
    }

    /// Empty lists are left out. The table of exclusions looks for the provider in another place,
    /// so all of its labels are covered.
    fn stored_v3alpha1(&self, root: &mut Object<'_>) {
        root.text("apiVersion", "ocm.software/v3alpha1");
        root.text("kind", "ComponentVersion");
        root.entry("metadata", |writer| {
            writer.object(|metadata| {
                self.meta(metadata);
                metadata.entry("provider", |writer| self.provider(writer, Filter::All));
                self.version(metadata);
            });
        });
        root.entry("spec", |writer| {
            writer.object(|spec| {
                for (key, kind) in [
                    ("references", ElementKind::Reference),
                    ("resources", ElementKind::Resource),
                    ("sources", ElementKind::Source),
                ] {
                    if !self.descriptor.list(kind).is_empty() {
                        spec.entry(key, |writer| self.list(writer, kind, Filter::Signed));
                    }
                }
            });
        });
    }

    /// Creation time, labels and name, which stand together in the order of keys.
    fn meta(&self, holder: &mut Object<'_>) {
        if let Some(time) = self.descriptor.creation_time() {
            holder.text("creationTime", &self.time(time));
        }
        self.labels(holder, self.descriptor.raw_labels(), Filter::Signed);
        holder.text("name", self.descriptor.name().as_str());
    }

    fn version(&self, holder: &mut Object<'_>) {
        holder.text("version", self.descriptor.version().as_str());
    }

    fn provider(&self, writer: &mut Writer, labels: Filter) {
        let raw: Vec<Value> = self
            .provider
            .labels
            .iter()
            .map(|label| serde_json::to_value(label).expect("text and JSON values can be written"))
            .collect();
        writer.object(|provider| {
            self.labels(provider, &raw, labels);
            provider.text("name", &self.provider.name);
        });
    }

    fn list(&self, writer: &mut Writer, kind: ElementKind, labels: Filter) {
        let elements = self.descriptor.list(kind);
        let mut defaulted = if self.rules.default_versions && kind == ElementKind::Resource {
            default_versions(elements)
        } else {
            Vec::new()
        }
        .into_iter();
        writer.list(elements, |writer, element| {
            let identity = defaulted.next().unwrap_or_else(|| extra_identity(element));
            writer.object(|object| self.element(object, kind, element, &identity, labels));
        });
    }

    fn element(
        &self,
        object: &mut Object<'_>,
        kind: ElementKind,
        element: &Value,
        identity: &Identity<'_>,
        labels: Filter,
    ) {
        if kind == ElementKind::Reference {
            object.text("componentName", text(element, "componentName"));
        }
        if let Some(digest) = self.digest(kind, element) {
            object.entry("digest", |writer| digest_fields(writer, digest));
        }
        if !identity.is_empty() {
            object.entry("extraIdentity", |writer| extra_fields(writer, identity));
        } else if self.forces_identity {
            object.entry("extraIdentity", Writer::null);
        }
        self.labels(object, raw_list(field(element, "labels")), labels);
        object.text("name", text(element, "name"));
        let relation = text(element, "relation");
        if kind == ElementKind::Resource && (self.rules.is_second() || !relation.is_empty()) {
            object.text("relation", relation);
        }
        if kind != ElementKind::Reference {
            object.text("type", text(element, "type"));
        }
        object.text("version", text(element, "version"));
    }

    /// Returns the digest of an element, `null` being one of three empty texts.
    fn digest(&self, kind: ElementKind, element: &'a Value) -> Option<&'a Value> {
        let access_type = field(element, "access").and_then(|access| field(access, "type"));
        let without_content = matches!(access_type.and_then(Value::as_str), Some("none" | "None"));
        match (kind, field(element, "digest")) {
            (ElementKind::Source, _) => None,
            (ElementKind::Resource, _) if without_content => None,
            (_, Some(digest @ Value::Object(_))) => Some(digest),
            (ElementKind::Reference, _) if self.rules.is_second() => Some(&Value::Null),
            _ => None,
        }
    }

    fn labels(&self, holder: &mut Object<'_>, labels: &[Value], filter: Filter) {
        let covered = |label: &&Value| filter == Filter::All || is_signing(label);
        if labels.iter().any(|label| covered(&label)) {
            let labels = labels.iter().filter(covered);
            holder.entry("labels", |writer| {
                writer.list(labels, |writer, label| {
                    writer.object(|object| self.label(object, label, filter));
                });
            });
        }
    }

    fn label(&self, object: &mut Object<'_>, label: &Value, filter: Filter) {
        if self.rules.labels == Labels::Whole
            && filter == Filter::All
            && let Some(merge @ Value::Object(_)) = field(label, "merge")
        {
            object.entry("merge", |writer| {
                writer.object(|object| {
                    object.text("algorithm", text(merge, "algorithm"));
                    if let Some(config) = field(merge, "config").filter(|it| !it.is_null()) {
                        object.entry("config", |writer| writer.value(config));
                    }
                });
            });
        }
        object.text("name", text(label, "name"));
        if is_signing(label) {
            object.entry("signing", |writer| writer.flag(true));
        }
        let value = field(label, "value").unwrap_or(&Value::Null);
        if !(self.rules.is_second() && value.is_null()) {
            object.entry("value", |writer| writer.value(value));
        }
        let version = text(label, "version");
        if self.rules.labels != Labels::Plain && !version.is_empty() {
            object.text("version", version);
        }
    }

    /// Text that is no time stays as it is: nobody can have signed it under these rules.
    fn time<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let rounding = jiff::TimestampRound::new()
            .smallest(jiff::Unit::Second)
            .mode(jiff::RoundMode::HalfCeil);
        let rounded = text
            .parse::<jiff::Timestamp>()
            .and_then(|time| time.round(rounding));
        match rounded {
            Ok(time) if !self.rules.is_second() => time.to_string().into(),
            _ => text.into(),
        }
    }
}

/// The attributes of an extra identity.
type Identity<'a> = BTreeMap<&'a str, &'a str>;

/// For each resource that shares name and extra identity with another, in order: its version joins
/// its extra identity. So the last one keeps what it had.
fn default_versions(elements: &[Value]) -> Vec<Identity<'_>> {
    let mut identities: Vec<Identity<'_>> = elements.iter().map(extra_identity).collect();
    let mut holders = BTreeMap::new();
    for (element, identity) in elements.iter().zip(&identities) {
        let holder = (text(element, "name"), identity.clone());
        *holders.entry(holder).or_insert(0_usize) += 1;
    }
    for (element, identity) in elements.iter().zip(&mut identities) {
        let name = text(element, "name");
        let shared = holders.entry((name, identity.clone())).or_default();
        if *shared > 1 {
            *shared -= 1;
            identity.insert("version", text(element, "version"));
            *holders.entry((name, identity.clone())).or_default() += 1;
        }
    }
    identities
}

fn extra_identity(element: &Value) -> Identity<'_> {
    let identity = field(element, "extraIdentity").and_then(Value::as_object);
    let attributes = identity.into_iter().flat_map(Map::iter);
    attributes
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
        .collect()
}

fn extra_fields(writer: &mut Writer, identity: &Identity<'_>) {
    let mut attributes: Vec<(&str, &str)> = identity.iter().map(|(k, v)| (*k, *v)).collect();
    writer.sort(&mut attributes);
    writer.object(|object| {
        for (key, value) in attributes {
            object.foreign(key, |writer| writer.text(value));
        }
    });
}

fn digest_fields(writer: &mut Writer, digest: &Value) {
    writer.object(|object| {
        for key in ["hashAlgorithm", "normalisationAlgorithm", "value"] {
            object.text(key, text(digest, key));
        }
    });
}

/// Old data has the flag as text.
fn is_signing(label: &Value) -> bool {
    match field(label, "signing") {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    field(value, key)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Returns a field of an object. Most objects are so small that comparing keys is quicker than
/// hashing one.
fn field<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    const FEW: usize = 16;
    let map = value.as_object()?;
    if map.len() > FEW {
        return map.get(key);
    }
    let mut entries = map.iter();
    entries
        .find(|(known, _)| *known == key)
        .map(|(_, value)| value)
}

fn raw_list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
