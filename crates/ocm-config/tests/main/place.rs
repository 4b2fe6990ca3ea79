//! A directory of a test, with the environment of a process that runs in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ocm_config::{Config, ConfigDocument, Environment};
use tempfile::TempDir;

/// A home, a working directory and a directory of executables.
pub(crate) struct Place {
    dir: TempDir,
    pub(crate) env: Environment,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["home", "cwd", "exe", "bin"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", dir.path().join("bin").display());
        let env = Environment {
            vars: BTreeMap::from([("PATH".to_owned(), path)]),
            home: Some(dir.path().join("home")),
            cwd: dir.path().join("cwd"),
            exe_dir: Some(dir.path().join("exe")),
        };
        Self { dir, env }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.vars.insert(name.to_owned(), value.into());
    }

    /// Installs a credential helper, written in shell.
    ///
    /// Another process writes it. A file that this one has open for writing cannot be run as long as
    /// some process that another test has just started holds it open too.
    #[cfg(unix)]
    pub(crate) fn helper(&self, name: &str, script: &str) {
        use std::process::Command;
        let path = self.path(&format!("bin/docker-credential-{name}"));
        let written = Command::new("/bin/sh")
            .args([
                "-c",
                "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"",
                "sh",
            ])
            .arg(path)
            .arg(script)
            .status();
        assert!(written.unwrap().success());
    }
}

/// Puts texts together, the strongest last.
pub(crate) fn config(texts: &[&str]) -> Config {
    Config::new(texts.iter().enumerate().map(|(index, text)| {
        let origin = format!("{index}.yaml");
        ConfigDocument::parse(text, Path::new(&origin)).unwrap()
    }))
}
