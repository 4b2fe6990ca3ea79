//! `.helmignore`: which files of a chart directory are not packaged.
//!
//! One pattern in each line, of Go's `filepath.Match`. A pattern with a slash in it matches the
//! path below the chart, others the name alone; a final slash restricts it to directories; `!`
//! ignores everything that does not match. `#` starts a comment.

use ocm_constructor::glob::Pattern;

/// The rules of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Ignore(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    negated: bool,
    directories_only: bool,
    whole_path: bool,
}

impl Ignore {
    /// Reads the rules; the offending line if one is malformed.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // Helm ignores hidden files of templates, whatever the file says.
        let mut rules = vec![rule("templates/.?*").ok_or_else(String::new)?];
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                rules.push(rule(line).ok_or_else(|| line.to_owned())?);
            }
        }
        Ok(Self(rules))
    }

    /// Tells whether a path below the chart is left out.
    pub(super) fn matches(&self, path: &str, is_directory: bool) -> bool {
        self.0.iter().any(|rule| {
            let name = path.rsplit('/').next().unwrap_or(path);
            let subject = if rule.whole_path { path } else { name };
            let applies = !rule.directories_only || is_directory;
            (applies && rule.pattern.matches(subject)) != rule.negated
        })
    }
}

fn rule(line: &str) -> Option<Rule> {
    // Helm refuses `**`, which it would not understand.
    if line.contains("**") {
        return None;
    }
    let (negated, line) = match line.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (directories_only, line) = match line.strip_suffix('/') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let whole_path = line.contains('/');
    Some(Rule {
        pattern: Pattern::parse(line.strip_prefix('/').unwrap_or(line))?,
        negated,
        directories_only,
        whole_path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_those_of_helm() {
        for (text, path, is_directory, expected) in [
            ("*.swp", "a.swp", false, true),
            ("*.swp", "templates/a.swp", false, true),
            ("/*.swp", "templates/a.swp", false, false),
            ("# *.swp", "a.swp", false, false),
            (".git/", ".git", true, true),
            (".git/", ".git", false, false),
            ("templates/*.txt", "templates/NOTES.txt", false, true),
            ("templates/*.txt", "other/templates/NOTES.txt", false, false),
            ("!*.yaml", "a.txt", false, true),
            ("!*.yaml", "a.yaml", false, false),
            ("", "templates/.hidden", false, true),
            ("", ".hidden", false, false),
        ] {
            let ignore = Ignore::parse(text).unwrap();
            assert_eq!(
                ignore.matches(path, is_directory),
                expected,
                "{text} {path}"
            );
        }
    }

    #[test]
    fn malformed_rules_are_named() {
        assert_eq!(Ignore::parse("a\n[b\n").unwrap_err(), "[b");
        assert_eq!(Ignore::parse("a/**").unwrap_err(), "a/**");
    }
}
