//! What of a descriptor is covered: the projection before it is written.
//!
//! The Go implementations read a descriptor into structs, which drops what they do not know, and
//! then apply a table of exclusions. Both are done here in one go, on the document as it is
//! written, because the structs tell apart `null`, absent and empty.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::object;
use crate::descriptor::{Descriptor, Schema};
use crate::element::ElementKind;
use crate::label::{Label, Provider};

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
pub(super) fn neutral_form(descriptor: &Descriptor, rules: Rules) -> Value {
    let projection = Projection { descriptor, rules };
    let mut component = projection.meta(Filter::Signed);
    component.insert(
        "resources".to_owned(),
        projection.list(ElementKind::Resource, Filter::Signed),
    );
    component.insert(
        "sources".to_owned(),
        projection.list(ElementKind::Source, Filter::Signed),
    );
    // The table of exclusions has `references` where the document has `componentReferences`, so
    // all labels of references are covered. Signatures depend on it.
    component.insert(
        "componentReferences".to_owned(),
        projection.list(ElementKind::Reference, Filter::All),
    );
    let mut form = object([("component", Value::Object(component))]);
    if rules.is_second() {
        drop_nulls(&mut form);
    }
    form
}

/// The form of v1, which follows the layout of the descriptor.
pub(super) fn stored_form(descriptor: &Descriptor, rules: Rules) -> Value {
    let projection = Projection { descriptor, rules };
    match descriptor.schema() {
        Schema::V2 => projection.stored_v2(),
        Schema::V3Alpha1 => projection.stored_v3alpha1(),
    }
}

struct Projection<'a> {
    descriptor: &'a Descriptor,
    rules: Rules,
}

impl Projection<'_> {
    /// Sources are left out, an empty extra identity is `null`, and a provider without labels is
    /// plain text.
    fn stored_v2(&self) -> Value {
        let mut component = self.meta(Filter::Signed);
        let provider = self.descriptor.provider();
        if provider.labels.is_empty() {
            component.insert("provider".to_owned(), provider.name.into());
        }
        for (key, kind) in [
            ("resources", ElementKind::Resource),
            ("componentReferences", ElementKind::Reference),
        ] {
            let mut list = self.list(kind, Filter::Signed);
            for element in list.as_array_mut().into_iter().flatten() {
                if let Value::Object(element) = element {
                    element.entry("extraIdentity").or_insert(Value::Null);
                }
            }
            component.insert(key.to_owned(), list);
        }
        object([
            ("meta", json!({"schemaVersion": "v2"})),
            ("component", Value::Object(component)),
        ])
    }

    /// Empty lists are left out. The table of exclusions looks for the provider in another place,
    /// so all of its labels are covered.
    fn stored_v3alpha1(&self) -> Value {
        let mut spec = Map::new();
        for (key, kind) in [
            ("resources", ElementKind::Resource),
            ("sources", ElementKind::Source),
            ("references", ElementKind::Reference),
        ] {
            if !self.descriptor.list(kind).is_empty() {
                spec.insert(key.to_owned(), self.list(kind, Filter::Signed));
            }
        }
        object([
            ("apiVersion", "ocm.software/v3alpha1".into()),
            ("kind", "ComponentVersion".into()),
            ("metadata", Value::Object(self.meta(Filter::All))),
            ("spec", Value::Object(spec)),
        ])
    }

    /// Name, version, provider, labels and creation time.
    fn meta(&self, provider_labels: Filter) -> Map<String, Value> {
        let id = self.descriptor.id();
        let mut meta = Map::new();
        meta.insert("name".to_owned(), id.name.as_str().into());
        meta.insert("version".to_owned(), id.version.as_str().into());
        let Provider { name, labels } = self.descriptor.provider();
        let mut provider = Map::new();
        provider.insert("name".to_owned(), name.into());
        self.insert_labels(&mut provider, &labels, provider_labels);
        meta.insert("provider".to_owned(), Value::Object(provider));
        self.insert_labels(&mut meta, &self.descriptor.labels(), Filter::Signed);
        if let Some(time) = self.descriptor.creation_time() {
            meta.insert("creationTime".to_owned(), self.time(time).into());
        }
        meta
    }

    fn list(&self, kind: ElementKind, labels: Filter) -> Value {
        let elements = self.descriptor.list(kind);
        let mut identities: Vec<Map<String, Value>> = elements.iter().map(extra_identity).collect();
        if self.rules.default_versions && kind == ElementKind::Resource {
            default_versions(elements, &mut identities);
        }
        elements
            .iter()
            .zip(identities)
            .map(|(element, identity)| self.element(kind, element, identity, labels))
            .collect()
    }

    fn element(
        &self,
        kind: ElementKind,
        element: &Value,
        identity: Map<String, Value>,
        filter: Filter,
    ) -> Value {
        let mut out = Map::new();
        let mut copy = |key: &str| out.insert(key.to_owned(), text(element, key).into());
        copy("name");
        copy("version");
        match kind {
            ElementKind::Resource | ElementKind::Source => copy("type"),
            ElementKind::Reference => copy("componentName"),
        };
        if kind == ElementKind::Resource
            && (self.rules.is_second() || !text(element, "relation").is_empty())
        {
            copy("relation");
        }
        if !identity.is_empty() {
            out.insert("extraIdentity".to_owned(), Value::Object(identity));
        }
        let labels: Vec<Label> = crate::descriptor::read_labels(element.get("labels"));
        self.insert_labels(&mut out, &labels, filter);
        if let Some(digest) = self.digest(kind, element) {
            out.insert("digest".to_owned(), digest);
        }
        Value::Object(out)
    }

    fn digest(&self, kind: ElementKind, element: &Value) -> Option<Value> {
        let access_type = element.get("access").and_then(|access| access.get("type"));
        let without_content = matches!(access_type.and_then(Value::as_str), Some("none" | "None"));
        match (kind, element.get("digest")) {
            (ElementKind::Source, _) => None,
            (ElementKind::Resource, _) if without_content => None,
            (_, Some(digest @ Value::Object(_))) => Some(digest_fields(digest)),
            (ElementKind::Reference, _) if self.rules.is_second() => {
                Some(digest_fields(&Value::Null))
            }
            _ => None,
        }
    }

    fn insert_labels(&self, holder: &mut Map<String, Value>, labels: &[Label], filter: Filter) {
        let covered: Vec<Value> = labels
            .iter()
            .filter(|label| filter == Filter::All || label.signing)
            .map(|label| self.label(label, filter))
            .collect();
        if !covered.is_empty() {
            holder.insert("labels".to_owned(), covered.into());
        }
    }

    fn label(&self, label: &Label, filter: Filter) -> Value {
        let mut out = Map::new();
        out.insert("name".to_owned(), label.name.as_str().into());
        out.insert("value".to_owned(), label.value.clone());
        if label.signing {
            out.insert("signing".to_owned(), true.into());
        }
        let version = label.version.as_deref().unwrap_or_default();
        if self.rules.labels != Labels::Plain && !version.is_empty() {
            out.insert("version".to_owned(), version.into());
        }
        if self.rules.labels == Labels::Whole
            && filter == Filter::All
            && let Some(merge) = &label.merge
        {
            let mut fields = Map::new();
            fields.insert("algorithm".to_owned(), merge.algorithm.as_str().into());
            if let Some(config) = &merge.config {
                fields.insert("config".to_owned(), config.clone());
            }
            out.insert("merge".to_owned(), Value::Object(fields));
        }
        Value::Object(out)
    }

    /// Text that is no time stays as it is: nobody can have signed it under these rules.
    fn time(&self, text: &str) -> String {
        let rounding = jiff::TimestampRound::new()
            .smallest(jiff::Unit::Second)
            .mode(jiff::RoundMode::HalfCeil);
        let rounded = text
            .parse::<jiff::Timestamp>()
            .and_then(|time| time.round(rounding));
        match rounded {
            Ok(time) if !self.rules.is_second() => time.to_string(),
            _ => text.to_owned(),
        }
    }
}

/// For each resource that shares name and extra identity with another, in order: its version joins
/// its extra identity. So the last one keeps what it had.
fn default_versions(elements: &[Value], identities: &mut [Map<String, Value>]) {
    let key = |element: &Value, identity: &Map<String, Value>| {
        let identity: BTreeMap<String, String> = identity
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        (text(element, "name").to_owned(), identity)
    };
    let mut holders = BTreeMap::new();
    for (element, identity) in elements.iter().zip(identities.iter()) {
        *holders.entry(key(element, identity)).or_insert(0_usize) += 1;
    }
    for (element, identity) in elements.iter().zip(identities) {
        let shared = holders.entry(key(element, identity)).or_default();
        if *shared > 1 {
            *shared -= 1;
            identity.insert("version".to_owned(), text(element, "version").into());
            *holders.entry(key(element, identity)).or_default() += 1;
        }
    }
}

fn extra_identity(element: &Value) -> Map<String, Value> {
    let identity = element.get("extraIdentity").and_then(Value::as_object);
    identity.cloned().unwrap_or_default()
}

fn digest_fields(digest: &Value) -> Value {
    object(
        ["hashAlgorithm", "normalisationAlgorithm", "value"]
            .map(|key| (key, text(digest, key).into())),
    )
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Removes entries with `null` at every depth. In lists `null` stays.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Object(map) => {
            map.retain(|_, item| !item.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}
