//! What a token is good for (distribution token specification, "Requesting a Token").

use std::borrow::Cow;

/// Actions on resources, such as `repository:acme/shop:pull,push`.
///
/// Each request has some, of which most are about one resource: these are sorted lists.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Scopes(Vec<Scope>);

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Scope {
    resource: String,
    actions: Vec<Cow<'static, str>>,
}

impl Scope {
    fn add(&mut self, action: Cow<'static, str>) {
        if let Err(place) = self.actions.binary_search(&action) {
            self.actions.insert(place, action);
        }
    }
}

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
        Self::default().with("registry:catalog", [Cow::Borrowed("*")])
    }

    fn repository(repository: &str, actions: &[&'static str]) -> Self {
        let actions = actions.iter().copied().map(Cow::Borrowed);
        Self::default().with(format!("repository:{repository}"), actions)
    }

    fn with(
        mut self,
        resource: impl Into<String>,
        actions: impl IntoIterator<Item = Cow<'static, str>>,
    ) -> Self {
        let resource = resource.into();
        let place = match self.find(&resource) {
            Ok(place) => place,
            Err(place) => {
                let actions = Vec::new();
                self.0.insert(place, Scope { resource, actions });
                place
            }
        };
        for action in actions {
            self.0[place].add(action);
        }
        self
    }

    /// Returns where a resource stands, or where it belongs.
    fn find(&self, resource: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|scope| scope.resource.as_str().cmp(resource))
    }

    /// Adds the scopes of a challenge, which are separated by blanks.
    #[must_use]
    pub(crate) fn with_challenge(self, text: &str) -> Self {
        text.split_ascii_whitespace()
            .take(16)
            .filter_map(|scope| scope.rsplit_once(':'))
            .fold(self, |scopes, (resource, actions)| {
                let actions = actions.split(',').map(|action| action.to_owned().into());
                scopes.with(resource, actions)
            })
    }

    /// Adds other scopes.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        other.0.into_iter().fold(self, |scopes, scope| {
            scopes.with(scope.resource, scope.actions)
        })
    }

    /// Returns whether a token for these is good for others.
    pub(crate) fn cover(&self, others: &Self) -> bool {
        others.0.iter().all(|scope| {
            let ours = self.find(&scope.resource).map(|place| &self.0[place]);
            let has = |action| ours.is_ok_and(|ours| ours.actions.binary_search(action).is_ok());
            scope.actions.iter().all(has)
        })
    }

    /// Returns one text for each resource, sorted.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.0
            .iter()
            .map(|scope| format!("{}:{}", scope.resource, scope.actions.join(",")))
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
