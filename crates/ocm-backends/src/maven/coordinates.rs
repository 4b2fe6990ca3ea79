//! Which files an artifact consists of, and what they are called.

use std::fmt;

use ocm_model::access::Maven;
use ocm_oci::Error;

use crate::checksum::Algorithm;

/// Group, artifact and version, and which of the files are meant.
#[derive(Clone, Debug)]
pub(super) struct Coordinates {
    group: String,
    artifact: String,
    version: String,
    /// Absent means any, empty means none.
    classifier: Option<String>,
    extension: Option<String>,
    media_type: Option<String>,
}

impl Coordinates {
    pub(super) fn new(maven: &Maven) -> Result<Self, Error> {
        for (what, text) in [
            ("group", maven.group_id.as_str()),
            ("artifact", &maven.artifact_id),
            ("version", &maven.version),
            ("classifier", maven.classifier.as_deref().unwrap_or("x")),
            ("extension", maven.extension.as_deref().unwrap_or("x")),
        ] {
            let may_be_empty = matches!(what, "classifier" | "extension");
            let is_empty = text.is_empty() && !may_be_empty;
            let is_odd = text.contains(['/', '\\', '?', '#']) || text.contains(char::is_control);
            if is_empty || is_odd || text.split('.').all(str::is_empty) && !text.is_empty() {
                let what = format!("{what} of a Maven artifact, `{text}`");
                return Err(Error::malformed(what, "no repository has such names"));
            }
        }
        Ok(Self {
            group: maven.group_id.clone(),
            artifact: maven.artifact_id.clone(),
            version: maven.version.clone(),
            classifier: maven.classifier.clone(),
            extension: maven.extension.clone(),
            media_type: maven.media_type.clone().filter(|text| !text.is_empty()),
        })
    }

    /// Whether all files are meant.
    pub(super) const fn is_package(&self) -> bool {
        self.classifier.is_none() && self.extension.is_none()
    }

    /// The name of the file, if only one is meant.
    pub(super) fn file(&self) -> Option<String> {
        let classifier = self.classifier.as_deref()?;
        let extension = self.extension.as_deref().filter(|text| !text.is_empty())?;
        let dash = if classifier.is_empty() { "" } else { "-" };
        Some(format!("{}{dash}{classifier}.{extension}", self.prefix()))
    }

    /// The media type of the file, if only one is meant: the one given, else that of its name.
    pub(super) fn media_type(&self) -> String {
        let of_name = || media_type(self.extension.as_deref().unwrap_or_default()).to_owned();
        self.media_type.clone().unwrap_or_else(of_name)
    }

    /// The parts of the path to the directory of the artifact in its repository.
    pub(super) fn directory(&self) -> impl Iterator<Item = &str> {
        let rest = [self.artifact.as_str(), self.version.as_str()];
        self.group.split('.').chain(rest)
    }

    /// Whether a file of the directory is meant. Checksums and signatures are none.
    pub(super) fn includes(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(&self.prefix()) else {
            return false;
        };
        if is_about_a_file(name) || !rest.starts_with(['-', '.']) {
            return false;
        }
        let rest = match self.classifier.as_deref() {
            None if self.extension.is_none() => return true,
            None | Some("") => rest,
            Some(classifier) => {
                let after = rest.strip_prefix('-');
                match after.and_then(|rest| rest.strip_prefix(classifier)) {
                    Some(rest) => rest,
                    None => return false,
                }
            }
        };
        match self.extension.as_deref().filter(|text| !text.is_empty()) {
            None => rest.starts_with('.'),
            Some(extension) => {
                let before = rest
                    .strip_suffix(extension)
                    .and_then(|rest| rest.strip_suffix('.'));
                match before {
                    Some("") => true,
                    // Any classifier.
                    Some(before) => {
                        self.classifier.is_none() && before.len() > 1 && before.starts_with('-')
                    }
                    None => false,
                }
            }
        }
    }

    fn prefix(&self) -> String {
        format!("{}-{}", self.artifact, self.version)
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.group, self.artifact, self.version)?;
        if let Some(classifier) = &self.classifier {
            write!(f, ", classifier `{classifier}`")?;
        }
        if let Some(extension) = &self.extension {
            write!(f, ", extension `{extension}`")?;
        }
        Ok(())
    }
}

/// Whether a file says something about another: its checksum or its signature.
fn is_about_a_file(name: &str) -> bool {
    let extension = name.rsplit('.').next().unwrap_or_default();
    extension == "asc"
        || Algorithm::ALL
            .iter()
            .any(|algorithm| algorithm.as_str() == extension)
}

/// The media type of a file by its extension.
fn media_type(extension: &str) -> &'static str {
    match extension {
        "jar" => "application/x-jar",
        "pom" | "xml" => "application/xml",
        "module" => "application/x-json",
        "json" => "application/json",
        "tgz" | "tar.gz" => "application/x-tgz",
        "tar" => "application/x-tar",
        "gz" | "gzip" => "application/gzip",
        "zip" => "application/zip",
        "txt" => "text/plain",
        "html" => "text/html",
        "yaml" | "yml" => "application/yaml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinates(classifier: Option<&str>, extension: Option<&str>) -> Coordinates {
        let maven = Maven {
            repo_url: String::new(),
            group_id: "org.acme".to_owned(),
            artifact_id: "notes".to_owned(),
            version: "1.0".to_owned(),
            classifier: classifier.map(str::to_owned),
            extension: extension.map(str::to_owned),
            media_type: None,
        };
        Coordinates::new(&maven).unwrap()
    }

    const FILES: [&str; 9] = [
        "notes-1.0-sources.jar",
        "notes-1.0-sources.zip",
        "notes-1.0-x-sources.jar",
        "notes-1.0.jar",
        "notes-1.0.jar.asc",
        "notes-1.0.jar.sha1",
        "notes-1.0.pom",
        "notes-1.01.jar",
        "other-1.0.jar",
    ];

    #[track_caller]
    fn check(classifier: Option<&str>, extension: Option<&str>, expected: &[&str]) {
        let coordinates = coordinates(classifier, extension);
        let found: Vec<&str> = FILES
            .into_iter()
            .filter(|name| coordinates.includes(name))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn classifier_and_extension_choose_files() {
        check(
            None,
            None,
            &[
                "notes-1.0-sources.jar",
                "notes-1.0-sources.zip",
                "notes-1.0-x-sources.jar",
                "notes-1.0.jar",
                "notes-1.0.pom",
            ],
        );
        check(
            None,
            Some("jar"),
            &[
                "notes-1.0-sources.jar",
                "notes-1.0-x-sources.jar",
                "notes-1.0.jar",
            ],
        );
        check(Some(""), None, &["notes-1.0.jar", "notes-1.0.pom"]);
        check(
            Some("sources"),
            None,
            &["notes-1.0-sources.jar", "notes-1.0-sources.zip"],
        );
        check(Some("sources"), Some("jar"), &["notes-1.0-sources.jar"]);
        check(Some(""), Some("jar"), &["notes-1.0.jar"]);
    }

    #[test]
    fn both_together_name_one_file() {
        let file = |classifier, extension| coordinates(classifier, extension).file();
        assert_eq!(
            file(Some(""), Some("jar")).as_deref(),
            Some("notes-1.0.jar")
        );
        assert_eq!(
            file(Some("bin"), Some("tar.gz")).as_deref(),
            Some("notes-1.0-bin.tar.gz")
        );
        assert_eq!(file(None, Some("jar")), None);
        assert_eq!(file(Some("bin"), Some("")), None);
        let directory: Vec<String> = coordinates(None, None)
            .directory()
            .map(str::to_owned)
            .collect();
        assert_eq!(directory, ["org", "acme", "notes", "1.0"]);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", "..", "a/b", "a\\b", "a?b", "a\nb"] {
            let maven = Maven {
                repo_url: String::new(),
                group_id: "a".to_owned(),
                artifact_id: name.to_owned(),
                version: "1".to_owned(),
                classifier: None,
                extension: None,
                media_type: None,
            };
            assert!(Coordinates::new(&maven).is_err(), "{name:?}");
        }
    }
}
