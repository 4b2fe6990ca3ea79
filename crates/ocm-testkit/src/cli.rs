//! A program in a directory of its own, with an empty environment.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;

use crate::filter::filtered;

/// How long a command may take before the test fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// A program, and a directory in which it runs. The directory is its home, too, and is removed at
/// the end.
#[derive(Debug)]
pub struct Cli {
    program: PathBuf,
    directory: TempDir,
    variables: Vec<(String, String)>,
    names: Vec<(String, String)>,
    runtime: Runtime,
}

impl Cli {
    /// Makes an empty directory for a program, by the path that cargo tells tests:
    /// `env!("CARGO_BIN_EXE_ocm")`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        Self {
            program: program.into(),
            names: vec![(directory.path().display().to_string(), "<dir>".to_owned())],
            directory,
            variables: Vec::new(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
        }
    }

    /// Sets an environment variable for all commands that follow.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Has a text that differs from run to run, such as a port, printed by another name.
    pub fn name(&mut self, text: &str, name: &str) {
        self.names.push((text.to_owned(), format!("<{name}>")));
    }

    /// Returns the path of a file in the directory.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Writes a file, and the directories that lead to it.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a directory");
        }
        std::fs::write(path, content).expect("a file that can be written");
    }

    /// Reads a file.
    pub fn read(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(path);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Copies a file or a directory from elsewhere.
    pub fn copy(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        copy(from.as_ref(), &self.path(to));
    }

    /// Runs the program with arguments that are separated by white space.
    pub fn run(&self, arguments: &str) -> Run {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        self.run_with(&arguments)
    }

    /// Runs the program with arguments.
    pub fn run_with(&self, arguments: &[&str]) -> Run {
        self.wait(self.spawn(arguments), arguments.join(" "))
    }

    /// Runs the program and returns what it printed.
    ///
    /// # Panics
    ///
    /// The program fails.
    #[track_caller]
    pub fn ok(&self, arguments: &str) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments}\n{run}");
        run.stdout
    }

    /// Starts the program and returns without waiting for it.
    pub fn start(&self, arguments: &str) -> Started<'_> {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        Started {
            child: self.spawn(&arguments),
            command: arguments.join(" "),
            cli: self,
        }
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let _context = self.runtime.enter();
        Command::new(&self.program)
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()))
    }

    fn wait(&self, child: Child, command: String) -> Run {
        let waiting = async { tokio::time::timeout(PATIENCE, child.wait_with_output()).await };
        let output = self.runtime.block_on(waiting);
        let output = output
            .expect("the program ends in time")
            .expect("the output of the program can be read");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run {
            command,
            code: output.status.code(),
            status: output.status,
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            names: self.names.clone(),
        }
    }
}

/// A program that runs.
#[derive(Debug)]
pub struct Started<'a> {
    child: Child,
    command: String,
    cli: &'a Cli,
}

impl Started<'_> {
    /// Sends a signal such as `INT`, and returns what the program does then.
    pub fn signal(self, signal: &str) -> Run {
        if let Some(id) = self.child.id() {
            let sent = std::process::Command::new("kill")
                .args(["-s", signal, &id.to_string()])
                .status();
            assert!(
                sent.is_ok_and(|status| status.success()),
                "a signal is sent"
            );
        }
        self.wait()
    }

    /// Waits until the program ends.
    pub fn wait(self) -> Run {
        self.cli.wait(self.child, self.command)
    }
}

/// What came of a run. It prints as command, exit code and output, in which nothing differs between
/// runs.
#[derive(Clone, Debug)]
pub struct Run {
    command: String,
    /// The exit code; none if a signal ended the program.
    pub code: Option<i32>,
    /// What was printed to standard output.
    pub stdout: String,
    /// What was printed to standard error.
    pub stderr: String,
    status: ExitStatus,
    names: Vec<(String, String)>,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.code {
            Some(code) => format!("exit {code}"),
            None => self.status.to_string(),
        };
        let mut text = format!("$ ocm {}\n{status}\n", self.command);
        for (name, output) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !output.is_empty() {
                text.extend(["--- ", name, "\n", output]);
            }
        }
        for (value, name) in &self.names {
            text = text.replace(value, name);
        }
        f.write_str(&filtered(&text))
    }
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).expect("a directory");
        }
        std::fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        return;
    }
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory to copy") {
        let entry = entry.expect("an entry to copy");
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}
