//! From the layout v3alpha1 to v2.

use serde_json::{Map, Value, json};

use super::document::Document;
use super::{Descriptor, Schema};
use crate::element::ElementKind;

impl Descriptor {
    /// Returns this descriptor in the layout v2, in which alone new ones are written.
    ///
    /// All that signatures cover stays the same, but for those under jsonNormalisation/v1, which
    /// depend on the layout. Unknown fields of `metadata` and `spec` move to `component`.
    #[must_use]
    pub fn to_v2(&self) -> Self {
        if self.schema == Schema::V2 {
            return self.clone();
        }
        let object = |key: &str| {
            let value = self.document.get(key).and_then(Value::as_object);
            value.cloned().unwrap_or_default()
        };
        let mut component = object("spec");
        component.extend(self.component().clone());
        component.remove("references");
        component.insert("provider".to_owned(), self.provider().to_text().into());
        for kind in ElementKind::ALL {
            let (_, key) = Schema::V2.list(kind);
            component.insert(key.to_owned(), self.list(kind).to_vec().into());
        }
        let contexts = self.document.get("repositoryContexts").cloned();
        component.insert(
            "repositoryContexts".to_owned(),
            contexts.unwrap_or_default(),
        );

        let moved = [
            "apiVersion",
            "kind",
            "metadata",
            "spec",
            "repositoryContexts",
        ];
        let rest = self
            .document
            .iter()
            .filter(|(key, _)| !moved.contains(&key.as_str()));
        let mut document: Map<String, Value> = rest
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        document.insert("meta".to_owned(), json!({"schemaVersion": "v2"}));
        document.insert("component".to_owned(), component.into());
        Self {
            document: Document::new(document, false),
            schema: Schema::V2,
            id: self.id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalisation::NormalisationAlgorithm as Algorithm;

    #[test]
    fn the_layout_changes_and_what_is_signed_does_not() {
        let old = Descriptor::from_document(json!({
            "apiVersion": "ocm.software/v3alpha1",
            "kind": "ComponentVersion",
            "metadata": {
                "name": "acme.org/x", "version": "1.0.0", "creationTime": "2026-01-01T00:00:00Z",
                "provider": {"name": "acme", "labels": [
                    {"name": "a", "value": 1, "signing": true, "version": "v1"},
                ]},
            },
            "repositoryContexts": [{"type": "OCIRegistry", "baseUrl": "ghcr.io"}],
            "spec": {
                "resources": [{"name": "data", "version": "1", "type": "blob", "relation": "local",
                               "access": {"type": "acme"}, "new": 1}],
                "references": [{"name": "leaf", "componentName": "acme.org/leaf", "version": "2"}],
                "other": 2,
            },
            "signatures": null,
            "unknown": 3,
        }))
        .unwrap();
        let new = old.to_v2();
        assert_eq!(Descriptor::read_json(&new.write_json()).unwrap(), new);
        for algorithm in [
            Algorithm::JsonV2,
            Algorithm::JsonV3,
            Algorithm::JsonV4Alpha1,
        ] {
            assert_eq!(new.normalise(algorithm), old.normalise(algorithm));
        }
        assert_eq!(new.resources(), old.resources());
        assert_eq!(new.provider(), old.provider());
        assert_eq!(new.repository_contexts(), old.repository_contexts());
        assert_eq!(new.as_document()["component"]["other"], 2);
        assert_eq!(new.as_document()["unknown"], 3);
        assert_eq!(new.to_v2(), new);
        assert_eq!(new.validate(), []);
    }
}
