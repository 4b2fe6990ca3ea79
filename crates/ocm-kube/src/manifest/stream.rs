//! Manifests as a stream of documents, in YAML or JSON.

use kube::api::DynamicObject;
use kube::core::TypeMeta;
use serde_json::{Map, Value};

use super::{Error, Objects, Place, bounded};

/// How deep values may nest.
const MAX_DEPTH: usize = 128;

/// How deep lists of objects may nest.
const MAX_LISTS: usize = 8;

/// How many events all aliases of a document together may stand for.
const MAX_REPLAYED: usize = 50_000;

/// How many bytes all texts of a document, with what aliases repeat, may have together.
const MAX_SCALAR_BYTES: usize = 64 * 1024 * 1024;

/// Parses a stream: documents between lines of `---`, each in YAML, or one or more in JSON.
pub(super) fn parse(bytes: &[u8], file: Option<&str>, objects: &mut Objects) -> Result<(), Error> {
    let file = file.map(str::to_owned);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Error::Encoding { file });
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (document, (line, text)) in documents(text).enumerate() {
        objects.count_document()?;
        let Some(content) = first_line_with_content(text) else {
            continue;
        };
        let place = Place {
            file: file.clone(),
            document: document + 1,
            line: line + content,
            item: None,
        };
        for value in values(text, line, &place, objects)? {
            add(value, &place, 0, objects)?;
        }
    }
    Ok(())
}

/// Splits a text at the lines that separate documents. Each comes with the number of lines before.
fn documents(text: &str) -> impl Iterator<Item = (u64, &str)> {
    let mut rest = Some(text);
    let mut line = 0;
    std::iter::from_fn(move || {
        let text = rest?;
        let (document, marker) = split(text);
        let before = line;
        line += lines(document);
        rest = marker.map(|length| {
            let after = &text[document.len() + length..];
            // What stands beside the marker is content, after the end of its line it is counted.
            if text[..document.len() + length].ends_with('\n') {
                line += 1;
            }
            after
        });
        Some((before, document))
    })
}

/// Returns what stands before the next marker, and the length of the marker.
fn split(text: &str) -> (&str, Option<usize>) {
    let mut start = 0;
    loop {
        let rest = &text[start..];
        let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let line = &rest[..end];
        if let Some(beside) = line
            .strip_prefix("---")
            .or_else(|| line.strip_prefix("..."))
        {
            let content = beside.trim();
            if content.is_empty() || (content.starts_with('#') && beside.starts_with([' ', '\t'])) {
                return (&text[..start], Some(end));
            }
            if beside.starts_with([' ', '\t']) {
                return (&text[..start], Some(3));
            }
        }
        start += end;
        if start >= text.len() {
            return (text, None);
        }
    }
}

fn lines(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64
}

/// Returns the line, from 1, that has the first content: no comment, no directive.
fn first_line_with_content(text: &str) -> Option<u64> {
    let found = text.lines().position(|line| {
        let content = line.trim_start();
        !(content.is_empty() || content.starts_with('#') || line.starts_with('%'))
    });
    found.map(|index| index as u64 + 1)
}

/// Parses the values of one document; several only in JSON.
fn values(
    text: &str,
    before: u64,
    place: &Place,
    objects: &mut Objects,
) -> Result<Vec<Value>, Error> {
    let fault = |line: u64, message: String| Error::Document {
        place: Place {
            line: if line == 0 { place.line } else { before + line },
            ..place.clone()
        },
        message,
    };
    let left = objects.values_left();
    if let Some(values) = json(text, left) {
        let values = values.map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            fault(error.line() as u64, message.to_owned())
        })?;
        objects.count_values(values.iter().map(count).sum())?;
        return Ok(values);
    }
    let value = yaml(text, left).map_err(|error| match error {
        Fault::TooMany => Error::TooMany {
            what: "values",
            limit: objects.limits.values,
        },
        Fault::At(line, message) => fault(line, message),
    })?;
    objects.count_values(count(&value))?;
    Ok(vec![value])
}

/// Parses JSON values that follow each other, or says that this is no JSON.
fn json(text: &str, left: usize) -> Option<Result<Vec<Value>, serde_json::Error>> {
    // Each value but the first has one of these before it. Where texts have more of them, the
    // other parser counts exactly.
    let marks = text
        .bytes()
        .filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{'));
    if !text.trim_start().starts_with('{') || marks.count() >= left {
        return None;
    }
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter() {
        match value {
            Ok(value) => values.push(value),
            // A mapping of YAML may begin like that, too.
            Err(_) if values.is_empty() => return None,
            Err(error) => return Some(Err(error)),
        }
    }
    Some(Ok(values))
}

enum Fault {
    TooMany,
    At(u64, String),
}

/// Parses YAML as `kubectl` does: by version 1.1, in which `yes` and `on` are booleans and `010` is
/// eight. Other than there, keys are not allowed twice, and stay as they are written: `y` and `on`
/// are no `true`.
fn yaml(text: &str, left: usize) -> Result<Value, Fault> {
    let options = serde_saphyr::options! {
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
        legacy_octal_numbers: true,
        strict_booleans: false,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: left,
            max_events: left.saturating_mul(4),
            max_total_scalar_bytes: MAX_SCALAR_BYTES,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        if let serde_saphyr::Error::Budget { breach, .. } = error.without_snippet() {
            use serde_saphyr::budget::BudgetBreach;
            match breach {
                BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => return Fault::TooMany,
                BudgetBreach::Depth { .. } => {
                    let line = error.location().map_or(0, |location| location.line());
                    let message = format!("more than {MAX_DEPTH} levels within each other");
                    return Fault::At(line, message);
                }
                _ => {}
            }
        }
        let message = error.without_snippet().to_string();
        let message = message
            .rsplit_once(" at line ")
            .map_or(&*message, |it| it.0);
        let message = message.split(", set DuplicateKeyPolicy").next();
        Fault::At(
            error.location().map_or(0, |location| location.line()),
            message.unwrap_or_default().to_owned(),
        )
    })
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(|value| 1 + count(value)).sum(),
        _ => 0,
    }
}

/// Adds the object that a value describes, or all of a list.
fn add(value: Value, place: &Place, lists: usize, objects: &mut Objects) -> Result<(), Error> {
    let fault = |message: String| Error::Document {
        place: place.clone(),
        message,
    };
    let mut fields = match value {
        Value::Null => return Ok(()),
        Value::Object(fields) => fields,
        _ => return Err(fault("this is no object".to_owned())),
    };
    let (api_version, kind) = (text(&fields, "apiVersion"), text(&fields, "kind"));
    let (Some(api_version), Some(kind)) = (api_version, kind) else {
        return Err(fault("an object states apiVersion and kind".to_owned()));
    };
    if kind.ends_with("List") && fields.get("items").is_some_and(Value::is_array) {
        if lists == MAX_LISTS {
            return Err(fault(format!(
                "more than {MAX_LISTS} lists within each other"
            )));
        }
        let Some(Value::Array(items)) = fields.remove("items") else {
            return Ok(());
        };
        // The list of a kind need not repeat it.
        let of = kind.strip_suffix("List").unwrap_or_default().to_owned();
        for (index, mut item) in items.into_iter().enumerate() {
            if let (Value::Object(fields), false) = (&mut item, of.is_empty()) {
                for (key, value) in [("apiVersion", &api_version), ("kind", &of)] {
                    fields
                        .entry(key)
                        .or_insert_with(|| Value::String(value.clone()));
                }
            }
            let place = Place {
                item: Some(index),
                ..place.clone()
            };
            add(item, &place, lists + 1, objects)?;
        }
        return bounded("objects", objects.found.len(), objects.limits.objects);
    }
    objects.push(object(fields, api_version, kind).map_err(fault)?)
}

fn object(
    mut fields: Map<String, Value>,
    api_version: String,
    kind: String,
) -> Result<DynamicObject, String> {
    for key in ["apiVersion", "kind"] {
        fields.remove(key);
    }
    let mut metadata = match fields.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    let Some(name) = text(&metadata, "name") else {
        return Err(format!("{kind} has no metadata.name"));
    };
    for map in ["labels", "annotations"] {
        let Some(Value::Object(entries)) = metadata.get_mut(map) else {
            continue;
        };
        for (key, value) in entries {
            if value.is_null() {
                *value = Value::String(String::new());
            }
            if !value.is_string() {
                return Err(format!(
                    "{kind} `{name}` has {value} as the value of `{key}` in metadata.{map}, which \
                     must be text: put it in quotes"
                ));
            }
        }
    }
    let mut metadata: kube::api::ObjectMeta = serde_json::from_value(Value::Object(metadata))
        .map_err(|error| format!("metadata of {kind} `{name}` is malformed: {error}"))?;
    // What an export says about the object that it was taken from.
    metadata.creation_timestamp = None;
    metadata.deletion_timestamp = None;
    metadata.generation = None;
    metadata.managed_fields = None;
    metadata.resource_version = None;
    metadata.self_link = None;
    metadata.uid = None;
    Ok(DynamicObject {
        types: Some(TypeMeta { api_version, kind }),
        metadata,
        data: Value::Object(fields),
    })
}

/// Returns a text that is not empty.
fn text(fields: &Map<String, Value>, key: &str) -> Option<String> {
    let text = fields.get(key)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}
