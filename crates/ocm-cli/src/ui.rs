//! The one voice of the program: data to stdout, everything else to stderr.

use std::io::{self, IsTerminal as _, Write};

use anyhow::Context as _;

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
            stderr_is_terminal: io::stderr().is_terminal(),
        }
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
}

fn say(text: &str) {
    // Nobody is left to be told that stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
