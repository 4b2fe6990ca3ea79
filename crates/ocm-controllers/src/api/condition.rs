//! Conditions: what an object's reconciliation came to.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reason::Reason;

/// One aspect of the state of an object.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// When the status changed for the last time.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(with = "seconds")]
    pub last_transition_time: Timestamp,
    /// Details for a reader.
    #[schemars(length(max = 32768))]
    pub message: String,
    /// The generation of the object that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Why the status is what it is, for programs.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    )]
    pub reason: String,
    /// Whether the condition holds.
    pub status: ConditionStatus,
    /// Which aspect this is.
    #[serde(rename = "type")]
    #[schemars(
        length(max = 316),
        regex(
            pattern = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
        )
    )]
    pub kind: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

/// The aspects that are reported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConditionType {
    /// The object is as its specification asks.
    Ready,
    /// A transfer is under way.
    TransferInProgress,
    /// What was applied is ready itself. Reported beside `Ready`, which means that it was applied.
    Healthy,
}

impl ConditionType {
    /// Returns the name in objects.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::TransferInProgress => "TransferInProgress",
            Self::Healthy => "Healthy",
        }
    }
}

/// The list of conditions of an object, one for each type.
pub trait Conditions {
    /// Returns the condition of a type.
    fn condition(&self, kind: ConditionType) -> Option<&Condition>;

    /// States a condition. The time of transition stays where the status does; where nothing
    /// changes at all, nothing is changed.
    fn state(
        &mut self,
        kind: ConditionType,
        status: ConditionStatus,
        reason: Reason,
        message: impl Into<String>,
        generation: Option<i64>,
        now: Timestamp,
    );

    /// Tells whether the object is ready, in the generation that it has now.
    fn is_ready(&self, generation: Option<i64>) -> bool {
        self.condition(ConditionType::Ready).is_some_and(|ready| {
            ready.status == ConditionStatus::True && ready.observed_generation == generation
        })
    }
}

/// The longest message that the API server takes, in characters.
const MESSAGE_LIMIT: usize = 32_768;

impl Conditions for Vec<Condition> {
    fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        self.iter().find(|condition| condition.kind == kind.name())
    }

    fn state(
        &mut self,
        kind: ConditionType,
        status: ConditionStatus,
        reason: Reason,
        message: impl Into<String>,
        generation: Option<i64>,
        now: Timestamp,
    ) {
        let message = limited(message.into());
        let existing = self.iter_mut().find(|it| it.kind == kind.name());
        let last_transition_time = match &existing {
            Some(condition) if condition.status == status => condition.last_transition_time,
            _ => now,
        };
        let stated = Condition {
            last_transition_time,
            message,
            observed_generation: generation,
            reason: reason.name().to_owned(),
            status,
            kind: kind.name().to_owned(),
        };
        match existing {
            Some(condition) => *condition = stated,
            None => self.push(stated),
        }
    }
}

/// A message that is too long says what it can; else the status could not be written at all.
fn limited(message: String) -> String {
    if message.len() <= MESSAGE_LIMIT {
        return message;
    }
    let end = message
        .char_indices()
        .map(|(at, _)| at)
        .take_while(|at| *at <= MESSAGE_LIMIT - 4)
        .last();
    format!("{} …", &message[..end.unwrap_or(0)])
}

/// Times as Kubernetes writes them: whole seconds.
mod seconds {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn the_time_changes_with_the_status_alone() {
        let mut conditions = Vec::new();
        let ready = ConditionType::Ready;
        conditions.state(
            ready,
            ConditionStatus::False,
            Reason::GetResourceFailed,
            "a",
            Some(1),
            at(1),
        );
        conditions.state(
            ready,
            ConditionStatus::False,
            Reason::ApplyFailed,
            "b",
            Some(2),
            at(2),
        );
        let condition = conditions.condition(ready).expect("stated");
        assert_eq!(condition.last_transition_time, at(1));
        assert_eq!(condition.reason, "ApplyFailed");
        conditions.state(
            ready,
            ConditionStatus::True,
            Reason::Succeeded,
            "c",
            Some(2),
            at(3),
        );
        let condition = conditions.condition(ready).expect("stated");
        assert_eq!(condition.last_transition_time, at(3));
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn readiness_of_an_older_generation_does_not_count() {
        let mut conditions = Vec::new();
        let status = ConditionStatus::True;
        conditions.state(
            ConditionType::Ready,
            status,
            Reason::Succeeded,
            "",
            Some(1),
            at(1),
        );
        assert!(conditions.is_ready(Some(1)));
        assert!(!conditions.is_ready(Some(2)));
    }

    #[test]
    fn a_message_is_cut_where_the_api_server_would_refuse_it() {
        let mut conditions = Vec::new();
        let status = ConditionStatus::False;
        let message = "ä".repeat(20_000);
        conditions.state(
            ConditionType::Ready,
            status,
            Reason::ApplyFailed,
            message,
            None,
            at(1),
        );
        let message = &conditions[0].message;
        assert!(message.len() <= MESSAGE_LIMIT, "{}", message.len());
        assert!(message.ends_with(" …"));
    }

    #[test]
    fn times_are_whole_seconds() {
        let mut conditions = Vec::new();
        let now: Timestamp = "2026-01-02T03:04:05.678Z".parse().expect("a time");
        let status = ConditionStatus::True;
        conditions.state(
            ConditionType::Ready,
            status,
            Reason::Succeeded,
            "",
            None,
            now,
        );
        let json = serde_json::to_value(&conditions).expect("as JSON");
        assert_eq!(json[0]["lastTransitionTime"], "2026-01-02T03:04:05Z");
    }
}
