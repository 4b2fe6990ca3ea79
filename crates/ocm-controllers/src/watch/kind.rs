//! Watches all objects of a kind.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::reflector;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use ocm::digest::Digest;
use serde_json::{Value, json};

use super::RECONCILE;
use crate::config::ObjectKey;
use crate::object::{Object, is_judged, is_usable};
use crate::reconcile::with_causes;
use crate::relations::{Relations, Seen};

/// Keeps the objects of a kind known, and says what happens to them, once they are known. It never
/// ends.
pub(crate) async fn watch<K: Object>(api: Api<K>, writer: Writer<K>, relations: Arc<Relations>) {
    let mut looks = Looks::default();
    let events = watcher(api, watcher::Config::default());
    // Who owns which field is of no interest, and often larger than the object.
    let events = events.modify(|object| object.managed_fields_mut().clear());
    let events = reflector(writer, events);
    let mut events = pin!(events.default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object)) => {
                let (key, look) = (object.key(), Look::of(&object));
                relations.changed(looks.apply(key, look));
            }
            Ok(Event::Delete(object)) => {
                let key = object.key();
                looks.known.remove(&key);
                relations.gone(&key);
            }
            Ok(Event::Init) => looks.listed = BTreeMap::new(),
            Ok(Event::InitApply(object)) => {
                looks.listed.insert(object.key(), Look::of(&object));
            }
            // Only now they are all known.
            Ok(Event::InitDone) => {
                let (gone, seen) = looks.adopt_list();
                for key in &gone {
                    relations.gone(key);
                }
                for seen in seen {
                    relations.changed(seen);
                }
            }
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(kind = K::KIND, error, "cannot watch");
            }
        }
    }
}

/// What there is to see of an object.
#[derive(Clone, Debug)]
struct Look {
    own: Digest,
    public: Digest,
    parents: Vec<ObjectKey>,
    is_going: bool,
}

impl Look {
    fn of<K: Object>(object: &K) -> Self {
        let meta = object.meta();
        let is_going = meta.deletion_timestamp.is_some();
        let asked = object.annotations().get(RECONCILE);
        let digest = |value: Value| Digest::sha256(value.to_string());
        let config = object.effective_config();
        let shown = (is_usable(object), is_judged(object), config, object.shown());
        Self {
            own: digest(json!([meta.uid, meta.generation, is_going, asked])),
            public: digest(json!([meta.uid, meta.generation, is_going, shown])),
            parents: object.parents(),
            is_going,
        }
    }
}

/// What was seen last of each object.
#[derive(Default)]
struct Looks {
    known: BTreeMap<ObjectKey, Look>,
    /// A list that is not complete yet.
    listed: BTreeMap<ObjectKey, Look>,
}

impl Looks {
    fn apply(&mut self, key: ObjectKey, look: Look) -> Seen {
        let before = self.known.insert(key.clone(), look.clone());
        Seen {
            key,
            parents: look.parents,
            is_going: look.is_going,
            is_own: before.as_ref().is_none_or(|it| it.own != look.own),
            is_public: before.as_ref().is_none_or(|it| it.public != look.public),
        }
    }

    /// Compares a list with what was seen before: some may have come, changed and gone unseen.
    /// Returns which have gone, and what is seen of the others.
    fn adopt_list(&mut self) -> (Vec<ObjectKey>, Vec<Seen>) {
        let listed = std::mem::take(&mut self.listed);
        let known: BTreeSet<_> = self.known.keys().cloned().collect();
        let gone: Vec<_> = known
            .into_iter()
            .filter(|key| !listed.contains_key(key))
            .collect();
        for key in &gone {
            self.known.remove(key);
        }
        let seen = listed.into_iter();
        (
            gone,
            seen.map(|(key, look)| self.apply(key, look)).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(own: u8, public: u8) -> Look {
        Look {
            own: Digest::sha256([own]),
            public: Digest::sha256([public]),
            parents: Vec::new(),
            is_going: false,
        }
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("Component", "n", name)
    }

    fn text(seen: &Seen) -> String {
        let mut text = seen.key.name.clone();
        let flags = [(seen.is_own, " own"), (seen.is_public, " public")];
        text.extend(flags.into_iter().filter(|it| it.0).map(|it| it.1));
        text
    }

    #[test]
    fn what_an_object_asks_for_is_told_from_what_it_shows() {
        let mut looks = Looks::default();
        let mut apply = |look| text(&looks.apply(key("a"), look));
        assert_eq!(apply(look(1, 1)), "a own public");
        assert_eq!(apply(look(1, 1)), "a");
        assert_eq!(apply(look(2, 1)), "a own");
        assert_eq!(apply(look(2, 2)), "a public");
    }

    #[test]
    fn what_happened_while_nobody_watched_is_found_by_the_next_list() {
        let mut looks = Looks {
            listed: [(key("a"), look(1, 1)), (key("b"), look(1, 1))].into(),
            ..Looks::default()
        };
        looks.adopt_list();
        looks.listed = [(key("b"), look(1, 2)), (key("c"), look(1, 1))].into();
        let (gone, seen) = looks.adopt_list();
        assert_eq!(gone, [key("a")]);
        let seen: Vec<_> = seen.iter().map(text).collect();
        assert_eq!(seen, ["b public", "c own public"]);
    }
}
