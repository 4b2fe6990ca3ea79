//! The surroundings of a process, as a value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What this crate may know about the process it runs in.
///
/// Nothing in the crate asks the operating system for any of it: a command-line program fills the
/// value once from its process, a controller or a test hands in exactly what it wants to be seen.
/// The default is empty, which makes every search come back empty too.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Environment {
    /// Environment variables. Credential helpers are started with these and no others.
    pub vars: BTreeMap<String, String>,
    /// Home directory of the user.
    pub home: Option<PathBuf>,
    /// Working directory, the base of relative paths.
    pub cwd: PathBuf,
    /// Directory of the running executable.
    pub exe_dir: Option<PathBuf>,
}

impl Environment {
    /// Returns a variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Tells whether a variable is switched on; what is no boolean counts as on, as in the
    /// reference implementation.
    pub fn is_on(&self, name: &str) -> bool {
        self.var(name)
            .is_some_and(|value| !matches!(value, "0" | "f" | "F" | "false" | "False" | "FALSE"))
    }

    /// Returns `$XDG_CONFIG_HOME`, or `.config` in the home directory.
    pub fn config_home(&self) -> Option<PathBuf> {
        match self.var("XDG_CONFIG_HOME") {
            Some(dir) => Some(PathBuf::from(dir)),
            None => self.home.as_ref().map(|home| home.join(".config")),
        }
    }

    /// Returns `$XDG_STATE_HOME`, or `.local/state` in the home directory.
    pub fn state_home(&self) -> Option<PathBuf> {
        match self.var("XDG_STATE_HOME") {
            Some(dir) => Some(PathBuf::from(dir)),
            None => self.home.as_ref().map(|home| home.join(".local/state")),
        }
    }

    /// Replaces a leading `~` by the home directory, if that is known.
    pub fn expand_home(&self, path: &str) -> PathBuf {
        let rest = match path.strip_prefix('~') {
            Some("") => Some(""),
            Some(rest) if rest.starts_with(['/', std::path::MAIN_SEPARATOR]) => Some(&rest[1..]),
            _ => None,
        };
        match (rest, &self.home) {
            (Some(""), Some(home)) => home.clone(),
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(path),
        }
    }

    /// Makes a path absolute: `~` is expanded, and a relative path starts at the working directory.
    /// `./` says nothing any more then, and goes.
    pub fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        let expanded = path
            .to_str()
            .map_or_else(|| path.to_owned(), |text| self.expand_home(text));
        self.cwd.join(expanded).components().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment {
            vars: BTreeMap::from([
                ("EMPTY".to_owned(), String::new()),
                ("ON".to_owned(), "yes".to_owned()),
                ("OFF".to_owned(), "false".to_owned()),
            ]),
            home: Some("/home/u".into()),
            cwd: "/work".into(),
            exe_dir: None,
        }
    }

    #[test]
    fn only_a_leading_tilde_is_the_home_directory() {
        let env = environment();
        assert_eq!(env.expand_home("~/x"), Path::new("/home/u/x"));
        assert_eq!(env.expand_home("~"), Path::new("/home/u"));
        assert_eq!(env.expand_home("~other/x"), Path::new("~other/x"));
        assert_eq!(env.absolute("a/~"), Path::new("/work/a/~"));
        assert_eq!(env.absolute("~/a"), Path::new("/home/u/a"));
        assert_eq!(env.absolute("./a/./b").to_str(), Some("/work/a/b"));
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let env = environment();
        assert_eq!(env.var("EMPTY"), None);
        assert!(env.is_on("ON"));
        assert!(!env.is_on("OFF"));
        assert!(!env.is_on("MISSING"));
    }

    #[test]
    fn the_configuration_directory_follows_xdg() {
        let mut env = environment();
        assert_eq!(env.config_home(), Some("/home/u/.config".into()));
        env.vars.insert("XDG_CONFIG_HOME".into(), "/xdg".into());
        assert_eq!(env.config_home(), Some("/xdg".into()));
    }
}
