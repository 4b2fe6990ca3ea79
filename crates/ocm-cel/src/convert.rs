//! JSON to CEL and back.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cel::Value as CelValue;
use cel::objects::{Key, Map as CelMap, OptionalValue};
use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Map, Number, Value};

use crate::error::Error;

/// Numbers without a fraction are `int` where they fit: expressions count and compare them.
pub(crate) fn from_json(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(value) => CelValue::Bool(*value),
        Value::Number(number) => from_number(number),
        Value::String(text) => CelValue::from(text.as_str()),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(from_json).collect();
            CelValue::List(Arc::new(items))
        }
        Value::Object(entries) => {
            from_entries(entries.iter().map(|(k, v)| (k.as_str(), from_json(v))))
        }
    }
}

fn from_number(number: &Number) -> CelValue {
    if let Some(value) = number.as_i64() {
        return CelValue::Int(value);
    }
    if let Some(value) = number.as_u64() {
        return CelValue::UInt(value);
    }
    CelValue::Float(number.as_f64().unwrap_or(f64::NAN))
}

pub(crate) fn from_entries<'a>(entries: impl Iterator<Item = (&'a str, CelValue)>) -> CelValue {
    let entries = entries.map(|(key, value)| (Key::from(key), value));
    CelValue::Map(CelMap {
        map: Arc::new(entries.collect()),
    })
}

/// Bytes become Base64, times and durations text, as Kubernetes' own tools write them. Keys are
/// sorted.
pub(crate) fn to_json(value: &CelValue) -> Result<Value, Error> {
    Ok(match value {
        CelValue::Null => Value::Null,
        CelValue::Bool(value) => Value::Bool(*value),
        CelValue::Int(value) => Value::from(*value),
        CelValue::UInt(value) => Value::from(*value),
        CelValue::Float(value) => {
            let number = Number::from_f64(*value);
            Value::Number(number.ok_or(Error::Result("a number that is infinite or none"))?)
        }
        CelValue::String(text) => Value::String(text.to_string()),
        CelValue::Bytes(bytes) => Value::String(STANDARD.encode(bytes.as_slice())),
        CelValue::Duration(duration) => Value::String(duration_text(*duration)),
        CelValue::Timestamp(time) => {
            Value::String(time.to_utc().to_rfc3339_opts(SecondsFormat::Secs, true))
        }
        CelValue::List(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(to_json).collect();
            Value::Array(items?)
        }
        CelValue::Map(map) => {
            let mut entries = Vec::with_capacity(map.map.len());
            for (key, value) in map.map.iter() {
                entries.push((text_of(key), to_json(value)?));
            }
            entries.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(entries.into_iter().collect::<Map<_, _>>())
        }
        CelValue::Opaque(opaque) => match opaque.downcast_ref::<OptionalValue>() {
            Some(optional) => optional.value().map_or(Ok(Value::Null), to_json)?,
            None => return Err(Error::Result("a value of its own type")),
        },
        CelValue::Function(..) => return Err(Error::Result("a function")),
        CelValue::Struct(_) => return Err(Error::Result("a message")),
    })
}

fn text_of(key: &Key) -> String {
    match key {
        Key::Int(key) => key.to_string(),
        Key::Uint(key) => key.to_string(),
        Key::Bool(key) => key.to_string(),
        Key::String(key) => key.to_string(),
    }
}

/// A duration as Go writes it: `1h0m0s`, `1.5s`, `20ms`.
fn duration_text(duration: TimeDelta) -> String {
    let Some(nanoseconds) = duration.num_nanoseconds() else {
        return format!("{}s", duration.num_seconds());
    };
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    for (unit, name, digits) in [(1, "ns", 0), (1000, "µs", 3), (1_000_000, "ms", 6)] {
        if total != 0 && total < unit * 1000 {
            return format!("{sign}{}{name}", decimal(total, unit, digits));
        }
    }
    let minutes = total / 60_000_000_000;
    let seconds = decimal(total % 60_000_000_000, 1_000_000_000, 9);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit`, where a unit has that many digits, without zeros at the end.
fn decimal(value: u64, unit: u64, digits: usize) -> String {
    let (whole, part) = (value / unit, value % unit);
    if part == 0 {
        return whole.to_string();
    }
    let part = format!("{part:0digits$}");
    format!("{whole}.{}", part.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_by_go() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (20_000_000, "20ms"),
            (1_500_000_000, "1.5s"),
            (61_000_000_000, "1m1s"),
            (3_600_000_000_000, "1h0m0s"),
            (-90_000_000_000, "-1m30s"),
        ] {
            assert_eq!(duration_text(TimeDelta::nanoseconds(nanoseconds)), text);
        }
    }

    #[test]
    fn numbers_keep_their_sort() {
        for (json, value) in [
            ("1", CelValue::Int(1)),
            ("-1", CelValue::Int(-1)),
            ("18446744073709551615", CelValue::UInt(u64::MAX)),
            ("1.5", CelValue::Float(1.5)),
        ] {
            let json: Value = serde_json::from_str(json).expect("JSON");
            assert_eq!(from_json(&json), value);
            assert_eq!(to_json(&value).expect("JSON"), json);
        }
    }
}
