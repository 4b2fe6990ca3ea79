//! Where configuration files are looked for.

use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// A place where a configuration file may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// The absolute path.
    pub path: PathBuf,
    /// Whether somebody named this file, so that it must exist.
    pub required: bool,
}

/// Returns the candidates from weakest to strongest, each path once.
///
/// Files named on the command line switch the search off. Otherwise, from strongest to weakest:
/// those in `OCM_CONFIG` (a list with the separator of `PATH`), the working directory, the home
/// directory and XDG's configuration directory, the directory of the executable. Files of a list
/// are stronger the later they are named.
pub fn candidates(explicit: &[PathBuf], env: &Environment) -> Vec<Candidate> {
    if !explicit.is_empty() {
        return named(explicit.iter().map(PathBuf::as_path), env);
    }
    let mut found = Vec::new();
    let mut add = |dir: &Path, names: &[&str]| {
        found.extend(names.iter().map(|name| Candidate {
            path: dir.join(name),
            required: false,
        }));
    };
    if let Some(dir) = &env.exe_dir {
        add(dir, &[".ocm/config", ".ocmconfig"]);
    }
    if let Some(home) = &env.home {
        add(&home.join(".config"), &["ocm/config", ".ocmconfig"]);
    }
    if let Some(dir) = env.config_home() {
        add(&dir, &["ocm/config", ".ocmconfig"]);
    }
    if let Some(home) = &env.home {
        add(home, &[".ocm/config", ".ocmconfig"]);
    }
    add(&env.cwd, &[".ocm/config", ".ocmconfig"]);
    if let Some(list) = env.var("OCM_CONFIG") {
        let paths = list.split(LIST_SEPARATOR).filter(|path| !path.is_empty());
        found.extend(named(paths.map(Path::new), env));
    }
    strongest_once(found)
}

#[cfg(windows)]
const LIST_SEPARATOR: char = ';';
#[cfg(not(windows))]
const LIST_SEPARATOR: char = ':';

fn named<'a>(paths: impl Iterator<Item = &'a Path>, env: &Environment) -> Vec<Candidate> {
    let all = paths
        .map(|path| Candidate {
            path: env.absolute(path),
            required: true,
        })
        .collect();
    strongest_once(all)
}

/// Keeps the strongest of equal paths: in the home directory, working directory and home are one.
fn strongest_once(all: Vec<Candidate>) -> Vec<Candidate> {
    let mut kept: Vec<Candidate> = Vec::with_capacity(all.len());
    for candidate in all.into_iter().rev() {
        match kept.iter_mut().find(|other| other.path == candidate.path) {
            Some(other) => other.required |= candidate.required,
            None => kept.push(candidate),
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn environment(vars: &[(&str, &str)]) -> Environment {
        Environment {
            vars: vars
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            home: Some("/home/u".into()),
            cwd: "/work".into(),
            exe_dir: Some("/opt/bin".into()),
        }
    }

    fn paths(all: &[Candidate]) -> Vec<&str> {
        all.iter().filter_map(|one| one.path.to_str()).collect()
    }

    #[test]
    fn the_working_directory_is_stronger_than_home_and_home_than_the_system() {
        let all = candidates(&[], &environment(&[]));
        assert_eq!(
            paths(&all),
            [
                "/opt/bin/.ocm/config",
                "/opt/bin/.ocmconfig",
                "/home/u/.config/ocm/config",
                "/home/u/.config/.ocmconfig",
                "/home/u/.ocm/config",
                "/home/u/.ocmconfig",
                "/work/.ocm/config",
                "/work/.ocmconfig",
            ]
        );
        assert!(all.iter().all(|one| !one.required));
    }

    #[cfg(unix)]
    #[test]
    fn the_variable_is_the_strongest_and_may_name_several() {
        let all = candidates(
            &[],
            &environment(&[("OCM_CONFIG", "a:~/b"), ("XDG_CONFIG_HOME", "/x")]),
        );
        assert_eq!(
            paths(&all)[8..],
            [
                "/work/.ocm/config",
                "/work/.ocmconfig",
                "/work/a",
                "/home/u/b"
            ]
        );
        assert_eq!(paths(&all)[4], "/x/ocm/config");
        assert!(all[10].required && all[11].required && !all[9].required);
    }

    #[test]
    fn named_files_switch_the_search_off() {
        let all = candidates(
            &["x".into(), "/y".into()],
            &environment(&[("OCM_CONFIG", "a")]),
        );
        assert_eq!(paths(&all), ["/work/x", "/y"]);
        assert!(all.iter().all(|one| one.required));
    }

    #[test]
    fn a_path_that_is_found_twice_counts_once() {
        let mut env = environment(&[("OCM_CONFIG", "/home/u/.ocmconfig")]);
        env.cwd = "/home/u".into();
        let all = candidates(&[], &env);
        let last = all.last().unwrap();
        assert_eq!(last.path, Path::new("/home/u/.ocmconfig"));
        assert!(last.required);
        assert_eq!(all.iter().filter(|one| one.path == last.path).count(), 1);
    }
}
