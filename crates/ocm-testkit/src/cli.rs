//! A program in a directory of its own, with an empty environment.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ocm_digest::Digest;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
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
    /// How much memory each run may have, in KiB.
    memory: Option<u64>,
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
            memory: None,
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

    /// Lets no command that follows have more than so many MiB of memory of its own: beyond, the
    /// system gives it none, and it is aborted. On Linux, where the limit is that of all that a
    /// process can write; elsewhere that may be less of it.
    pub fn limit_memory(&mut self, mib: u64) {
        self.memory = Some(mib * 1024);
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

    /// Runs the program where no file can become larger than some KiB: as on a disk that is full,
    /// writing fails from there on. Works for every user, also for one who may do everything.
    pub fn run_short_of_space(&self, kib: u64, arguments: &str) -> Run {
        self.run_limited("trap '' XFSZ;", kib, arguments)
    }

    /// Runs the program until one of its files becomes larger than some KiB, and kills it there,
    /// in the middle of writing, so that it cannot tidy up.
    pub fn run_until_killed(&self, kib: u64, arguments: &str) -> Run {
        self.run_limited("ulimit -c 0;", kib, arguments)
    }

    /// Runs the program, and kills it right before it does something to files that counts: before
    /// it removes, renames or cuts one or makes it durable for the `nth` time. On Linux alone, with a
    /// program that is linked to the C library of the system, and with a C compiler.
    pub fn run_killed_at(&self, nth: usize, arguments: &str) -> Run {
        let mut command = Command::new(&self.program);
        command.args(arguments.split_whitespace());
        self.prepare(&mut command);
        command
            .env("LD_PRELOAD", killer(&self.program))
            .env("OCM_TEST_KILL_AT", nth.to_string());
        self.wait(self.spawn_prepared(command), arguments.to_owned())
    }

    /// Starts the program as [`Self::run_short_of_space`] does, and returns without waiting for it.
    pub fn start_short_of_space(&self, kib: u64, arguments: &str) -> Started<'_> {
        Started {
            child: self.spawn_limited("trap '' XFSZ;", kib, arguments),
            command: arguments.to_owned(),
            errors: None,
            cli: self,
        }
    }

    fn run_limited(&self, prelude: &str, kib: u64, arguments: &str) -> Run {
        let child = self.spawn_limited(prelude, kib, arguments);
        self.wait(child, arguments.to_owned())
    }

    fn spawn_limited(&self, prelude: &str, kib: u64, arguments: &str) -> Child {
        // Shells count files in blocks of half a KiB.
        let script = format!("{prelude} ulimit -f {}; exec \"$0\" {arguments}", kib * 2);
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script).arg(&self.program);
        self.spawn_command(command)
    }

    /// Runs a shell script in a network of its own, which has nothing but a loopback device that is
    /// down. `$OCM` is the program. Returns nothing, and says so past what the test harness
    /// captures, where the system forbids that or has no `unshare`, or the script ends with 77: it
    /// lacks a tool.
    pub fn run_alone(&self, script: &str) -> Option<Run> {
        self.run_apart(("--net", "network"), script)
    }

    /// Runs a shell script that may mount file systems, which nobody else sees; otherwise as
    /// [`Cli::run_alone`].
    pub fn run_with_mounts(&self, script: &str) -> Option<Run> {
        self.run_apart(("--mount", "mounts"), script)
    }

    fn run_apart(&self, (flag, what): (&str, &str), script: &str) -> Option<Run> {
        let unshare = |arguments: &[&str]| {
            let mut command = Command::new("unshare");
            command.args(["--map-root-user", flag]).args(arguments);
            self.prepare(&mut command);
            command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
            command.env("OCM", &self.program);
            let _context = self.runtime.enter();
            command.spawn()
        };
        let probe = unshare(&["true"]).map(|child| self.wait(child, "true".to_owned()));
        if !matches!(&probe, Ok(run) if run.code == Some(0)) {
            let_it_be_known(&format!(
                "no {what} of its own can be had here, so this is not tested"
            ));
            return None;
        }
        let child = unshare(&["/bin/sh", "-euc", script]).expect("what could be run before");
        let run = self.wait(child, script.to_owned());
        if run.code == Some(77) {
            let_it_be_known(&format!("a tool is missing: {}", run.stderr.trim()));
            return None;
        }
        Some(run)
    }

    /// Runs the program with standard output going to a file, such as a device.
    pub fn run_into(&self, output: &str, arguments: &str) -> Run {
        let file = std::fs::File::options().write(true).open(output);
        let mut command = Command::new(&self.program);
        command.args(arguments.split_whitespace());
        self.prepare(&mut command);
        command.stdout(file.unwrap_or_else(|error| panic!("{output}: {error}")));
        let command_line = format!("{arguments} > {output}");
        self.wait(self.spawn_prepared(command), command_line)
    }

    /// Starts the program and returns without waiting for it.
    pub fn start(&self, arguments: &str) -> Started<'_> {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        Started {
            child: self.spawn(&arguments),
            command: arguments.join(" "),
            errors: None,
            cli: self,
        }
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(&self.program);
        if let Some(kib) = self.memory {
            command = Command::new("/bin/sh");
            let script = format!("ulimit -d {kib}; ulimit -c 0; exec \"$0\" \"$@\"");
            command.arg("-c").arg(script).arg(&self.program);
        }
        command.args(arguments);
        self.spawn_command(command)
    }

    fn spawn_command(&self, mut command: Command) -> Child {
        self.prepare(&mut command);
        self.spawn_prepared(command)
    }

    fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
    }

    fn spawn_prepared(&self, mut command: Command) -> Child {
        let _context = self.runtime.enter();
        command
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

/// Returns the library that counts what a program does to files. It is built beside the program,
/// once for all tests.
fn killer(program: &Path) -> PathBuf {
    const SOURCE: &str = include_str!("killer.c");
    let directory = program.parent().expect("a program in a directory");
    let name = format!("killer-{}.so", &Digest::sha256(SOURCE).to_hex()[..16]);
    let library = directory.join(name);
    if library.exists() {
        return library;
    }
    let scratch = TempDir::new_in(directory).expect("a temporary directory");
    let (source, built) = (scratch.path().join("killer.c"), scratch.path().join("so"));
    std::fs::write(&source, SOURCE).expect("a file that can be written");
    let output = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .args([&built, &source])
        .output()
        .expect("a C compiler");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::rename(built, &library).expect("a library with a name");
    library
}

/// A program that runs.
#[derive(Debug)]
pub struct Started<'a> {
    child: Child,
    command: String,
    /// What remains of standard error once some of it has been read.
    errors: Option<BufReader<ChildStderr>>,
    cli: &'a Cli,
}

impl Started<'_> {
    /// Waits for a line on standard error in which a text stands, and returns what follows it.
    ///
    /// # Panics
    ///
    /// The program ends without it, or says nothing of it for a minute.
    pub fn wait_for(&mut self, text: &str) -> String {
        if let Some(errors) = self.child.stderr.take() {
            self.errors = Some(BufReader::new(errors));
        }
        let errors = self.errors.as_mut().expect("standard error is read");
        let waiting = async {
            let mut line = String::new();
            loop {
                line.clear();
                let read = errors.read_line(&mut line).await;
                assert_ne!(read.expect("text"), 0, "the program ends without {text}");
                if let Some((_, rest)) = line.split_once(text) {
                    return rest.trim_end().to_owned();
                }
            }
        };
        let waiting = async { tokio::time::timeout(PATIENCE, waiting).await };
        let line = self.cli.runtime.block_on(waiting);
        line.expect("the program says something in time")
    }

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

/// Writes to standard error past what the test harness captures, so that whoever runs the tests
/// sees it.
fn let_it_be_known(text: &str) {
    use std::io::Write as _;
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    // Nobody is left to be told that stderr is gone.
    let _ = writeln!(std::io::stderr(), "not run: {test}: {text}");
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
