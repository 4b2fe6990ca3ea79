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

/// Who uses something: namespace and name of an object, all of one kind.
pub type User = (Option<String>, String);

/// Who uses what, from both ends.
#[derive(Debug, Default)]
pub struct Users(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    users: BTreeMap<Used, BTreeSet<User>>,
    used: BTreeMap<User, BTreeSet<Used>>,
}

impl Users {
    /// Says what an object uses from now on: this, and nothing else.
    ///
    /// It is said before anything of it is read, so that no change is missed.
    pub fn set(&self, user: &User, used: BTreeSet<Used>) {
        let mut state = self.state();
        if state.used.get(user).is_some_and(|before| *before == used) {
            return;
        }
        state.forget(user);
        for it in &used {
            let users = state.users.entry(it.clone()).or_default();
            users.insert(user.clone());
        }
        if !used.is_empty() {
            state.used.insert(user.clone(), used);
        }
    }

    /// Says that an object uses nothing any more.
    pub fn forget(&self, user: &User) {
        self.state().forget(user);
    }

    /// Returns who uses something.
    pub fn of(&self, used: &Used) -> Vec<User> {
        let state = self.state();
        let users = state.users.get(used).into_iter().flatten();
        users.cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, user: &User) {
        for used in self.used.remove(user).into_iter().flatten() {
            if let Some(users) = self.users.get_mut(&used) {
                users.remove(user);
                if users.is_empty() {
                    self.users.remove(&used);
                }
            }
        }
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

    fn user(name: &str) -> User {
        (Some("n".to_owned()), name.to_owned())
    }

    #[test]
    fn an_object_uses_what_it_said_last() {
        let users = Users::default();
        users.set(&user("a"), [secret("s"), secret("t")].into());
        users.set(&user("b"), [secret("s")].into());
        assert_eq!(users.of(&secret("s")), [user("a"), user("b")]);
        users.set(&user("a"), [secret("u")].into());
        assert_eq!(users.of(&secret("s")), [user("b")]);
        assert_eq!(users.of(&secret("t")), []);
        assert_eq!(users.of(&secret("u")), [user("a")]);
    }

    #[test]
    fn nothing_is_left_of_who_has_gone() {
        let users = Users::default();
        users.set(&user("a"), [secret("s")].into());
        users.forget(&user("a"));
        users.set(&user("b"), BTreeSet::new());
        let state = users.state();
        assert!(state.users.is_empty() && state.used.is_empty());
    }
}
