//! Helm, with a home of its own.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::{Cluster, assets};

/// Runs `helm` where there is no cluster, as in `helm template`.
pub fn helm(arguments: &[&str]) -> Output {
    let home = TempDir::new().expect("a temporary directory");
    command(home.path()).args(arguments).output().expect("helm")
}

impl Cluster {
    /// Runs `helm` as one who may do everything.
    pub fn helm(&self, arguments: &[&str]) -> Output {
        let mut command = command(self.directory.path());
        command.env("KUBECONFIG", self.kubeconfig_path());
        command.args(arguments).output().expect("helm")
    }
}

fn command(home: &Path) -> Command {
    let helm = assets().join("helm");
    assert!(
        helm.is_file(),
        "there is no {}: run `cargo xtask testbed`, which builds it with Go",
        helm.display()
    );
    let mut command = Command::new(helm);
    command.env_clear().env("HOME", home).stdin(Stdio::null());
    command
}
