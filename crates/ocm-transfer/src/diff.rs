//! What differs between two component versions, as far as their descriptors say.
//!
//! Elements are the same if name and extra identity are; where several share those, their versions
//! tell them apart. The work is that of sorting the elements, however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use ocm_model::element::Element;
use ocm_model::{Access, Descriptor, DigestSpec, Identity};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::merge::{is_empty, pruned};

/// A part of a component version that one of the two has and the other has not, or has otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What it is.
    pub part: Part,
    /// What names it: its identity without its version, or its name.
    pub name: String,
    /// What became of it.
    pub change: ChangeKind,
    /// What differs in it; of a part that only one has, all that it says.
    pub fields: Vec<FieldChange>,
    /// Its position in the list of the old and of the new component version.
    #[serde(skip)]
    pub positions: (Option<usize>, Option<usize>),
}

/// What a part is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// The provider.
    Provider,
    /// A label of the component version.
    Label,
    /// A reference to another component version.
    Reference,
    /// A resource.
    Resource,
    /// A source.
    Source,
    /// A signature.
    Signature,
}

/// What became of something.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    /// Only the new one has it.
    Added,
    /// Only the old one has it.
    Removed,
    /// Both have it, and it differs.
    Changed,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// The name of the field; that of a label comes after `labels/`.
    pub field: String,
    /// What the old one says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What the new one says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// Whether it counts where content lies.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Accesses {
    /// Only where digests do not say that the content is the same, nor that it is another local blob.
    #[default]
    OfOtherContent,
    /// Always.
    All,
}

/// Compares two component versions. `null`, empty and absent are one.
pub fn diff(old: &Descriptor, new: &Descriptor, accesses: Accesses) -> Vec<Change> {
    let mut changes = Changes {
        accesses,
        found: Vec::new(),
    };
    let (left, right) = (old.provider(), new.provider());
    let providers = (Some(&left), Some(&right));
    changes.compare(Part::Provider, &right.name, providers, (None, None));
    changes.named(Part::Label, &old.labels(), &new.labels(), |it| &it.name);
    changes.elements(Part::Reference, &old.references(), &new.references());
    changes.elements(Part::Resource, &old.resources(), &new.resources());
    changes.elements(Part::Source, &old.sources(), &new.sources());
    let (left, right) = (old.signatures(), new.signatures());
    changes.named(Part::Signature, &left, &right, |it| &it.name);
    changes.found
}

/// What has been found to differ.
struct Changes {
    accesses: Accesses,
    found: Vec<Change>,
}

impl Changes {
    /// Compares elements of one kind.
    fn elements<E>(&mut self, part: Part, old: &[E], new: &[E])
    where
        E: Element + PartialEq + Serialize,
    {
        let bases = |list: &[E]| list.iter().map(E::base_identity).collect();
        let mut names: [Vec<Identity>; 2] = [bases(old), bases(new)];
        let ambiguous: BTreeSet<Identity> = names.iter().flat_map(|it| repeated(it)).collect();
        if !ambiguous.is_empty() {
            for (list, names) in [old, new].into_iter().zip(&mut names) {
                for (element, name) in list.iter().zip(names) {
                    if ambiguous.contains(name) {
                        *name = element.identity();
                    }
                }
            }
        }
        let [left, right] = &names;
        self.lists(part, (left, old), (right, new));
    }

    /// Compares parts that have names.
    fn named<T>(&mut self, part: Part, old: &[T], new: &[T], name: for<'a> fn(&'a T) -> &'a str)
    where
        T: PartialEq + Serialize,
    {
        let names = |list| <[T]>::iter(list).map(name).collect::<Vec<_>>();
        self.lists(part, (&names(old), old), (&names(new), new));
    }

    /// Compares two lists, each with the names of what is in it: first what the old one has, in its
    /// order, then what only the new one has.
    fn lists<N, T>(&mut self, part: Part, old: (&[N], &[T]), new: (&[N], &[T]))
    where
        N: Ord + Display,
        T: PartialEq + Serialize,
    {
        for (position, counterpart) in pairs(old.0, new.0) {
            let parts = (
                position.map(|at| &old.1[at]),
                counterpart.map(|at| &new.1[at]),
            );
            let name = position.map(|at| &old.0[at]);
            if let Some(name) = name.or_else(|| Some(&new.0[counterpart?])) {
                self.compare(part, name, parts, (position, counterpart));
            }
        }
    }

    /// Compares a part as the old and as the new one have it. What says the same as a whole is not
    /// looked at field by field, which is what most parts are.
    fn compare<T: PartialEq + Serialize>(
        &mut self,
        part: Part,
        name: impl Display,
        (old, new): (Option<&T>, Option<&T>),
        positions: (Option<usize>, Option<usize>),
    ) {
        if old == new {
            return;
        }
        let (change, accesses) = match (old, new) {
            (Some(_), Some(_)) => (ChangeKind::Changed, self.accesses),
            (Some(_), None) => (ChangeKind::Removed, Accesses::All),
            (None, _) => (ChangeKind::Added, Accesses::All),
        };
        let object = |it: Option<&T>| it.map(object).unwrap_or_default();
        let fields = fields(&object(old), &object(new), accesses);
        if !fields.is_empty() {
            self.found.push(Change {
                part,
                name: name.to_string(),
                change,
                fields,
                positions,
            });
        }
    }
}

/// Returns the names that stand several times.
fn repeated(names: &[Identity]) -> Vec<Identity> {
    let order = sorted(names);
    let repeated = order.windows(2).map(|it| (&names[it[0]], &names[it[1]]));
    let repeated = repeated.filter(|(one, next)| one == next);
    repeated.map(|(one, _)| one.clone()).collect()
}

/// Returns the positions of names in the order of the names; those of the same name stay in theirs.
fn sorted<N: Ord>(names: &[N]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|one, other| names[*one].cmp(&names[*other]));
    order
}

/// Pairs what has the same name, the first with the first: what the old list has, in its order, then
/// what only the new one has.
fn pairs<N: Ord>(old: &[N], new: &[N]) -> Vec<(Option<usize>, Option<usize>)> {
    let mut counterparts: Vec<Option<usize>> = vec![None; old.len()];
    let mut added = Vec::new();
    let mut open = sorted(new).into_iter().peekable();
    for position in sorted(old) {
        let name = &old[position];
        while let Some(before) = open.next_if(|at| new[*at] < *name) {
            added.push(before);
        }
        counterparts[position] = open.next_if(|at| new[*at] == *name);
    }
    added.extend(open);
    added.sort_unstable();
    let common = counterparts.into_iter().enumerate();
    let common = common.map(|(position, counterpart)| (Some(position), counterpart));
    let added = added.into_iter().map(|position| (None, Some(position)));
    common.chain(added).collect()
}

/// Returns the fields that differ, in the order of the old object, then those that only the new one
/// has.
fn fields(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    accesses: Accesses,
) -> Vec<FieldChange> {
    let digests = (stated(old.get("digest")), stated(new.get("digest")));
    let only_new = new.keys().filter(|key| !old.contains_key(*key));
    let mut fields = Vec::new();
    for key in old.keys().chain(only_new) {
        let (from, to) = (said(old.get(key)), said(new.get(key)));
        let says_nothing = || match &digests {
            (Some(old), Some(new)) => old == new || is_only_local(from.as_ref(), to.as_ref()),
            _ => false,
        };
        if from == to || key == "access" && accesses != Accesses::All && says_nothing() {
            continue;
        }
        if key == "labels" {
            fields.extend(labels(from.as_ref(), to.as_ref()));
        } else {
            let field = key.clone();
            fields.push(FieldChange { field, from, to });
        }
    }
    fields
}

/// Returns the labels of an element that differ.
fn labels(old: Option<&Value>, new: Option<&Value>) -> Vec<FieldChange> {
    let by_name = |list: Option<&Value>| -> BTreeMap<String, Value> {
        let list = list.and_then(Value::as_array).into_iter().flatten();
        let name = |label: &Value| label["name"].as_str().unwrap_or_default().to_owned();
        list.map(|label| (name(label), label.clone())).collect()
    };
    let (old, mut new) = (by_name(old), by_name(new));
    let mut fields = Vec::new();
    for (name, from) in old {
        let to = new.remove(&name);
        if to.as_ref() != Some(&from) {
            fields.push((name, Some(from), to));
        }
    }
    fields.extend(new.into_iter().map(|(name, to)| (name, None, Some(to))));
    let fields = fields.into_iter().map(|(name, from, to)| FieldChange {
        field: format!("labels/{name}"),
        from,
        to,
    });
    fields.collect()
}

/// Tells whether two accesses are the same, but for which local blob it is: that the digests say.
fn is_only_local(old: Option<&Value>, new: Option<&Value>) -> bool {
    let kept = |value: Option<&Value>| -> Option<Value> {
        let access = Access::from_json(value?.clone()).ok()?;
        access.as_local_blob()?.digest()?;
        let mut value = value?.clone();
        value.as_object_mut()?.remove("localReference");
        Some(value)
    };
    kept(old).is_some_and(|old| kept(new) == Some(old))
}

/// Returns a digest, if it says what the content is.
fn stated(value: Option<&Value>) -> Option<DigestSpec> {
    let spec: DigestSpec = serde_json::from_value(value?.clone()).ok()?;
    (spec.is_complete() && !spec.is_excluded()).then_some(spec)
}

fn said(value: Option<&Value>) -> Option<Value> {
    Some(pruned(value?)).filter(|value| !is_empty(value))
}

fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        // What is read from JSON is written as JSON.
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{component, descriptor, signed};

    fn resource(name: &str, version: &str, digest: &str) -> Value {
        json!({
            "name": name, "version": version, "type": "blob", "relation": "local",
            "access": {"type": "ociArtifact", "imageReference": format!("r/{name}:{version}")},
            "digest": {"hashAlgorithm": "SHA-256", "normalisationAlgorithm": "genericBlobDigest/v1",
                "value": digest},
        })
    }

    fn with(resources: &[Value]) -> Descriptor {
        descriptor(&component(json!({"resources": resources})))
    }

    /// Writes changes as one line for each.
    fn lines(old: &Descriptor, new: &Descriptor, accesses: Accesses) -> Vec<String> {
        let changes = diff(old, new, accesses).into_iter();
        let line = |change: Change| {
            let fields: Vec<String> = change.fields.into_iter().map(|it| it.field).collect();
            let (part, kind) = (change.part, change.change);
            format!("{kind:?} {part:?} {}: {}", change.name, fields.join(" "))
        };
        changes.map(line).collect()
    }

    #[test]
    fn elements_are_the_same_by_their_identity_not_by_their_version() {
        let old = with(&[resource("a", "1", "00"), resource("b", "1", "00")]);
        let new = with(&[resource("c", "1", "00"), resource("b", "2", "01")]);
        assert_eq!(
            lines(&old, &new, Accesses::default()),
            [
                "Removed Resource name=a: name version type relation access digest",
                "Changed Resource name=b: version access digest",
                "Added Resource name=c: name version type relation access digest",
            ]
        );
        assert_eq!(diff(&old, &old, Accesses::All), []);
    }

    #[test]
    fn versions_tell_apart_what_shares_an_identity() {
        let old = with(&[resource("a", "1", "00"), resource("a", "2", "00")]);
        let new = with(&[resource("a", "2", "01"), resource("a", "3", "00")]);
        let [removed, changed, added] = &diff(&old, &new, Accesses::default())[..] else {
            panic!("three changes");
        };
        assert_eq!(removed.positions, (Some(0), None));
        assert_eq!(changed.positions, (Some(1), Some(0)));
        assert_eq!(added.positions, (None, Some(1)));
    }

    #[test]
    fn what_stands_several_times_is_paired_in_its_order() {
        let pairs = pairs(&["b", "a", "b", "d"], &["c", "b", "e", "b", "b", "d"]);
        let expected = [
            (Some(0), Some(1)),
            (Some(1), None),
            (Some(2), Some(3)),
            (Some(3), Some(5)),
            (None, Some(0)),
            (None, Some(2)),
            (None, Some(4)),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn where_content_lies_counts_only_if_it_may_be_other_content() {
        let old = resource("a", "1", "00");
        let mut new = old.clone();
        new["access"]["imageReference"] = json!("elsewhere/a:1");
        let (old, moved) = (with(&[old]), with(&[new.clone()]));
        assert_eq!(diff(&old, &moved, Accesses::OfOtherContent), []);
        assert_eq!(
            lines(&old, &moved, Accesses::All),
            ["Changed Resource name=a: access"]
        );
        new["digest"] = Value::Null;
        assert_eq!(
            lines(&old, &with(&[new]), Accesses::OfOtherContent),
            ["Changed Resource name=a: access digest"]
        );
    }

    #[test]
    fn which_local_blob_it_is_counts_only_where_no_digest_says_so() {
        let local = |digest: &str| {
            let mut resource = resource("a", "1", digest);
            let reference = format!("sha256:{}", digest.repeat(32));
            resource["access"] = json!({"type": "LocalBlob/v1", "localReference": reference,
                "mediaType": "text/plain"});
            resource
        };
        let mut other = local("01");
        other["access"]["mediaType"] = json!("text/html");
        let without = |mut resource: Value| {
            resource["digest"] = Value::Null;
            resource
        };
        for (old, new, fields) in [
            (local("00"), local("01"), "digest"),
            (local("00"), other, "access digest"),
            (without(local("00")), without(local("01")), "access"),
        ] {
            let changes = lines(&with(&[old]), &with(&[new]), Accesses::default());
            assert_eq!(changes, [format!("Changed Resource name=a: {fields}")]);
        }
    }

    #[test]
    fn what_is_empty_is_as_what_is_absent() {
        let mut empty = resource("a", "1", "00");
        empty["labels"] = json!([]);
        empty["srcRefs"] = Value::Null;
        let new = with(&[empty]);
        assert_eq!(
            diff(&with(&[resource("a", "1", "00")]), &new, Accesses::All),
            []
        );
    }

    #[test]
    fn labels_references_signatures_and_the_provider_are_compared() {
        let mut labelled = resource("a", "1", "00");
        labelled["labels"] = json!([{"name": "x", "value": 1}, {"name": "y", "value": 1}]);
        let mut other = labelled.clone();
        other["labels"] = json!([{"name": "y", "value": 2}, {"name": "z", "value": 1}]);
        let reference =
            |version| json!([{"name": "r", "componentName": "acme.org/r", "version": version}]);
        let old = signed(
            &component(json!({
                "labels": [{"name": "l", "value": "a"}], "resources": [labelled],
                "componentReferences": reference("1.0.0"),
            })),
            &["one"],
        );
        let new = signed(
            &component(json!({
                "provider": "other.org", "labels": [{"name": "l", "value": "b", "signing": true}],
                "resources": [other], "componentReferences": reference("1.1.0"),
            })),
            &["two"],
        );
        assert_eq!(
            lines(&old, &new, Accesses::default()),
            [
                "Changed Provider other.org: name",
                "Changed Label l: value signing",
                "Changed Reference name=r: version",
                "Changed Resource name=a: labels/x labels/y labels/z",
                "Removed Signature one: name digest signature",
                "Added Signature two: name digest signature",
            ]
        );
    }
}
