//! Writing a descriptor.

use serde_json::Value;

use super::Descriptor;
use crate::access::Access;
use crate::element::ElementKind;
use crate::{json, yaml};

/// How long descriptors often are, in bytes.
const TYPICAL: usize = 4096;

impl Descriptor {
    /// Writes the descriptor as JSON: compact, keys sorted at every level, no final newline.
    pub fn write_json(&self) -> Vec<u8> {
        self.write_json_with_accesses(&[], &[])
    }

    /// Writes the descriptor as [`Descriptor::write_json`] would with other accesses, for each
    /// resource and source in its order, as far as there is one.
    pub fn write_json_with_accesses(
        &self,
        resources: &[Option<Access>],
        sources: &[Option<Access>],
    ) -> Vec<u8> {
        let (holder, resource_list) = self.schema.list(ElementKind::Resource);
        let (_, source_list) = self.schema.list(ElementKind::Source);
        let mut out = String::with_capacity(TYPICAL);
        json::write_object(&self.document, &mut out, |key, value, out| match value {
            Value::Object(component) if key == holder => {
                json::write_object(component, out, |key, value, out| match value {
                    Value::Array(elements) if key == resource_list => {
                        write_elements(elements, resources, out);
                    }
                    Value::Array(elements) if key == source_list => {
                        write_elements(elements, sources, out);
                    }
                    _ => json::write_compact(value, out),
                });
            }
            _ => json::write_compact(value, out),
        });
        out.into_bytes()
    }

    /// Writes the descriptor as YAML, keys sorted at every level.
    pub fn write_yaml(&self) -> String {
        let mut document = self.to_document();
        document.sort_all_objects();
        yaml::to_string(&document).expect("JSON values can be written as YAML")
    }
}

fn write_elements(elements: &[Value], accesses: &[Option<Access>], out: &mut String) {
    json::write_list(elements, out, |index, element, out| {
        match (element, accesses.get(index)) {
            (Value::Object(fields), Some(Some(access))) => {
                json::write_object(fields, out, |key, value, out| match key {
                    "access" => json::write_compact_object(access.as_json(), out),
                    _ => json::write_compact(value, out),
                });
            }
            _ => json::write_compact(element, out),
        }
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn other_accesses_are_written_as_if_they_had_been_set() {
        let element = |name: &str| {
            json!({"name": name, "version": "1", "type": "t", "relation": "local",
                "access": {"type": "localBlob", "localReference": name, "mediaType": "a/b"}})
        };
        let list = ["a", "b", "c"].map(element);
        let v2 = json!({
            "meta": {"schemaVersion": "v2"},
            "component": {
                "name": "acme.org/x", "version": "1.0.0", "provider": "acme",
                "resources": list, "sources": list, "componentReferences": [],
                "labels": [{"name": "resources", "value": {"resources": list}}],
            },
        });
        let v3alpha1 = json!({
            "apiVersion": "ocm.software/v3alpha1", "kind": "ComponentVersion",
            "metadata": {"name": "acme.org/x", "version": "1.0.0", "provider": {"name": "acme"}},
            "spec": {"resources": list, "sources": list, "references": []},
        });
        for document in [v2, v3alpha1] {
            let descriptor = Descriptor::from_document(document).unwrap();
            let access = |reference: &str| Some(Access::oci_artifact(reference));
            let resources = [None, access("z.io/b:1")];
            let sources = [access("z.io/a:1"), None, access("z.io/c:1")];
            let written = descriptor.write_json_with_accesses(&resources, &sources);
            let mut changed = descriptor.clone();
            for (index, access) in resources.into_iter().enumerate() {
                if let Some(access) = access {
                    changed.set_resource_access(index, access).unwrap();
                }
            }
            for (index, access) in sources.into_iter().enumerate() {
                if let Some(access) = access {
                    changed.set_source_access(index, access).unwrap();
                }
            }
            assert_ne!(changed, descriptor);
            let texts = [written, changed.write_json()].map(|it| String::from_utf8(it).unwrap());
            assert_eq!(texts[0], texts[1]);
        }
    }
}
