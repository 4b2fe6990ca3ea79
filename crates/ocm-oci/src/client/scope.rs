//! What a token is good for (distribution token specification, "Requesting a Token").

use std::collections::{BTreeMap, BTreeSet};

/// Actions on resources, such as `repository:acme/shop:pull,push`.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    pub(crate) fn pull(repository: &str) -> Self {
        Self::repository(repository, &["pull"])
    }

    pub(crate) fn push(repository: &str) -> Self {
        Self::repository(repository, &["pull", "push"])
    }

    pub(crate) fn delete(repository: &str) -> Self {
        Self::repository(repository, &["delete", "pull", "push"])
    }

    pub(crate) fn catalog() -> Self {
        Self::default().with("registry:catalog", ["*"])
    }

    fn repository(repository: &str, actions: &[&str]) -> Self {
        Self::default().with(&format!("repository:{repository}"), actions.iter().copied())
    }

    fn with<'a>(mut self, resource: &str, actions: impl IntoIterator<Item = &'a str>) -> Self {
        let actions = actions.into_iter().map(str::to_owned);
        self.0
            .entry(resource.to_owned())
            .or_default()
            .extend(actions);
        self
    }

    /// Adds the scopes of a challenge, which are separated by blanks.
    #[must_use]
    pub(crate) fn with_challenge(self, text: &str) -> Self {
        text.split_ascii_whitespace()
            .take(16)
            .filter_map(|scope| scope.rsplit_once(':'))
            .fold(self, |scopes, (resource, actions)| {
                scopes.with(resource, actions.split(','))
            })
    }

    /// Adds other scopes.
    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (resource, actions) in other.0 {
            self.0.entry(resource).or_default().extend(actions);
        }
        self
    }

    /// Returns whether a token for these is good for others.
    pub(crate) fn cover(&self, others: &Self) -> bool {
        others.0.iter().all(|(resource, actions)| {
            let ours = self.0.get(resource);
            ours.is_some_and(|ours| ours.is_superset(actions))
        })
    }

    /// Returns one text for each resource, sorted.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(resource, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            format!("{resource}:{}", actions.join(","))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_sorted_and_joined() {
        let scopes = Scopes::push("b")
            .and(Scopes::pull("a"))
            .and(Scopes::pull("b"));
        let texts: Vec<_> = scopes.texts().collect();
        assert_eq!(texts, ["repository:a:pull", "repository:b:pull,push"]);
    }

    #[test]
    fn a_token_to_push_is_good_for_pulling() {
        assert!(Scopes::push("a").cover(&Scopes::pull("a")));
        assert!(!Scopes::pull("a").cover(&Scopes::push("a")));
        assert!(!Scopes::push("a").cover(&Scopes::pull("b")));
    }

    #[test]
    fn challenges_add_what_the_registry_wants() {
        let scopes = Scopes::pull("a")
            .with_challenge("repository:a:push  repository:host:5000/b:pull,* nonsense");
        let texts: Vec<_> = scopes.texts().collect();
        assert_eq!(
            texts,
            ["repository:a:pull,push", "repository:host:5000/b:*,pull"]
        );
    }
}
