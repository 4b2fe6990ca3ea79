//! Servers that end with the process that has started them.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// Waits until the pipe to it is closed, which happens however its owner ends, and takes the
/// server along, and then its directory. A server that ends itself ends this, too.
const GUARD: &str = r#"
exec 3<&0
directory=$1
shift
"$@" </dev/null 3<&- &
server=$!
{ cat >/dev/null; kill -9 $server; } <&3 2>/dev/null &
owner=$!
exec 3<&-
wait $server
[ -z "$directory" ] || { wait $owner; rm -rf "$directory"; }
"#;

/// A server, stopped when this is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Process(Mutex<Option<Child>>);

impl Process {
    /// Starts a program; what it says goes into a file.
    pub(super) fn start(command: &Command, log: &Path) -> Self {
        Self::start_in(command, log, Path::new(""))
    }

    /// As [`start`](Self::start); also removes a directory when the process ends.
    pub(super) fn start_in(command: &Command, log: &Path, directory: &Path) -> Self {
        let log = File::create(log).expect("a log");
        let errors = log.try_clone().expect("a log");
        let child = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard"])
            .arg(directory)
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(errors)
            .spawn();
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
