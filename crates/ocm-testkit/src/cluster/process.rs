//! Servers that end with the process that has started them.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// Waits until the pipe to it is closed, which happens however its owner ends, and takes the server
/// along. Until then it passes on the signals that are written to the pipe. It ends with the server,
/// after which nobody has its number in hand any more. What a terminal sends reaches it as well as
/// its owner, and is left to that.
const SERVER: &str = r#"
trap '' INT QUIT HUP TERM
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{
    while read -r signal; do kill -"$signal" $server; done
    kill -9 $server
} <&3 2>/dev/null &
owner=$!
exec 3<&-
wait $server
kill -9 $owner
"#;

/// Removes a directory when the pipe is closed. Servers may write there until they are gone.
const DIRECTORY: &str = r#"
trap '' INT QUIT HUP TERM
cat >/dev/null
until rm -rf "$1"; do sleep 1; done 2>/dev/null
"#;

/// A server, stopped when this is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Process(Mutex<Option<Child>>);

impl Process {
    /// Starts a program; what it says goes into a file.
    pub(super) fn start(command: &Command, log: &Path) -> Self {
        let log = File::create(log).expect("a log");
        let errors = log.try_clone().expect("a log");
        let mut guard = guard(SERVER);
        guard.arg(command.get_program()).args(command.get_args());
        Self::spawn(guard.stdout(log).stderr(errors))
    }

    /// Has a directory removed when this is dropped or the process ends.
    pub(super) fn removing(directory: &Path) -> Self {
        let mut guard = guard(DIRECTORY);
        Self::spawn(guard.arg(directory).stdout(Stdio::null()))
    }

    fn spawn(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self(Mutex::new(Some(child)))
    }

    /// Tells whether it has not ended yet.
    pub(super) fn is_running(&self) -> bool {
        let mut child = self.0.lock().expect("nobody has panicked");
        child
            .as_mut()
            .is_some_and(|it| matches!(it.try_wait(), Ok(None)))
    }

    /// Sends it a signal, such as `STOP`.
    pub(super) fn signal(&self, signal: &str) {
        let mut child = self.0.lock().expect("nobody has panicked");
        let child = child.as_mut().expect("a server that was not stopped");
        let stdin = child.stdin.as_mut().expect("its input");
        writeln!(stdin, "{signal}").expect("a guard that listens");
    }

    /// Kills it, and waits until it is gone.
    pub(super) fn stop(&self) {
        let child = self.0.lock().expect("nobody has panicked").take();
        if let Some(mut child) = child {
            drop(child.stdin.take());
            // The guard ends with the server.
            let _ = child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

fn guard(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "guard"]);
    command
}
