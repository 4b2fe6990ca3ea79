//! YAML in and out, with the settings that agree with the Go implementation.
//!
//! `yes` and `on` are texts, `010` is eight, duplicate keys and infinite numbers are errors,
//! merge keys are applied. Nesting, nodes and the replay of aliases are bounded. [`parse_located`]
//! also remembers where each value stands, for messages about values that turn out wrong later.

mod located;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;
use thiserror::Error as ThisError;

pub use self::located::{Located, Position};

/// How deep values may nest.
pub const MAX_DEPTH: usize = 128;

/// How many scalars, lists and mappings a document may have, keys included: as many as in JSON,
/// for the same reason.
///
/// The worst document that is accepted, lists within lists, takes 300 MiB while it is read, and
/// 500 MiB if places are remembered.
pub const MAX_NODES: usize = crate::json::MAX_NODES;

/// How many bytes all scalars of a document may have together.
pub const MAX_SCALAR_BYTES: usize = 64 * 1024 * 1024;

/// Parses one YAML document.
///
/// # Errors
///
/// The text is no YAML, has more than one document, or exceeds a limit of this module.
pub fn parse(text: &str) -> Result<Value, Error> {
    from_str(text)
}

/// Parses all documents of a text. Empty documents are left out.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_documents(text: &str) -> Result<Vec<Value>, Error> {
    on_own_stack(|| serde_saphyr::from_multiple_with_options(text, options()))
}

/// Parses one YAML document and remembers where each of its values stands.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_located(text: &str) -> Result<Located, Error> {
    located::parse(text)
}

/// Parses one YAML document into a type.
///
/// # Errors
///
/// As [`parse`], or the document does not have the shape of the type.
pub fn from_str<T: DeserializeOwned + Send>(text: &str) -> Result<T, Error> {
    on_own_stack(|| serde_saphyr::from_str_with_options(text, options()))
}

/// Writes a value as YAML, such that readers of YAML 1.1 and 1.2 understand the same.
///
/// # Errors
///
/// The value has something that YAML cannot express.
pub fn to_string(value: &impl Serialize) -> Result<String, WriteError> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(value, options).map_err(WriteError)
}

/// How many events all aliases together may stand for: a short text must not become a large one.
const MAX_REPLAYED: usize = 50_000;

/// Enough for [`MAX_DEPTH`] levels without optimisation, with room to spare.
const STACK_SIZE: usize = 16 * 1024 * 1024;

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
        legacy_octal_numbers: true,
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_total_scalar_bytes: MAX_SCALAR_BYTES,
        },
    }
}

/// Runs the parser, which recurses with large frames, where its depth cannot exceed the stack.
fn on_own_stack<T: Send>(
    parse: impl FnOnce() -> Result<T, serde_saphyr::Error> + Send,
) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new()
            .name("yaml".to_owned())
            .stack_size(STACK_SIZE)
            .spawn_scoped(scope, || parse().map_err(|error| Error::new(&error)))
            .map_err(|error| Error::unplaced(format!("cannot start the parser: {error}")))?;
        parser
            .join()
            .unwrap_or_else(|_| Err(Error::unplaced("the parser has stopped".to_owned())))
    })
}

/// Why a text is not acceptable YAML.
#[derive(Clone, Debug, Eq, ThisError, PartialEq)]
#[error("{}{message}", place(*.line, *.column))]
pub struct Error {
    /// The line of the offence, from 1; 0 when it has no place.
    pub line: u64,
    /// The column of the offence in characters, from 1; 0 when it has no place.
    pub column: u64,
    /// What is wrong.
    pub message: String,
}

impl Error {
    fn unplaced(message: String) -> Self {
        Self {
            line: 0,
            column: 0,
            message,
        }
    }

    fn new(error: &serde_saphyr::Error) -> Self {
        let location = error.location();
        let text = match error.without_snippet() {
            serde_saphyr::Error::Budget { breach, .. } => limit(breach),
            error => error.to_string(),
        };
        let message = text
            .rsplit_once(" at line ")
            .map_or(&*text, |(text, _)| text);
        // What a programmer could set does not help who wrote the document.
        let message = message
            .split(", set DuplicateKeyPolicy")
            .next()
            .unwrap_or(message);
        Self {
            line: location.map_or(0, |location| location.line()),
            column: location.map_or(0, |location| location.column()),
            message: message.to_owned(),
        }
    }
}

/// Names the limit that a document exceeds.
fn limit(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Nodes { .. } => {
            format!("more than {MAX_NODES} values and keys in one document")
        }
        BudgetBreach::Depth { .. } => format!("more than {MAX_DEPTH} levels within each other"),
        BudgetBreach::ScalarBytes { .. } => {
            format!("more than {MAX_SCALAR_BYTES} bytes of text in one document")
        }
        other => format!("beyond a limit: {other:?}"),
    }
}

fn place(line: u64, column: u64) -> String {
    if line == 0 {
        String::new()
    } else {
        format!("line {line}, column {column}: ")
    }
}

/// Why a value cannot be written as YAML.
#[derive(Debug, ThisError)]
#[error("cannot write YAML")]
pub struct WriteError(#[source] serde_saphyr::SerializeError);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Value) {
        assert_eq!(&parse(text).unwrap(), expected, "{text}");
    }

    #[test]
    fn only_true_and_false_are_booleans() {
        check(
            "[yes, no, on, off, y, true]",
            &json!(["yes", "no", "on", "off", "y", true]),
        );
    }

    #[test]
    fn numbers_are_those_of_go() {
        check("010", &json!(8));
        check("1.10", &json!(1.1));
        check("18446744073709551615", &json!(u64::MAX));
    }

    #[test]
    fn merge_keys_are_applied() {
        check(
            "a: &a {x: 1}\nb: {<<: *a, y: 2}",
            &json!({"a": {"x": 1}, "b": {"x": 1, "y": 2}}),
        );
    }

    #[test]
    fn a_duplicate_key_is_refused_and_located() {
        let error = parse("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!((error.line, error.column), (3, 1), "{error}");
    }

    #[test]
    fn two_documents_are_refused_unless_asked_for() {
        assert!(parse("a: 1\n---\nb: 2\n").is_err());
        assert_eq!(parse_documents("a: 1\n---\nb: 2\n").unwrap().len(), 2);
    }

    #[test]
    fn nesting_beyond_the_limit_is_an_error_and_no_overflow() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"- ".repeat(100_000)).is_err());
        assert!(parse(&format!("{}1{}", "[".repeat(100), "]".repeat(100))).is_ok());
    }

    #[test]
    fn too_many_nodes_are_refused_with_the_limit() {
        let text = format!("[{}]", "0,".repeat(MAX_NODES));
        let error = parse(&text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 1, column 2000000: more than 1000000 values and keys in one document"
        );
    }

    #[test]
    fn a_billion_laughs_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let previous = format!("*a{}, ", level - 1).repeat(9);
            text = format!("{text}a{level}: &a{level} [{previous}]\n");
        }
        assert!(parse(&text).is_err());
    }

    #[test]
    fn infinite_numbers_are_refused() {
        assert!(parse("[.inf]").is_err());
        assert!(parse("[1e400]").is_err());
    }

    #[test]
    fn what_looks_like_another_type_is_quoted_on_writing() {
        let value = json!({"a": "yes", "b": "1.0", "c": "2001-01-01", "d": "null", "e": "x: y"});
        assert_eq!(parse(&to_string(&value).unwrap()).unwrap(), value);
    }

    #[test]
    fn arbitrary_text_is_an_error_and_no_panic() {
        for text in ["", "\u{0}", "{", "a: b: c", "!!x", "*a", "%YAML 9", "\t- a"] {
            let _ = parse(text);
            let _ = parse_located(text);
        }
    }
}
