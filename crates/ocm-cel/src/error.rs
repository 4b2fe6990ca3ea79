//! What can be wrong with an expression.

use thiserror::Error;

/// An expression that came to nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not CEL.
    #[error("expression cannot be parsed: {0}")]
    Parse(String),
    /// It took too long, made too much, or is too long itself.
    #[error("expression exceeds a limit: {0}")]
    Limit(String),
    /// It failed.
    #[error("expression failed: {0}")]
    Evaluation(String),
    /// What it came to cannot be written as JSON.
    #[error("result cannot be written as JSON: {0}")]
    Result(&'static str),
    /// A field is neither an expression nor an object of such.
    #[error("additional status field {0:?}: value must be a CEL expression string or an object")]
    FieldType(String),
    /// The expression of a field.
    #[error("additional status field {name:?}")]
    Field {
        /// The path of the field, with dots.
        name: String,
        /// What is wrong with it.
        source: Box<Self>,
    },
}
