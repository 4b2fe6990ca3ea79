//! Finding elements by their identity.

use serde_json::Value;
use thiserror::Error;

use super::Descriptor;
use crate::element::{ElementKind, Reference, Resource, Source};
use crate::identity::Identity;

impl Descriptor {
    /// Finds the one resource that has all attributes of a selector, and its index.
    ///
    /// # Errors
    ///
    /// There is none, or more than one.
    pub fn find_resource(&self, selector: &Identity) -> Result<(usize, Resource), LookupError> {
        let index = self.find(ElementKind::Resource, selector)?;
        Ok((
            index,
            super::read_resource(&self.list(ElementKind::Resource)[index]),
        ))
    }

    /// Finds the one source that has all attributes of a selector, and its index.
    ///
    /// # Errors
    ///
    /// There is none, or more than one.
    pub fn find_source(&self, selector: &Identity) -> Result<(usize, Source), LookupError> {
        let index = self.find(ElementKind::Source, selector)?;
        Ok((index, super::read(&self.list(ElementKind::Source)[index])))
    }

    /// Finds the one reference that has all attributes of a selector, and its index.
    ///
    /// # Errors
    ///
    /// There is none, or more than one.
    pub fn find_reference(&self, selector: &Identity) -> Result<(usize, Reference), LookupError> {
        let index = self.find(ElementKind::Reference, selector)?;
        Ok((
            index,
            super::read(&self.list(ElementKind::Reference)[index]),
        ))
    }

    /// An element whose identity, with or without version, is exactly the selector goes before
    /// those that have more attributes.
    fn find(&self, kind: ElementKind, selector: &Identity) -> Result<usize, LookupError> {
        let identities: Vec<Identity> = self.list(kind).iter().map(identity_of).collect();
        let exact = |identity: &Identity| {
            let mut base = identity.clone();
            base.remove(Identity::VERSION);
            identity == selector || base == *selector
        };
        let rules: [&dyn Fn(&Identity) -> bool; 2] = [&exact, &|id| id.matches(selector)];
        for rule in rules {
            let found: Vec<usize> = (0..identities.len())
                .filter(|&i| rule(&identities[i]))
                .collect();
            match found[..] {
                [] => {}
                [index] => return Ok(index),
                _ => {
                    return Err(LookupError::Ambiguous {
                        kind,
                        selector: selector.clone(),
                        found: found
                            .into_iter()
                            .map(|index| identities[index].clone())
                            .collect(),
                    });
                }
            }
        }
        Err(LookupError::NotFound {
            kind,
            selector: selector.clone(),
            known: identities,
        })
    }
}

/// Name, version and extra identity of an element as it is written.
pub(super) fn identity_of(element: &Value) -> Identity {
    attributes_of(element).into_iter().collect()
}

/// Returns the identity of an element, by the names of its attributes, each once.
pub(super) fn attributes_of(element: &Value) -> Vec<(&str, &str)> {
    let own = [Identity::NAME, Identity::VERSION];
    let own = own.map(|key| Some((key, element.get(key)?.as_str()?)));
    let is_own = |key: &str| own.iter().flatten().any(|(own, _)| *own == key);
    let extra = element.get("extraIdentity").and_then(Value::as_object);
    let extra = extra
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
        .filter(|(key, _)| !is_own(key));
    let mut attributes: Vec<(&str, &str)> = own.into_iter().flatten().chain(extra).collect();
    attributes.sort_unstable();
    attributes
}

/// Why not one element was found.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum LookupError {
    /// None has these attributes.
    #[error("no {kind} has the identity `{selector}`{}", those("; there are", .known))]
    NotFound {
        kind: ElementKind,
        selector: Identity,
        known: Vec<Identity>,
    },
    /// Several have these attributes.
    #[error("more than one {kind} has the identity `{selector}`{}", those(":", .found))]
    Ambiguous {
        kind: ElementKind,
        selector: Identity,
        found: Vec<Identity>,
    },
}

/// A few identities, for a message.
fn those(lead: &str, identities: &[Identity]) -> String {
    const SHOWN: usize = 5;
    if identities.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = identities
        .iter()
        .take(SHOWN)
        .map(|identity| format!("`{identity}`"))
        .collect();
    let more = identities.len().saturating_sub(SHOWN);
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{lead} {}{rest}", shown.join(", "))
}
