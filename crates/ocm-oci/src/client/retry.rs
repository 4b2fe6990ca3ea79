//! Trying again: how often, after how long, and for how long at most.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::Error;

/// How a client tries again after failures that may pass.
///
/// The delay doubles with each failure and is shortened by up to a half at random. A registry that
/// says when to come back (`Retry-After`) is obeyed, and one that says that it is broken or busy is
/// there and may recover, so that it is asked for longer than one that cannot be reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RetryPolicy {
    /// How often something is tried in a row without progress; 1 means once.
    pub attempts: u32,
    /// How long a server that answers, if only that it is broken or busy, is asked again beyond
    /// those attempts.
    pub patience: Duration,
    /// The delay after the first failure.
    pub first_delay: Duration,
    /// The longest delay between two attempts, unless the registry asks for a longer one.
    pub max_delay: Duration,
    /// How long something is tried without progress. Also the longest wait that a registry may
    /// ask for.
    pub max_elapsed: Duration,
}

impl RetryPolicy {
    /// Returns the policy that tries once.
    pub fn once() -> Self {
        Self {
            attempts: 1,
            patience: Duration::ZERO,
            ..Self::default()
        }
    }

    /// Starts the attempts at one thing.
    pub fn start(&self) -> Backoff {
        Backoff {
            policy: self.clone(),
            failures: 0,
            since: Instant::now(),
            is_told: false,
        }
    }

    fn delay(&self, failures: u32, jitter: u64) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(20));
        let full = self.first_delay.saturating_mul(doubled).min(self.max_delay);
        let half = full / 2;
        let permille = u32::try_from(jitter % 1000).unwrap_or_default();
        half + half * permille / 1000
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            patience: Duration::from_secs(100),
            first_delay: Duration::from_millis(300),
            max_delay: Duration::from_secs(20),
            max_elapsed: Duration::from_mins(5),
        }
    }
}

/// The shortest delay of those who are asked beyond the usual attempts, and how long they have been
/// asked when the user is told why nothing moves.
const PATIENT_DELAY: Duration = Duration::from_secs(5);

/// A failed attempt, and what the other side said about the next one.
#[derive(Debug)]
pub struct Failure {
    /// Why it failed.
    pub error: Error,
    /// How long the other side wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether there is no use in another attempt, whatever the error says.
    pub is_final: bool,
}

impl Failure {
    /// Ends the attempts: who failed has tried often enough already.
    pub(crate) const fn last(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
            is_final: true,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
            is_final: false,
        }
    }
}

/// The attempts at one thing.
#[derive(Debug)]
pub struct Backoff {
    policy: RetryPolicy,
    failures: u32,
    since: Instant,
    /// Whether the user knows why nothing moves.
    is_told: bool,
}

impl Backoff {
    /// Returns whether something has failed before.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Starts counting anew, since something has been achieved.
    pub fn progress(&mut self) {
        self.failures = 0;
        self.since = Instant::now();
    }

    /// Waits for the next attempt.
    ///
    /// # Errors
    ///
    /// There is none: the failure may not pass, or has been met often enough.
    pub async fn pause(&mut self, failure: Failure) -> Result<(), Error> {
        self.failures += 1;
        let may_pass = failure.error.is_transient() && !failure.is_final;
        if !may_pass {
            return Err(failure.error);
        }
        let jitter = RandomState::new().hash_one(self.failures);
        let mut delay = self
            .policy
            .delay(self.failures, jitter)
            .max(failure.retry_after.unwrap_or_default());
        let mut limit = self.policy.max_elapsed;
        if self.failures >= self.policy.attempts {
            if !has_answered(&failure.error) {
                return Err(failure.error);
            }
            delay = delay.max(PATIENT_DELAY);
            limit = limit.min(self.policy.patience);
        }
        let elapsed = self.since.elapsed();
        if elapsed + delay > limit {
            return Err(failure.error);
        }
        if elapsed + delay >= PATIENT_DELAY && !self.is_told {
            self.is_told = true;
            tracing::warn!(error = %failure.error, "trying again");
        } else {
            tracing::debug!(error = %failure.error, ?delay, "trying again");
        }
        sleep(delay).await;
        Ok(())
    }
}

/// Returns whether the other side is there, although it does not do what it is asked.
const fn has_answered(error: &Error) -> bool {
    matches!(
        error,
        Error::Remote {
            status: Some(_),
            ..
        }
    )
}

/// Until when a host has asked everybody to be left alone.
#[derive(Debug, Default)]
pub(crate) struct Truce(Mutex<Option<Instant>>);

impl Truce {
    /// Notes that the host has asked for it, up to a limit.
    pub(crate) fn extend(&self, wait: Duration, limit: Duration) {
        let until = Instant::now() + wait.min(limit);
        let mut truce = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *truce = Some(truce.map_or(until, |old| old.max(until)));
    }

    /// Waits until it is over.
    pub(crate) async fn over(&self) {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            sleep_until(until).await;
        }
    }
}

/// Returns whether a status says that the same request may succeed later.
pub fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Reads `Retry-After`, in seconds or as a date. A date is compared with the server's own clock
/// (`Date`), so that neither clock needs to be right.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transient() -> Failure {
        Error::Remote {
            what: "x".into(),
            reason: "busy".into(),
            status: Some(503),
            transient: true,
            source: None,
        }
        .into()
    }

    #[test]
    fn delays_double_up_to_their_limit() {
        let policy = RetryPolicy {
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_millis(500),
            ..RetryPolicy::default()
        };
        let longest = |failures| policy.delay(failures, 999).as_millis();
        assert_eq!(
            [1, 2, 3, 4, u32::MAX].map(longest),
            [99, 199, 399, 499, 499]
        );
        assert_eq!(policy.delay(1, 0).as_millis(), 50);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let headers = |after: &'static str, date: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, after.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            retry_after(&headers)
        };
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(headers("120", None), Some(Duration::from_mins(2)));
        assert_eq!(
            headers("Sun, 06 Nov 1994 08:50:07 GMT", now),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            headers("Sun, 06 Nov 1994 08:40:07 GMT", now),
            Some(Duration::ZERO)
        );
        assert_eq!(headers("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        assert_eq!(headers("soon", now), None);
        assert_eq!(headers("-1", now), None);
        assert_eq!(headers("99999999999999999999999", now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_counted_and_progress_resets_them() {
        let policy = RetryPolicy {
            attempts: 3,
            patience: Duration::ZERO,
            ..RetryPolicy::default()
        };
        let mut backoff = policy.start();
        assert!(backoff.pause(transient()).await.is_ok());
        assert!(backoff.pause(transient()).await.is_ok());
        assert!(backoff.pause(transient()).await.is_err());
        backoff.progress();
        assert!(backoff.pause(transient()).await.is_ok());
        let fatal = Error::not_found("x").into();
        assert!(backoff.pause(fatal).await.is_err());
    }

    /// Returns how long something is tried that always fails, and how often.
    async fn given_up_after(failure: impl Fn() -> Failure) -> (Duration, u32) {
        let start = Instant::now();
        let mut backoff = RetryPolicy::default().start();
        let mut attempts = 1;
        while backoff.pause(failure()).await.is_ok() {
            attempts += 1;
        }
        (start.elapsed(), attempts)
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_is_broken_for_a_minute_is_waited_for() {
        for _ in 0..50 {
            let (elapsed, attempts) = given_up_after(transient).await;
            assert!(elapsed >= Duration::from_mins(1), "{elapsed:?}");
            assert!(elapsed <= Duration::from_mins(2), "{elapsed:?}");
            assert!(attempts < 20, "{attempts}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_be_reached_is_given_up_soon() {
        let unreachable = || {
            Error::Remote {
                what: "x".into(),
                reason: "cannot connect".into(),
                status: None,
                transient: true,
                source: None,
            }
            .into()
        };
        let (elapsed, attempts) = given_up_after(unreachable).await;
        assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
        assert_eq!(attempts, 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_is_obeyed_unless_it_asks_for_too_much() {
        let policy = RetryPolicy::default();
        let wait = |seconds| Failure {
            retry_after: Some(Duration::from_secs(seconds)),
            ..transient()
        };
        let start = Instant::now();
        let mut backoff = policy.start();
        assert!(backoff.pause(wait(42)).await.is_ok());
        assert_eq!(start.elapsed().as_secs(), 42);
        assert!(backoff.pause(wait(3600)).await.is_err());
        assert_eq!(start.elapsed().as_secs(), 42);
    }

    #[tokio::test(start_paused = true)]
    async fn a_truce_holds_for_everybody() {
        let truce = Truce::default();
        truce.over().await;
        truce.extend(Duration::from_secs(5), Duration::from_mins(1));
        truce.extend(Duration::from_secs(2), Duration::from_mins(1));
        let start = Instant::now();
        truce.over().await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }
}
