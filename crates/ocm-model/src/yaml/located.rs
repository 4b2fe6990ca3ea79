//! Where the values of a YAML document stand.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::Error;

/// A YAML document that knows where its values stand.
#[derive(Clone, Debug)]
pub struct Located {
    /// The document.
    pub value: Value,
    root: Node,
}

impl Located {
    /// Finds the value at a JSON pointer (RFC 6901), such as `/components/0/name`.
    ///
    /// If there is no such value, the nearest enclosing one is found: a missing field is reported
    /// where its object starts.
    pub fn position(&self, pointer: &str) -> Position {
        let mut node = &self.root;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            match node.child(&step) {
                Some(child) => node = child,
                None => break,
            }
        }
        node.position
    }
}

/// A place in a text, from line 1 and column 1, counted in characters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

pub(super) fn parse(text: &str) -> Result<Located, Error> {
    let value = super::parse(text)?;
    let root = super::from_str(text)?;
    Ok(Located { value, root })
}

#[derive(Clone, Debug)]
struct Node {
    position: Position,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Scalar,
    List(Vec<Node>),
    Mapping(Vec<(String, Node)>),
}

impl Node {
    fn child(&self, step: &str) -> Option<&Self> {
        match &self.content {
            Content::Scalar => None,
            Content::List(items) => items.get(step.parse::<usize>().ok()?),
            Content::Mapping(entries) => entries
                .iter()
                .find(|(key, _)| key == step)
                .map(|(_, node)| node),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self {
            position: Position {
                line: spanned.referenced.line(),
                column: spanned.referenced.column(),
            },
            content: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Content, E> {
        Ok(Content::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Content, E> {
        Ok(Content::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Content, E> {
        Ok(Content::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Content, E> {
        Ok(Content::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Content, E> {
        Ok(Content::Scalar)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Content, E> {
        Ok(Content::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut mapping = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            mapping.push(entry);
        }
        Ok(Content::Mapping(mapping))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "components:\n- name: a\n  resources:\n    - {name: x, type: [1, 2]}\n  a/b: ~\n";

    #[track_caller]
    fn check(pointer: &str, line: u64, column: u64) {
        let located = parse(TEXT).unwrap();
        assert_eq!(located.position(pointer), Position { line, column });
    }

    #[test]
    fn a_value_is_found_where_it_starts() {
        check("/components/0/name", 2, 9);
        check("/components/0/resources/0/name", 4, 14);
        check("/components/0/resources/0/type/1", 4, 27);
        check("/components/0/a~1b", 5, 8);
    }

    #[test]
    fn a_missing_value_is_found_at_its_object() {
        check("/components/0/version", 2, 3);
        check("/components/7", 2, 3);
        check("", 1, 1);
    }
}
