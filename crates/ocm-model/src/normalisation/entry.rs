//! The form of jsonNormalisation/v1: every object is a list of one-entry objects.

use serde_json::Value;

use crate::json::{canonical, is_negative_zero, write_go_string};

/// Writes a value in this form, entries sorted by key, text escaped as Go's encoder does.
pub(super) fn write(value: &Value) -> Vec<u8> {
    let mut out = String::new();
    write_value(value, &mut out);
    out.into_bytes()
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        // Go prints a double as ECMAScript does, except that it keeps the sign of zero.
        Value::Number(number) if is_negative_zero(number) => out.push_str("-0"),
        Value::Number(_) => out.push_str(&String::from_utf8_lossy(&canonical(value))),
        Value::String(text) => write_go_string(text, out),
        Value::Array(items) => write_list(items, out, write_value),
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            write_list(&entries, out, |(key, item), out| {
                out.push('{');
                write_go_string(key, out);
                out.push(':');
                write_value(item, out);
                out.push('}');
            });
        }
    }
}

fn write_list<T>(items: &[T], out: &mut String, write_item: impl Fn(&T, &mut String)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_item(item, out);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_lists_of_their_entries() {
        let value = json!({"b": [1, {}], "a": {"d": null, "c": "<&>"}, "n": [-0.0, 1e21]});
        assert_eq!(
            String::from_utf8(write(&value)).unwrap(),
            concat!(
                r#"[{"a":[{"c":"\u003c\u0026\u003e"},{"d":null}]},{"b":[1,[]]},"#,
                r#"{"n":[-0,1e+21]}]"#
            )
        );
    }
}
