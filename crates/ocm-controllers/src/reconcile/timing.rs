//! When objects are looked at again.

use std::time::Duration;

use ocm::Timestamp;
use ocm::config::parse_duration;
use ocm::digest::Digest;

/// The shortest interval. What is shorter would keep registries busy for nothing.
const SHORTEST: Duration = Duration::from_secs(1);

/// The first delay after a failure, and the longest.
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_mins(5);

/// Reads an interval, such as `10m`. One of zero means never.
pub(crate) fn parse_interval(text: &str) -> Result<Option<Duration>, String> {
    let interval = parse_duration(text)?;
    Ok((!interval.is_zero()).then(|| interval.max(SHORTEST)))
}

/// Makes an interval up to a tenth shorter or longer, so that objects that were made together are
/// not looked at together for ever.
pub(super) fn spread(interval: Duration, uid: Option<&str>, now: Timestamp) -> Duration {
    let seed = format!("{} {}", uid.unwrap_or_default(), now.as_nanosecond());
    let hash = Digest::sha256(seed).to_hex();
    let hash = hash
        .get(..8)
        .and_then(|it| u32::from_str_radix(it, 16).ok());
    let fraction = f64::from(hash.unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    interval.mul_f64(0.9 + 0.2 * fraction)
}

/// Returns how long to wait after so many failures in a row.
pub(super) fn delay(failures: u32) -> Duration {
    let factor = 2_u32.checked_pow(failures.saturating_sub(1));
    let delay = factor.and_then(|factor| FIRST.checked_mul(factor));
    delay.unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_durations_of_go_and_not_too_short() {
        let minutes = Duration::from_mins(90);
        assert_eq!(parse_interval("1h30m"), Ok(Some(minutes)));
        assert_eq!(parse_interval("1ms"), Ok(Some(SHORTEST)));
        assert_eq!(parse_interval("0s"), Ok(None));
        assert!(parse_interval("often").is_err());
        assert!(parse_interval("-1m").is_err());
    }

    #[test]
    fn an_interval_is_spread_by_a_tenth() {
        let hour = Duration::from_hours(1);
        let at = |second| Timestamp::from_second(second).expect("a time");
        let spreads: Vec<_> = (0..200).map(|it| spread(hour, Some("u"), at(it))).collect();
        let (least, most) = (spreads.iter().min(), spreads.iter().max());
        let (least, most) = (*least.expect("one"), *most.expect("one"));
        assert!(
            least >= hour.mul_f64(0.9) && least < hour.mul_f64(0.93),
            "{least:?}"
        );
        assert!(
            most <= hour.mul_f64(1.1) && most > hour.mul_f64(1.07),
            "{most:?}"
        );
    }

    #[test]
    fn delays_double_up_to_a_bound() {
        assert_eq!(delay(1), FIRST);
        assert_eq!(delay(3), FIRST * 4);
        assert_eq!(delay(40), LONGEST);
        assert_eq!(delay(u32::MAX), LONGEST);
    }
}
