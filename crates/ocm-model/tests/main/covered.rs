//! What signatures cover, field by field: a change of it changes the digest, and a change of
//! anything else does not.

use ocm_model::{Descriptor, NormalisationAlgorithm, NormalisedDescriptor};
use serde_json::Value;

use NormalisationAlgorithm::{JsonV3, JsonV4Alpha1};

use crate::broken::{Broken, every_way};
use crate::everything::everything;

/// The place that a change is about: a field that goes is a change of the field.
fn place(broken: &Broken) -> String {
    let pointer = &broken.pointer;
    if let Some(key) = broken.change.strip_prefix("loses ")
        && key != "its start"
    {
        return format!("{pointer}/{key}");
    }
    if broken.change == "gets a field" {
        return format!("{pointer}/more");
    }
    pointer.clone()
}

/// What `jsonNormalisation/v3` covers of [`everything`], where both labels of the name
/// `acme.org/note` are signed and the others are not, and the second resource has no content. `*` is
/// any step, `**` all that come.
const COVERED: &[&str] = &[
    "/component/{name,version,provider,creationTime,labels}",
    "/component/labels/0",
    "/component/labels/0/{name,version,signing}",
    "/component/labels/0/value/**",
    "/component/{resources,sources,componentReferences}",
    "/component/{resources,sources,componentReferences}/*",
    "/component/{resources,sources,componentReferences}/*/{name,version}",
    "/component/{resources,sources,componentReferences}/*/extraIdentity/**",
    "/component/{resources,sources}/*/type",
    "/component/resources/*/relation",
    "/component/componentReferences/*/componentName",
    "/component/{resources,componentReferences}/0/{labels,digest}",
    "/component/{resources,componentReferences}/0/labels/0",
    "/component/{resources,componentReferences}/0/labels/0/{name,version,signing}",
    "/component/{resources,componentReferences}/0/labels/0/value/**",
    // All labels of references are, and how they are merged.
    "/component/componentReferences/0/labels/0/merge",
    "/component/componentReferences/0/labels/0/merge/algorithm",
    "/component/componentReferences/0/labels/0/merge/config/**",
    "/component/{resources,componentReferences}/0/digest/{hashAlgorithm,normalisationAlgorithm,value}",
];

fn is_covered(place: &str) -> bool {
    COVERED.iter().any(|pattern| fits(place, pattern))
}

/// Whether a pointer has the steps of a pattern.
fn fits(place: &str, pattern: &str) -> bool {
    let mut steps = place.split('/');
    for wanted in pattern.split('/') {
        let step = match (wanted, steps.next()) {
            ("**", _) => return true,
            (_, None) => return false,
            (_, Some(step)) => step,
        };
        let one_of = wanted
            .strip_prefix('{')
            .and_then(|list| list.strip_suffix('}'));
        let fits = match one_of {
            Some(list) => list.split(',').any(|name| name == step),
            None => wanted == "*" || wanted == step,
        };
        if !fits {
            return false;
        }
    }
    steps.next().is_none()
}

fn normalised(document: &Value, algorithm: NormalisationAlgorithm) -> NormalisedDescriptor {
    Descriptor::from_document(document.clone())
        .unwrap()
        .normalise(algorithm)
}

/// Whether a change only says the same in another way, or says it of what is not there.
fn says_the_same(broken: &Broken, place: &str) -> bool {
    let to = |value: &str| broken.change == format!("becomes {value}");
    // Old data has the flag as text.
    place.ends_with("/signing") && to(r#""true""#)
}

#[test]
fn a_change_of_what_is_covered_changes_the_digest_and_no_other_does() {
    let document = everything();
    let before = normalised(&document, JsonV3);
    let (mut covered, mut uncovered) = (0, 0);
    for broken in every_way(&document) {
        let Ok(after) = Descriptor::from_document(broken.document.clone()) else {
            continue;
        };
        let place = place(&broken);
        if broken.document == document || says_the_same(&broken, &place) {
            continue;
        }
        let is_covered = is_covered(&place);
        let what = format!("{} {}", broken.pointer, broken.change);
        assert_eq!(after.normalise(JsonV3) != before, is_covered, "{what}");
        *(if is_covered {
            &mut covered
        } else {
            &mut uncovered
        }) += 1;
    }
    assert!(covered > 200 && uncovered > 500, "{covered}, {uncovered}");
}

/// The second Go tool loses the version of a label, how labels are merged, and `null`; what else
/// it covers is the same.
#[test]
fn v4alpha1_covers_no_more_than_v3() {
    let document = everything();
    let before = normalised(&document, JsonV4Alpha1);
    for broken in every_way(&document) {
        let Ok(after) = Descriptor::from_document(broken.document.clone()) else {
            continue;
        };
        if !is_covered(&place(&broken)) {
            let what = format!("{} {}", broken.pointer, broken.change);
            assert_eq!(after.normalise(JsonV4Alpha1), before, "{what}");
        }
    }
}

#[test]
fn no_order_of_keys_changes_any_form() {
    let document = everything();
    let mut reordered = document.clone();
    for seed in 1..20_u64 {
        shuffle(
            &mut reordered,
            &mut seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        for algorithm in NormalisationAlgorithm::ALL {
            assert_eq!(
                normalised(&reordered, algorithm),
                normalised(&document, algorithm)
            );
        }
    }
}

/// Puts the keys of all objects into another order.
fn shuffle(value: &mut Value, state: &mut u64) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| shuffle(item, state)),
        Value::Object(map) => {
            let mut entries: Vec<(u64, String, Value)> = std::mem::take(map)
                .into_iter()
                .map(|(key, item)| {
                    *state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    (*state >> 33, key, item)
                })
                .collect();
            entries.sort_by_key(|(order, ..)| *order);
            for (_, key, mut item) in entries {
                shuffle(&mut item, state);
                map.insert(key, item);
            }
        }
        _ => {}
    }
}
