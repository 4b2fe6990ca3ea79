//! The input `utf8`: text that stands in the constructor file.

use std::sync::Arc;

use async_trait::async_trait;
use ocm_blob::MemoryBlob;
use ocm_model::json;
use ocm_repository::Content;
use serde_json::Value;

use super::{InputContext, InputError, InputMethod, InputResult, Produced};
use crate::compress::compressed;
use crate::constructor::InputSpec;
use crate::go_yaml;
use crate::reader::listed;

/// The input `utf8`, with one of `text`, `json`, `formattedJson` and `yaml`, and with `compress`.
///
/// JSON is written as Go does: keys sorted, `<`, `>` and `&` escaped, formatted with two blanks and
/// without a final newline. So is YAML, whose keys are in natural order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8Input;

const FORMS: [&str; 4] = ["text", "json", "formattedJson", "yaml"];

#[async_trait]
impl InputMethod for Utf8Input {
    fn types(&self) -> &[&'static str] {
        &["utf8", "UTF8", "Utf8"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        _: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&["text", "json", "formattedJson", "yaml", "compress"])?;
        let given: Vec<(&str, &Value)> = FORMS
            .into_iter()
            .filter_map(|form| Some((form, input.spec.field(form)?)))
            .collect();
        let [(form, value)] = given[..] else {
            let reason = format!("must have exactly one of {}", listed(&FORMS));
            return Err(InputError::unusable(input.place.clone(), reason));
        };
        let (bytes, media_type) = match form {
            "text" => (
                input.text("text")?.unwrap_or_default().into_bytes(),
                "text/plain",
            ),
            "yaml" => (go_yaml::write(value).into_bytes(), "application/x-yaml"),
            "json" => (json::compact(value), "application/json"),
            _ => (indented(&json::compact(value)), "application/json"),
        };
        let blob = Arc::new(MemoryBlob::new(bytes).with_media_type(media_type));
        Ok(Content::Blob(compressed(blob, input.flag("compress")?)).into())
    }

    async fn size(&self, input: &InputSpec, context: &InputContext) -> Option<u64> {
        match self.process(input, context).await.ok()?.produced {
            Produced::Content(Content::Blob(blob)) => blob.size(),
            _ => None,
        }
    }
}

/// Breaks compact JSON into lines, as `json.Indent` of Go does with two blanks.
fn indented(compact: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(compact.len() * 2);
    let mut depth = 0_usize;
    let mut in_text = false;
    let mut escaped = false;
    let newline = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    for (index, &byte) in compact.iter().enumerate() {
        if in_text {
            out.push(byte);
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                let is_empty = matches!(compact.get(index + 1), Some(b'}' | b']'));
                depth += 1;
                if !is_empty {
                    newline(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !matches!(compact.get(index.wrapping_sub(1)), Some(b'{' | b'[')) {
                    newline(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                newline(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            other => {
                in_text = other == b'"';
                out.push(other);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_indented_as_in_go() {
        let value = json!({"b": [1, {"x": "a,{\"}\\"}], "a": {}, "c": [], "d": "<&>"});
        let text = String::from_utf8(indented(&json::compact(&value))).unwrap();
        assert_eq!(
            text,
            concat!(
                "{\n  \"a\": {},\n  \"b\": [\n    1,\n    {\n      \"x\": \"a,{\\\"}\\\\\"\n    }\n",
                "  ],\n  \"c\": [],\n  \"d\": \"\\u003c\\u0026\\u003e\"\n}"
            )
        );
    }
}
