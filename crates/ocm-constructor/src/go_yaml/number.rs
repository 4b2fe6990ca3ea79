//! Numbers, as Go writes them after they have been JSON.

use serde_json::Number;

/// The exponent from which Go writes one, where it writes the fewest digits.
const EXPONENT: i32 = 6;

/// Writes a number. Go has kept it as a double and has read it again from JSON: as a whole number if
/// it is one of 64 bits. Beyond 53 bits it has lost digits by then; here they stay.
pub(super) fn number(number: &Number) -> String {
    let Some(value) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    if value == 0.0 {
        return "0".to_owned();
    }
    let range = -9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0;
    if value.fract() == 0.0 && range.contains(&value) {
        return value.to_string();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..EXPONENT).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_those_of_go() {
        for (value, expected) in [
            (json!(1), "1"),
            (json!(-0.0), "0"),
            (json!(1000.0), "1000"),
            (json!(1_234_567_890_123_456_789_u64), "1234567890123456789"),
            (json!(0.1), "0.1"),
            (json!(123_456.5), "123456.5"),
            (json!(1_234_567.5), "1.2345675e+06"),
            (json!(0.000_012), "1.2e-05"),
            (json!(1e20), "1e+20"),
            (json!(-1e20), "-1e+20"),
        ] {
            assert_eq!(number(value.as_number().unwrap()), expected);
        }
    }
}
