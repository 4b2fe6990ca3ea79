//! The one voice of the program: data to stdout, everything else to stderr.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use anyhow::Context as _;
use ocm::sigstore::Terminal;
use ocm::{ContentCheck, Rules};

use crate::progress::CLEAR;

/// Where output goes, and what it may look like there.
#[derive(Debug)]
pub(crate) struct Ui {
    quiet: bool,
    stderr_is_terminal: bool,
}

impl Ui {
    /// Looks at the terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            stderr_is_terminal: draws(),
        }
    }

    /// Returns whether progress is shown in some way.
    pub(crate) const fn shows_progress(&self) -> bool {
        !self.quiet
    }

    /// Returns whether progress may be drawn.
    pub(crate) const fn draws_progress(&self) -> bool {
        self.stderr_is_terminal && !self.quiet
    }

    /// Writes data.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written; a reader that has gone away is the cause
    /// [`io::ErrorKind::BrokenPipe`].
    #[expect(clippy::unused_self, reason = "output has one door")]
    pub(crate) fn print(&self, text: &str) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes());
        written
            .and_then(|()| stdout.flush())
            .context("cannot write to standard output")
    }

    /// Tells the user something that is not data, unless told to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Warns, also when told to be quiet.
    #[expect(clippy::unused_self, reason = "output has one door")]
    pub(crate) fn warn(&self, text: &str) {
        say(&format!("warning: {text}"));
    }

    /// Warns of component descriptors that break rules of their schema.
    pub(crate) fn warn_broken(&self, rules: &Rules) {
        for (id, violations) in rules.broken() {
            self.warn(&format!(
                "the component descriptor of {id} breaks rules of its schema: {violations}"
            ));
        }
    }

    /// Warns of content that was to be compared with its digest and was not.
    pub(crate) fn warn_unchecked(&self, content: &[ContentCheck]) {
        for content in content {
            if let Some(reason) = content.unchecked() {
                self.warn(&format!(
                    "content of {} {} was not checked: {reason}",
                    content.component, content.resource
                ));
            }
        }
    }
}

impl Ui {
    /// Returns where somebody can be asked to log in, if there is somebody.
    #[expect(clippy::unused_self, reason = "the terminal has one door")]
    pub(crate) fn terminal(&self) -> Option<Arc<dyn Terminal>> {
        let is_attended = io::stdin().is_terminal() && io::stderr().is_terminal();
        is_attended.then(|| Arc::new(Desk) as Arc<dyn Terminal>)
    }
}

/// A terminal with somebody at it. What is needed to go on is shown also when told to be quiet.
struct Desk;

impl Terminal for Desk {
    fn show(&self, text: &str) {
        say(text);
    }
}

/// Returns whether stderr is a terminal that one can draw on.
fn draws() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Takes log messages, and removes what is drawn where they go: it is drawn anew below them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogWriter {
    is_drawn_on: bool,
}

impl LogWriter {
    pub(crate) fn new() -> Self {
        Self {
            is_drawn_on: draws(),
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        if self.is_drawn_on {
            stderr.write_all(CLEAR.as_bytes())?;
        }
        stderr.write_all(message)?;
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn say(text: &str) {
    // Nobody is left to be told that stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
