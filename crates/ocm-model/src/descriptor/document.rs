//! The document of a descriptor.

use std::ops::{Deref, DerefMut};

use serde_json::{Map, Value};

/// A document that remembers whether it was checked, until it is changed. Most descriptors break no
/// rule, and are asked for it more than once.
#[derive(Clone, Debug)]
pub(super) struct Document {
    fields: Map<String, Value>,
    is_sound: bool,
}

impl Document {
    /// Takes a document, and whether it is known to break no rule of its table.
    pub(super) const fn new(fields: Map<String, Value>, is_sound: bool) -> Self {
        Self { fields, is_sound }
    }

    /// Tells whether the document is known to break no rule of its table.
    pub(super) const fn is_sound(&self) -> bool {
        self.is_sound
    }
}

impl Deref for Document {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Map<String, Value> {
        &self.fields
    }
}

impl DerefMut for Document {
    fn deref_mut(&mut self) -> &mut Map<String, Value> {
        self.is_sound = false;
        &mut self.fields
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_makes_it_unknown_again() {
        let mut document = Document::new(Map::new(), true);
        assert!(document.is_sound() && document.is_empty());
        let before = document.clone();
        document.remove("x");
        assert!(!document.is_sound());
        assert_eq!(document, before);
    }
}
