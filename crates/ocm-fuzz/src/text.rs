//! What users write in one line: names, versions, constraints, references.

use std::cmp::Ordering;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use ocm_digest::Digest;
use ocm_model::version::ComponentVersionId;
use ocm_model::{
    ComponentName, ComponentRef, Constraint, ElementName, Identity, RepositorySpec, TypeName,
    Version, json,
};

/// A reference to a component version.
pub fn component_reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(reference) = text.parse::<ComponentRef>() {
        let printed = reference.to_string();
        let again = printed.parse().map(|again| comparable_reference(&again));
        let expected = comparable_reference(&reference);
        assert_eq!(again, Ok(expected), "`{text}` prints `{printed}`");
    }
    let _ = ComponentRef::parse(text, |path| path.len() % 3 == 0);
}

/// A repository as text.
pub fn repository(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(repository) = text.parse::<RepositorySpec>() {
        let expected = comparable(&repository);
        let printed = repository.to_string();
        let again = printed.parse().map(|again| comparable(&again));
        assert_eq!(again, Ok(expected.clone()), "`{text}` prints `{printed}`");
        let again = RepositorySpec::try_from(repository.to_spec());
        assert_eq!(
            again.map(|again| comparable(&again)),
            Ok(expected),
            "as an object"
        );
    }
    let _ = RepositorySpec::parse(text, |path| path.len() % 3 == 0);
}

/// The specification with numbers in their written form: 1 is 1.0.
fn comparable(repository: &RepositorySpec) -> String {
    let bytes = json::canonical(&repository.to_spec().into_json());
    String::from_utf8(bytes).expect("JSON is text")
}

fn comparable_reference(reference: &ComponentRef) -> (Option<String>, ComponentRef) {
    let bare = ComponentRef {
        repository: None,
        ..reference.clone()
    };
    (reference.repository.as_ref().map(comparable), bare)
}

/// A constraint, and below it a version on each line.
pub fn constraint(bytes: &[u8]) {
    let (text, rest) = crate::first_line(bytes);
    let Ok(constraint) = text.parse::<Constraint>() else {
        return;
    };
    assert_eq!(String::from(constraint.clone()), text);
    for line in String::from_utf8_lossy(rest).lines().take(16) {
        if let Ok(version) = Version::lenient(line) {
            let matches = constraint.matches(&version);
            assert!(!matches || version.is_semver(), "{line} matches {text}");
        }
    }
}

/// Versions, component versions and names, one on each line.
pub fn version(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut versions = Vec::new();
    for line in text.lines().take(8) {
        reads_as_it_prints::<ComponentVersionId>(line);
        reads_as_it_prints::<TypeName>(line);
        prints_the_text::<ComponentName>(line);
        prints_the_text::<ElementName>(line);
        prints_the_text::<Version>(line);
        if let Ok(version) = Version::lenient(line) {
            assert_eq!(version.as_str(), line);
            // Versions that have the mark themselves share their tag with others.
            if version.is_semver() && !line.contains(".build-") {
                assert_eq!(Version::from_tag(&version.to_tag()).as_ref(), Ok(&version));
            }
            versions.push(version);
        }
        let _ = Version::from_tag(line);
    }
    for left in &versions {
        for right in &versions {
            assert_eq!(left.cmp(right), right.cmp(left).reverse());
            assert_eq!(left.cmp(right) == Ordering::Equal, left == right);
            for other in &versions {
                if left <= right && right <= other {
                    assert!(left <= other, "{left} <= {right} <= {other}");
                }
            }
        }
    }
}

/// An identity.
pub fn identity(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        reads_as_it_prints::<Identity>(text);
    }
}

/// A digest.
pub fn digest(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        prints_the_text::<Digest>(text);
    }
}

/// What is printed reads as the same value.
pub(crate) fn reads_as_it_prints<T>(text: &str)
where
    T: FromStr<Err: Display> + Display + Debug + PartialEq,
{
    let Ok(value) = text.parse::<T>() else {
        return;
    };
    let printed = value.to_string();
    match printed.parse::<T>() {
        Ok(again) => assert_eq!(again, value, "`{text}` prints `{printed}`"),
        Err(error) => panic!("`{text}` prints `{printed}`, which does not read: {error}"),
    }
}

/// A value prints the text that it was read from.
pub(crate) fn prints_the_text<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}
