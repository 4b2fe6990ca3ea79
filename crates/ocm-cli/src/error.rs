//! Errors as the user sees them: what failed, why, what to do, and the exit code.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Write as _};

use clap::ValueEnum;
use ocm::Kind;

use crate::exit;

/// How messages on stderr look
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object on each line
    Json,
}

/// An error of the command line itself: flags that do not go together, a file that is not there.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Returns a usage error.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(UsageError(message.into()))
}

/// The command was stopped by the user.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted; run the same command again to continue")
    }
}

impl std::error::Error for Interrupted {}

/// Two things differ, which was asked for as an exit code. There is nothing to say about it.
#[derive(Debug)]
pub(crate) struct Different;

impl fmt::Display for Different {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("they differ")
    }
}

impl std::error::Error for Different {}

/// Adds to an error what the user can do about it.
pub(crate) fn hinted(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Hinted {
        hint: hint.into(),
        error: error.into(),
    })
}

/// Returns whether an error has a hint already.
pub(crate) fn is_hinted(error: &anyhow::Error) -> bool {
    error.is::<Hinted>()
}

/// An error with a hint. Its message and its sources are those of the error.
#[derive(Debug)]
struct Hinted {
    hint: String,
    error: anyhow::Error,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for Hinted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        AsRef::<dyn std::error::Error>::as_ref(&self.error).source()
    }
}

/// Prints an error to stderr and returns the exit code it stands for.
pub(crate) fn report(error: &anyhow::Error, format: LogFormat) -> u8 {
    if is_broken_pipe(error) {
        return exit::DONE;
    }
    if error.is::<Different>() {
        return exit::FAILED;
    }
    let code = exit_code(error);
    let mut messages: Vec<String> = Vec::new();
    for cause in error.chain() {
        let message = cause.to_string();
        // A transparent wrapper says the same as what it wraps.
        if messages.last() != Some(&message) {
            messages.push(message);
        }
    }
    let hint = error
        .downcast_ref::<Hinted>()
        .map(|hinted| hinted.hint.as_str());
    let mut stderr = io::stderr().lock();
    // Nobody is left to be told that stderr is gone.
    let _ = match format {
        LogFormat::Text => stderr.write_all(text(&messages, hint).as_bytes()),
        LogFormat::Json => {
            let (message, causes) = messages
                .split_first()
                .map_or(("", &[][..]), |(m, c)| (m, c));
            let line = serde_json::json!({
                "level": "error", "message": message, "causes": causes, "hint": hint, "code": code,
            });
            writeln!(stderr, "{line}")
        }
    };
    code
}

fn text(messages: &[String], hint: Option<&str>) -> String {
    let mut text = String::new();
    for (index, message) in messages.iter().enumerate() {
        let label = if index == 0 { "error" } else { "  caused by" };
        let indented = message.trim_end().replace('\n', "\n    ");
        text.extend([label, ": ", &indented, "\n"]);
    }
    if let Some(hint) = hint {
        text.extend(["\nhint: ", hint, "\n"]);
    }
    text
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.chain().any(<dyn StdError>::is::<Interrupted>) {
        return exit::INTERRUPTED;
    }
    if error.chain().any(<dyn StdError>::is::<UsageError>) {
        return exit::USAGE;
    }
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        return exit_code(&hinted.error);
    }
    let is_taken = |cause: &io::Error| cause.kind() == io::ErrorKind::AlreadyExists;
    if error
        .chain()
        .filter_map(<dyn StdError>::downcast_ref)
        .any(is_taken)
    {
        return exit::CONFLICT;
    }
    match Kind::of(error.as_ref()) {
        Kind::Invalid => exit::USAGE,
        Kind::NotFound => exit::NOT_FOUND,
        Kind::VerificationFailed => exit::VERIFICATION_FAILED,
        Kind::NotAllowed => exit::NOT_ALLOWED,
        Kind::Conflict => exit::CONFLICT,
        Kind::Remote => exit::REMOTE,
        _ => exit::FAILED,
    }
}

/// A reader such as `head` has all it wants: no error of ours.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io_error = cause.downcast_ref::<io::Error>();
        io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_keeps_message_and_code() {
        let error = hinted(usage("no such flag"), "look again");
        assert_eq!(error.to_string(), "no such flag");
        assert_eq!(exit_code(&error), exit::USAGE);
        assert_eq!(error.downcast_ref::<Hinted>().unwrap().hint, "look again");
    }

    #[test]
    fn causes_stand_below_what_failed() {
        let messages = [
            "cannot add a".to_owned(),
            "it is there\nsince today".to_owned(),
        ];
        assert_eq!(
            text(&messages, Some("replace it")),
            "error: cannot add a\n  caused by: it is there\n    since today\n\nhint: replace it\n"
        );
    }

    #[test]
    fn a_reader_that_has_enough_is_no_error() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(
            &anyhow::Error::new(pipe).context("cannot print")
        ));
    }
}
