//! What is to be done with a component version, given what the target has.

use std::fmt;

use ocm_model::{Descriptor, NormalisationAlgorithm};
use serde_json::{Map, Value};

use crate::merge::{merge, says_the_same};
use crate::options::Policy;

/// How many differences a message names.
const SHOWN: usize = 5;

/// What is to be done with a component version.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The target does not have it: it is written.
    Add,
    /// The target has it, and nothing that comes is new.
    Skip {
        /// Whether that has been looked at; `false` if the policy leaves alone whatever is there.
        same: bool,
    },
    /// The target has the same content; it becomes this descriptor, the union of both.
    Update(Box<Descriptor>),
    /// The target has other content, which is replaced; `None` if that was not looked at.
    Replace(Option<Difference>),
    /// The target has other content, which must not be replaced.
    Refuse(Difference),
}

/// Decides what is to be done with a component version.
pub fn decide(existing: Option<&Descriptor>, incoming: &Descriptor, policy: Policy) -> Decision {
    let Some(existing) = existing else {
        return Decision::Add;
    };
    match policy {
        Policy::Skip => return Decision::Skip { same: false },
        Policy::Enforce => return Decision::Replace(None),
        Policy::Default | Policy::Overwrite => {}
    }
    let difference = match difference(existing, incoming) {
        Some(difference) => difference,
        // The usual case, in which nothing has to be made one.
        None if says_the_same(existing, incoming) => return Decision::Skip { same: true },
        None => match merge(existing, incoming) {
            Ok(merged) if says_the_same(&merged, existing) => {
                return Decision::Skip { same: true };
            }
            Ok(merged) => return Decision::Update(Box::new(merged)),
            Err(error) => Difference {
                paths: vec![error.to_string()],
                more: 0,
            },
        },
    };
    if policy == Policy::Overwrite {
        Decision::Replace(Some(difference))
    } else {
        Decision::Refuse(difference)
    }
}

/// The algorithms under which a transfer must change nothing. They cover all that the older ones
/// do, which depend on the same fields.
pub(crate) const COVERED: [NormalisationAlgorithm; 2] = [
    NormalisationAlgorithm::JsonV4Alpha1,
    NormalisationAlgorithm::JsonV3,
];

/// Returns how two descriptors differ in what signatures cover, if they do.
pub fn difference(left: &Descriptor, right: &Descriptor) -> Option<Difference> {
    if left.schema() != right.schema() && (depends_on_layout(left) || depends_on_layout(right)) {
        return Some(Difference {
            paths: vec!["meta.schemaVersion".to_owned()],
            more: 0,
        });
    }
    if differ_in_places_alone(left, right) {
        return None;
    }
    COVERED.into_iter().find_map(|algorithm| {
        let (left, right) = (left.normalise(algorithm), right.normalise(algorithm));
        if left == right {
            return None;
        }
        let document = |bytes| serde_json::from_slice(bytes).unwrap_or(Value::Null);
        let mut paths = Vec::new();
        compare(
            "",
            &document(left.as_bytes()),
            &document(right.as_bytes()),
            &mut paths,
        );
        let more = paths.len().saturating_sub(SHOWN);
        paths.truncate(SHOWN);
        Some(Difference { paths, more })
    })
}

/// Tells whether two descriptors say the same, but for where content is: then they are covered by the
/// same signatures, as is most quickly found out.
fn differ_in_places_alone(left: &Descriptor, right: &Descriptor) -> bool {
    let rest: &[&[&str]] = &[&["resources", "sources"], &["access"]];
    left.schema() == right.schema()
        && are_alike_objects(
            left.as_document(),
            right.as_document(),
            &["component"],
            rest,
        )
}

/// Tells whether two values are the same, but for accesses of the same type, to which a path of fields
/// leads.
fn are_alike(left: &Value, right: &Value, path: &[&[&str]]) -> bool {
    match (left, right, path) {
        (_, _, []) => {
            let kind = left.get("type").filter(|kind| kind.is_string());
            left == right || (kind.is_some() && kind == right.get("type"))
        }
        (Value::Object(left), Value::Object(right), [next, rest @ ..]) => {
            are_alike_objects(left, right, next, rest)
        }
        (Value::Array(left), Value::Array(right), _) => {
            let mut pairs = left.iter().zip(right);
            left.len() == right.len() && pairs.all(|(left, right)| are_alike(left, right, path))
        }
        _ => left == right,
    }
}

fn are_alike_objects(
    left: &Map<String, Value>,
    right: &Map<String, Value>,
    next: &[&str],
    rest: &[&[&str]],
) -> bool {
    let are_alike_in = |(key, value): (&String, &Value)| match right.get(key) {
        Some(other) if next.contains(&key.as_str()) => are_alike(value, other, rest),
        other => other == Some(value),
    };
    left.len() == right.len() && left.iter().all(are_alike_in)
}

/// The oldest normalisation covers the layout of a descriptor, the others what it says.
fn depends_on_layout(descriptor: &Descriptor) -> bool {
    let oldest = NormalisationAlgorithm::JsonV1.as_str();
    let signatures = descriptor.signatures();
    signatures
        .iter()
        .any(|signature| signature.digest.normalisation_algorithm == oldest)
}

fn compare(path: &str, left: &Value, right: &Value, paths: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let more = right.keys().filter(|key| !left.contains_key(*key));
            for key in left.keys().chain(more) {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                match (left.get(key), right.get(key)) {
                    (Some(left), Some(right)) => compare(&path, left, right, paths),
                    _ => paths.push(path),
                }
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{path}[{index}]"), left, right, paths);
            }
        }
        _ if left == right => {}
        _ => paths.push(path.to_owned()),
    }
}

/// Where two descriptors differ in what signatures cover, or why they cannot be made one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// JSON paths in the normalised descriptor, the first few; or a label that cannot be merged.
    pub paths: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.paths.join(", "))?;
        match self.more {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{component, descriptor, signed};

    fn plain() -> Descriptor {
        descriptor(&component(json!({})))
    }

    fn other() -> Descriptor {
        descriptor(&component(json!({"provider": "other.org"})))
    }

    #[test]
    fn what_the_target_lacks_is_added_under_every_policy() {
        for policy in [
            Policy::Default,
            Policy::Overwrite,
            Policy::Enforce,
            Policy::Skip,
        ] {
            assert_eq!(decide(None, &plain(), policy), Decision::Add);
        }
    }

    #[test]
    fn the_same_is_skipped() {
        for policy in [Policy::Default, Policy::Overwrite] {
            let decision = decide(Some(&plain()), &plain(), policy);
            assert_eq!(decision, Decision::Skip { same: true });
        }
    }

    #[test]
    fn other_content_is_refused_with_its_place() {
        let Decision::Refuse(difference) = decide(Some(&plain()), &other(), Policy::Default) else {
            panic!("not refused");
        };
        assert_eq!(difference.to_string(), "component.provider.name");
    }

    #[test]
    fn other_content_is_replaced_when_asked_to() {
        let decision = decide(Some(&plain()), &other(), Policy::Overwrite);
        assert!(matches!(decision, Decision::Replace(Some(_))));
        let decision = decide(Some(&plain()), &plain(), Policy::Enforce);
        assert_eq!(decision, Decision::Replace(None));
        let decision = decide(Some(&plain()), &other(), Policy::Skip);
        assert_eq!(decision, Decision::Skip { same: false });
    }

    #[test]
    fn only_where_content_is_may_differ_without_a_closer_look() {
        let with = |resource: Value| {
            let mut whole = json!({
                "name": "a", "version": "1.0.0", "type": "blob", "relation": "local",
                "access": {"type": "localBlob/v1", "localReference": "sha256:00"},
                "digest": {"hashAlgorithm": "SHA-256", "normalisationAlgorithm": "genericBlobDigest/v1", "value": "00"},
            });
            if let (Value::Object(whole), Value::Object(changes)) = (&mut whole, resource) {
                whole.extend(changes);
            }
            descriptor(&component(json!({"resources": [whole]})))
        };
        let left = with(json!({}));
        let elsewhere =
            json!({"access": {"type": "localBlob/v1", "localReference": "sha256:11", "x": [1]}});
        assert!(differ_in_places_alone(&left, &with(elsewhere)));
        for (changes, is_covered) in [
            (json!({"access": {"type": "none"}}), true),
            (
                json!({"access": {"type": "ociArtifact", "imageReference": "a/b"}}),
                false,
            ),
            (json!({"version": "1.0.1"}), true),
            (json!({"digest": null}), true),
            (json!({"extraIdentity": {"access": "x"}}), true),
            (
                json!({"labels": [{"name": "access", "value": {"access": {"type": "a"}}, "signing": true}]}),
                true,
            ),
            (json!({"labels": [{"name": "a", "value": 1}]}), false),
        ] {
            let right = with(changes.clone());
            assert!(!differ_in_places_alone(&left, &right), "{changes}");
            assert_eq!(difference(&left, &right).is_some(), is_covered, "{changes}");
        }
        assert!(!differ_in_places_alone(&left, &plain()));
    }

    #[test]
    fn signatures_are_united() {
        let existing = signed(&component(json!({})), &["target", "both"]);
        let incoming = signed(&component(json!({})), &["both", "source"]);
        let Decision::Update(merged) = decide(Some(&existing), &incoming, Policy::Default) else {
            panic!("no update");
        };
        let names: Vec<String> = merged.signatures().into_iter().map(|s| s.name).collect();
        assert_eq!(names, ["target", "both", "source"]);
        let again = decide(Some(&merged), &incoming, Policy::Default);
        assert_eq!(again, Decision::Skip { same: true });
    }

    #[test]
    fn signatures_that_only_the_target_has_are_nothing_new() {
        let existing = signed(&component(json!({})), &["target"]);
        let decision = decide(Some(&existing), &plain(), Policy::Default);
        assert_eq!(decision, Decision::Skip { same: true });
    }

    #[test]
    fn unsigned_labels_are_updated_and_signed_ones_refused() {
        let label = |signing| json!({"labels": [{"name": "a", "value": 1, "signing": signing}]});
        let unsigned = descriptor(&component(label(false)));
        let decision = decide(Some(&plain()), &unsigned, Policy::Default);
        assert!(matches!(decision, Decision::Update(_)));
        let signing = descriptor(&component(label(true)));
        let decision = decide(Some(&plain()), &signing, Policy::Default);
        assert!(matches!(decision, Decision::Refuse(_)));
    }

    #[test]
    fn labels_that_must_not_change_are_refused_unless_overwritten() {
        let label = |value: u8| {
            let merge = json!({"algorithm": "default", "config": {"overwrite": "none"}});
            descriptor(&component(
                json!({"labels": [{"name": "a", "value": value, "merge": merge}]}),
            ))
        };
        let Decision::Refuse(difference) = decide(Some(&label(1)), &label(2), Policy::Default)
        else {
            panic!("not refused");
        };
        assert!(
            difference
                .to_string()
                .starts_with("label `a` cannot be merged")
        );
        let decision = decide(Some(&label(1)), &label(2), Policy::Overwrite);
        assert!(matches!(decision, Decision::Replace(Some(_))));
    }

    #[test]
    fn a_lost_label_version_is_a_difference() {
        let label = |version: Value| {
            let mut label = json!({"name": "a", "value": 1, "signing": true});
            if !version.is_null() {
                label["version"] = version;
            }
            descriptor(&component(json!({"labels": [label]})))
        };
        let difference = difference(&label(json!("v1")), &label(Value::Null)).unwrap();
        assert_eq!(difference.to_string(), "component.labels[0].version");
    }

    #[test]
    fn the_layout_matters_to_the_oldest_signatures_only() {
        let layouts = |normalisation: &str| {
            let signature = json!({
                "name": "a", "signature": {},
                "digest": {"hashAlgorithm": "SHA-256", "normalisationAlgorithm": normalisation, "value": "00"},
            });
            let old = Descriptor::from_document(json!({
                "apiVersion": "ocm.software/v3alpha1", "kind": "ComponentVersion",
                "metadata": {"name": "acme.org/notes", "version": "1.0.0", "provider": {"name": "acme.org"}},
                "spec": {}, "signatures": [signature],
            }));
            let old = old.unwrap();
            (old.to_v2(), old)
        };
        let (new, old) = layouts("jsonNormalisation/v3");
        for (existing, incoming) in [(&new, &old), (&old, &new)] {
            let decision = decide(Some(existing), incoming, Policy::Default);
            assert_eq!(decision, Decision::Skip { same: true });
        }
        let (new, old) = layouts("jsonNormalisation/v1");
        let decision = decide(Some(&new), &old, Policy::Default);
        assert!(matches!(decision, Decision::Refuse(_)));
    }

    #[test]
    fn many_differences_are_cut_short() {
        let fields = |value: &str| {
            let resources: Vec<Value> = (0..9)
                .map(|n| {
                    json!({"name": format!("r{n}"), "version": value, "type": "blob",
                    "relation": "local", "access": {"type": "none"}})
                })
                .collect();
            descriptor(&component(json!({"resources": resources})))
        };
        let text = difference(&fields("1.0.0"), &fields("2.0.0"))
            .unwrap()
            .to_string();
        assert!(
            text.ends_with("component.resources[4].version and 4 more"),
            "{text}"
        );
    }
}
