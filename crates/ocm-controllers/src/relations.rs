//! Who hears of what.
//!
//! Two relations are known from both ends: which objects an object is made from, by its
//! specification, and what it uses, by its last pass. An object is looked at when it has changed
//! itself, when what it is made from or uses has changed, and, where it is to go, when an object
//! that is made from it has changed or gone.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::config::{ObjectKey, Source, SourceKind, Used, Users};
use crate::object::Object as _;
use crate::watch::Queues;

/// Who is made from whom, who uses what, and who is to go.
pub(crate) struct Relations {
    family: Users,
    users: Users,
    going: Mutex<BTreeSet<ObjectKey>>,
    queues: Queues,
    /// Whether somebody has ever used a config map.
    config_maps: watch::Sender<bool>,
}

/// What is seen of an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    pub(crate) key: ObjectKey,
    /// What it is made from.
    pub(crate) parents: Vec<ObjectKey>,
    /// Whether it is to go.
    pub(crate) is_going: bool,
    /// What it asks for is not as it was.
    pub(crate) is_own: bool,
    /// What it shows to others is not as it was.
    pub(crate) is_public: bool,
}

impl Relations {
    /// Knows nobody yet.
    pub(crate) fn new(queues: Queues) -> Self {
        Self {
            family: Users::default(),
            users: Users::default(),
            going: Mutex::default(),
            queues,
            config_maps: watch::Sender::default(),
        }
    }

    /// An object is there, and not as it was.
    pub(crate) fn changed(&self, seen: Seen) {
        let Seen {
            key,
            parents,
            is_going,
            is_own,
            is_public,
        } = seen;
        let parents: BTreeSet<_> = parents.into_iter().map(Used::Object).collect();
        let before = self.family.set(&key, parents.clone());
        if is_going {
            self.going().insert(key.clone());
        } else {
            // It may be another one of its name.
            self.going().remove(&key);
        }
        if is_own {
            self.wake(&key);
            self.let_go(before.union(&parents));
        }
        if is_public {
            self.tell(&key);
        }
    }

    /// An object has gone.
    pub(crate) fn gone(&self, key: &ObjectKey) {
        let parents = self.family.forget(key);
        self.users.forget(key);
        self.going().remove(key);
        self.tell(key);
        self.let_go(parents.iter());
    }

    /// Says what an object uses from now on, beside what it is made from.
    pub(crate) fn uses(&self, user: &ObjectKey, used: BTreeSet<Used>) {
        let is_config_map = |it: &Used| matches!(it, Used::Source(source) if matches!(source.kind, SourceKind::ConfigMap));
        if used.iter().any(is_config_map) {
            self.config_maps
                .send_if_modified(|is_used| !std::mem::replace(is_used, true));
        }
        self.users.set(user, used);
    }

    /// Waits until somebody uses a config map.
    pub(crate) async fn config_map_used(&self) {
        let mut is_used = self.config_maps.subscribe();
        // The sender lives as long as this.
        let _ = is_used.wait_for(|is_used| *is_used).await;
    }

    /// Tells whether somebody uses a secret or config map.
    pub(crate) fn is_used(&self, source: &Source) -> bool {
        !self.users.of(&Used::Source(source.clone())).is_empty()
    }

    /// A secret or config map is not as it was.
    pub(crate) fn source_changed(&self, source: &Source) {
        for user in self.users.of(&Used::Source(source.clone())) {
            self.wake(&user);
        }
    }

    /// Has an object looked at.
    pub(crate) fn wake(&self, key: &ObjectKey) {
        self.queues.push(key);
    }

    /// Returns the objects that keep one from going, in order.
    pub(crate) fn keepers(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let mut children = self.family.of(&Used::Object(key.clone()));
        children.retain(|child| keeps_parents(&child.kind));
        children
    }

    /// Who builds on an object hears of it.
    fn tell(&self, key: &ObjectKey) {
        let used = Used::Object(key.clone());
        let mut hearing = self.family.of(&used);
        hearing.extend(self.users.of(&used));
        for it in hearing {
            self.wake(&it);
        }
    }

    /// Those that are to go hear that they perhaps may.
    fn let_go<'a>(&self, parents: impl Iterator<Item = &'a Used>) {
        for parent in parents {
            if let Used::Object(parent) = parent
                && self.going().contains(parent)
            {
                self.wake(parent);
            }
        }
    }

    fn going(&self) -> MutexGuard<'_, BTreeSet<ObjectKey>> {
        self.going.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whether objects of a kind keep those that they are made from. Replications do not: what
/// was transferred stays without them.
fn keeps_parents(kind: &str) -> bool {
    kind != crate::api::Replication::KIND
}

#[cfg(test)]
mod tests {
    use std::slice;

    use futures::{FutureExt as _, StreamExt as _};

    use super::*;
    use crate::api::{Component, Replication, Repository};
    use crate::watch::Next;

    struct World {
        relations: Relations,
        repositories: Next<Repository>,
        components: Next<Component>,
    }

    fn world() -> World {
        let mut queues = Queues::default();
        let (repositories, components) = (queues.add(), queues.add());
        World {
            relations: Relations::new(queues),
            repositories,
            components,
        }
    }

    impl World {
        /// Who was woken since the last time.
        fn woken(&mut self) -> Vec<String> {
            let mut woken = Vec::new();
            while let Some(Some(Ok(it))) = self.repositories.next().now_or_never() {
                woken.push(format!("repository {}", it.name));
            }
            while let Some(Some(Ok(it))) = self.components.next().now_or_never() {
                woken.push(format!("component {}", it.name));
            }
            woken
        }
    }

    fn repository(name: &str) -> ObjectKey {
        ObjectKey::new(Repository::KIND, "n", name)
    }

    fn component(name: &str) -> ObjectKey {
        ObjectKey::new(Component::KIND, "n", name)
    }

    fn seen(key: &ObjectKey, parents: &[ObjectKey], what: &str) -> Seen {
        Seen {
            key: key.clone(),
            parents: parents.to_vec(),
            is_going: what.contains("going"),
            is_own: what.contains("own"),
            is_public: what.contains("public"),
        }
    }

    #[test]
    fn who_is_made_from_an_object_hears_what_it_shows_and_nobody_else() {
        let mut world = world();
        let relations = &world.relations;
        relations.changed(seen(&component("c"), &[repository("r")], ""));
        relations.changed(seen(&component("d"), &[repository("s")], ""));
        relations.changed(seen(&repository("r"), &[], "public"));
        assert_eq!(world.woken(), ["component c"]);
        world.relations.changed(seen(&repository("r"), &[], "own"));
        assert_eq!(world.woken(), ["repository r"]);
    }

    #[test]
    fn who_is_to_go_hears_when_its_children_change_or_go() {
        let mut world = world();
        let (r, s, c) = (repository("r"), repository("s"), component("c"));
        world.relations.changed(seen(&c, slice::from_ref(&r), ""));
        world.relations.changed(seen(&r, &[], "going"));
        assert_eq!(world.relations.keepers(&r), slice::from_ref(&c));
        world
            .relations
            .changed(seen(&c, slice::from_ref(&s), "own"));
        assert_eq!(world.woken(), ["repository r", "component c"]);
        assert_eq!(world.relations.keepers(&r), []);
        world.relations.changed(seen(&s, &[], "going"));
        world.relations.gone(&c);
        assert_eq!(world.woken(), ["repository s"]);
    }

    #[test]
    fn replications_keep_nothing() {
        let world = world();
        let replication = ObjectKey::new(Replication::KIND, "n", "x");
        let parents = [component("c"), repository("r")];
        world.relations.changed(seen(&replication, &parents, ""));
        assert_eq!(world.relations.keepers(&component("c")), []);
    }

    #[test]
    fn who_uses_a_secret_hears_of_it() {
        let mut world = world();
        let secret = Source {
            kind: SourceKind::Secret,
            namespace: "n".to_owned(),
            name: "s".to_owned(),
        };
        let used = BTreeSet::from([Used::Source(secret.clone())]);
        world.relations.uses(&component("c"), used);
        assert!(world.relations.is_used(&secret));
        world.relations.source_changed(&secret);
        assert_eq!(world.woken(), ["component c"]);
        world.relations.gone(&component("c"));
        assert!(!world.relations.is_used(&secret));
    }
}
