//! Which objects use a secret, a config map, or the configuration of another object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::effective::ObjectKey;
use super::load::Source;

/// Something that objects use.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Used {
    /// A secret or config map.
    Source(Source),
    /// An object of ours, whose configuration is used.
    Object(ObjectKey),
}

/// Who uses what, from both ends.
#[derive(Debug, Default)]
pub struct Users(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    users: BTreeMap<Used, BTreeSet<ObjectKey>>,
    used: BTreeMap<ObjectKey, BTreeSet<Used>>,
}

impl Users {
    /// Says what an object uses from now on: this, and nothing else.
    ///
    /// It is said before anything of it is read, so that no change is missed. Returns what it has
    /// used until now.
    pub fn set(&self, user: &ObjectKey, used: BTreeSet<Used>) -> BTreeSet<Used> {
        let mut state = self.state();
        if state.used.get(user).is_some_and(|before| *before == used) {
            return used;
        }
        let before = state.forget(user);
        for it in &used {
            let users = state.users.entry(it.clone()).or_default();
            users.insert(user.clone());
        }
        if !used.is_empty() {
            state.used.insert(user.clone(), used);
        }
        before
    }

    /// Says that an object uses nothing any more. Returns what it has used until now.
    pub fn forget(&self, user: &ObjectKey) -> BTreeSet<Used> {
        self.state().forget(user)
    }

    /// Returns who uses something.
    pub fn of(&self, used: &Used) -> Vec<ObjectKey> {
        let state = self.state();
        let users = state.users.get(used).into_iter().flatten();
        users.cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, user: &ObjectKey) -> BTreeSet<Used> {
        let before = self.used.remove(user).unwrap_or_default();
        for used in &before {
            if let Some(users) = self.users.get_mut(used) {
                users.remove(user);
                if users.is_empty() {
                    self.users.remove(used);
                }
            }
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::SourceKind;
    use super::*;

    fn secret(name: &str) -> Used {
        Used::Source(Source {
            kind: SourceKind::Secret,
            namespace: "n".to_owned(),
            name: name.to_owned(),
        })
    }

    fn user(name: &str) -> ObjectKey {
        ObjectKey::new("Component", "n", name)
    }

    #[test]
    fn an_object_uses_what_it_said_last() {
        let users = Users::default();
        users.set(&user("a"), [secret("s"), secret("t")].into());
        users.set(&user("b"), [secret("s")].into());
        assert_eq!(users.of(&secret("s")), [user("a"), user("b")]);
        let before = users.set(&user("a"), [secret("u")].into());
        assert_eq!(before, [secret("s"), secret("t")].into());
        assert_eq!(users.of(&secret("s")), [user("b")]);
        assert_eq!(users.of(&secret("t")), []);
        assert_eq!(users.of(&secret("u")), [user("a")]);
    }

    #[test]
    fn nothing_is_left_of_who_has_gone() {
        let users = Users::default();
        users.set(&user("a"), [secret("s")].into());
        assert_eq!(users.forget(&user("a")), [secret("s")].into());
        users.set(&user("b"), BTreeSet::new());
        let state = users.state();
        assert!(state.users.is_empty() && state.used.is_empty());
    }
}
