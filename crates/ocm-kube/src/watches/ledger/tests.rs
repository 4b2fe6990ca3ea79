//! Who is woken by what.

use serde_json::{Value, json};

use super::*;

/// A ledger with one kind, of which an owner has objects.
struct Fixture {
    ledger: Ledger,
    kind: Kind,
}

impl Fixture {
    fn new() -> Self {
        let owner = OwnerKind {
            group: "a.org".to_owned(),
            kind: "Owner".to_owned(),
            namespaced: false,
        };
        let kind = Kind {
            group: String::new(),
            version: "v1".to_owned(),
            name: "Thing".to_owned(),
        };
        let mut ledger = Ledger::new(owner);
        ledger.join(&kind, "u");
        ledger.listing(&kind);
        ledger.listed(&kind);
        Self { ledger, kind }
    }

    fn seen(&mut self, object: &Value) -> bool {
        let object: ObjectMeta = serde_json::from_value(object.clone()).unwrap();
        self.ledger.seen(&self.kind, &object);
        self.ledger.next().is_some()
    }
}

fn owner() -> Owner {
    Owner {
        uid: "u".to_owned(),
        namespace: None,
        name: "it".to_owned(),
    }
}

/// An object of the owner.
fn object(uid: &str, version: u32, more: &Value) -> Value {
    let mut object = json!({
        "uid": uid,
        "resourceVersion": version.to_string(),
        "ownerReferences": [{
            "apiVersion": "a.org/v1", "kind": "Owner", "name": "it", "uid": "u", "controller": true,
        }],
    });
    let fields = object.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    object
}

#[test]
fn a_change_of_the_status_alone_is_none() {
    let mut it = Fixture::new();
    assert!(it.seen(&object("x", 1, &json!({"generation": 1}))));
    assert!(!it.seen(&object("x", 2, &json!({"generation": 1}))));
    assert!(it.seen(&object("x", 3, &json!({"generation": 2}))));
    for more in [
        json!({"generation": 2, "labels": {"a": "b"}}),
        json!({"generation": 2, "annotations": {"a": "b"}}),
        json!({"generation": 2, "finalizers": ["a.org/f"]}),
        json!({"generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z"}),
    ] {
        assert!(it.seen(&object("x", 4, &more)), "{more}");
    }
}

#[test]
fn each_version_counts_where_generations_are_not_counted() {
    let mut it = Fixture::new();
    assert!(it.seen(&object("x", 1, &json!({}))));
    assert!(!it.seen(&object("x", 1, &json!({}))));
    assert!(it.seen(&object("x", 2, &json!({}))));
}

#[test]
fn what_the_owner_has_left_wakes_nobody_and_what_comes_later_does() {
    let mut it = Fixture::new();
    it.ledger.resume(&owner(), [("x", "5")]);
    assert!(!it.seen(&object("x", 4, &json!({}))), "on the way to it");
    assert!(!it.seen(&object("x", 5, &json!({}))));
    assert!(it.seen(&object("x", 6, &json!({}))));
}

#[test]
fn changes_during_a_pass_are_judged_at_its_end() {
    for (seen, woken) in [(5, false), (4, false), (6, true)] {
        let mut it = Fixture::new();
        it.ledger.hold(&owner());
        assert!(!it.seen(&object("x", seen, &json!({}))));
        it.ledger.resume(&owner(), [("x", "5")]);
        assert_eq!(it.ledger.next().is_some(), woken, "{seen}");
    }
    let mut it = Fixture::new();
    it.seen(&object("x", 1, &json!({})));
    it.ledger.hold(&owner());
    it.ledger.remove("x");
    assert_eq!(it.ledger.next(), None);
    it.ledger.resume(&owner(), [("x", "1")]);
    assert_eq!(it.ledger.next(), Some(owner()));
}

#[test]
fn what_was_missed_while_nobody_listened_is_found_by_listing() {
    let mut it = Fixture::new();
    it.ledger.resume(&owner(), [("x", "1"), ("y", "2")]);
    it.seen(&object("x", 1, &json!({})));
    it.seen(&object("y", 2, &json!({})));
    it.ledger.listing(&it.kind);
    assert!(!it.seen(&object("x", 1, &json!({}))));
    it.ledger.listed(&it.kind);
    assert_eq!(it.ledger.next(), Some(owner()), "y has gone");
    it.ledger.listing(&it.kind);
    assert!(it.seen(&object("x", 3, &json!({}))), "x has changed");
}

#[test]
fn what_is_there_at_the_start_wakes_nobody() {
    let mut it = Fixture::new();
    it.ledger.listing(&it.kind);
    assert!(!it.seen(&object("x", 7, &json!({}))));
    it.ledger.listed(&it.kind);
    assert!(it.seen(&object("x", 8, &json!({}))));
}

#[test]
fn objects_of_others_wake_nobody() {
    let mut it = Fixture::new();
    let mut stranger = object("x", 1, &json!({}));
    stranger["ownerReferences"][0]["uid"] = json!("someone");
    assert!(!it.seen(&stranger));
    let mut other_kind = object("x", 1, &json!({}));
    other_kind["ownerReferences"][0]["kind"] = json!("Someone");
    assert!(!it.seen(&other_kind));
    assert!(!it.seen(&json!({"uid": "x", "resourceVersion": "1"})));
    assert!(!it.seen(&json!({})));
}

#[test]
fn an_object_that_is_taken_away_wakes_its_owner() {
    let mut it = Fixture::new();
    it.seen(&object("x", 1, &json!({})));
    assert!(it.seen(&json!({"uid": "x", "resourceVersion": "2"})));
    let mut moved = object("y", 3, &json!({}));
    it.seen(&moved);
    moved["resourceVersion"] = json!("4");
    moved["ownerReferences"][0]["uid"] = json!("someone");
    assert!(it.seen(&moved));
}

#[test]
fn a_kind_is_unused_when_its_last_owner_leaves() {
    let mut it = Fixture::new();
    it.ledger.join(&it.kind, "other");
    it.seen(&object("x", 1, &json!({})));
    assert_eq!(it.ledger.leave("other", &BTreeSet::new()), []);
    assert!(it.seen(&object("x", 2, &json!({}))));
    let kept = BTreeSet::from([it.kind.clone()]);
    assert_eq!(it.ledger.leave("u", &kept), []);
    assert_eq!(it.ledger.leave("u", &BTreeSet::new()), [it.kind.clone()]);
    assert!(it.ledger.objects.is_empty() && it.ledger.left.is_empty());
    assert!(!it.seen(&object("x", 3, &json!({}))));
}
