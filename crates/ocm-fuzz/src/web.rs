//! What the servers of packages and charts say.

use ocm_backends::helm::RepositoryIndex;
use ocm_backends::maven::listed_files;
use ocm_backends::npm::Release;
use url::Url;

use crate::first_line;

/// The index of a chart repository; the first line asks for a chart and a version.
pub fn chart_index(bytes: &[u8]) {
    let (wanted, index) = first_line(bytes);
    let (name, version) = wanted.split_once(' ').unwrap_or((wanted, ""));
    let Some(Ok(index)) = str::from_utf8(index).ok().map(RepositoryIndex::parse) else {
        return;
    };
    if let Some(newest) = index.find(name, None) {
        assert!(index.find(name, Some(&newest.version)).is_some());
    }
    if let Some(entry) = index.find(name, Some(version)) {
        let _ = entry.digest();
    }
}

/// The listing of a directory in a Maven repository.
pub fn maven_listing(bytes: &[u8]) {
    let directory = Url::parse("https://acme.org/maven2/org/acme/notes/1.0/");
    let directory = directory.expect("an address");
    for name in listed_files(&String::from_utf8_lossy(bytes), &directory) {
        let leads_elsewhere = name.is_empty()
            || matches!(name.as_str(), "." | "..")
            || name.contains(['/', '\\'])
            || name.contains(char::is_control);
        assert!(!leads_elsewhere, "{name:?}");
    }
}

/// What a registry of npm says of a package; the first line asks for a version.
pub fn npm_document(bytes: &[u8]) {
    let (version, document) = first_line(bytes);
    if let Some(release) = Release::read(document, version) {
        let _ = release.has_readable_checksums();
    }
}
