//! What is where on the servers of packages and archives.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::ACCEPT;

use super::{Answer, Asked, hex};

/// Answers with the files of a server, by their paths.
pub fn files<P: Into<String>, C: Into<Bytes>>(
    files: impl IntoIterator<Item = (P, C)>,
) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
    let files: BTreeMap<String, Bytes> = files
        .into_iter()
        .map(|(path, content)| (path.into(), content.into()))
        .collect();
    move |asked| match files.get(asked.path()) {
        Some(content) => Answer::file(content.clone()),
        None => Answer::status(404),
    }
}

/// Answers as a Maven repository below `/maven2` does, which lists its directories. Each file gets a
/// right checksum in a file `.sha1`, unless that is there already.
pub fn maven<'a>(
    contents: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
    let given: Vec<(String, &[u8])> = contents
        .into_iter()
        .map(|(path, content)| (format!("/maven2/{path}"), content))
        .collect();
    let checksums = given.iter().map(|(path, content)| {
        let checksum = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, content).as_ref());
        (format!("{path}.sha1"), Bytes::from(checksum))
    });
    let mut all: BTreeMap<String, Bytes> = checksums.collect();
    for (path, content) in given {
        all.insert(path, Bytes::copy_from_slice(content));
    }
    move |asked| {
        let path = asked.path();
        if let Some(content) = all.get(path) {
            return Answer::file(content.clone());
        }
        let links: Vec<String> = all
            .keys()
            .filter_map(|name| name.strip_prefix(path))
            .filter(|name| path.ends_with('/') && !name.is_empty() && !name.contains('/'))
            .map(|name| format!("<a href=\"{name}\">{name}</a>"))
            .collect();
        if links.is_empty() {
            return Answer::status(404);
        }
        let page = format!("<html><body>{}</body></html>", links.join("\n"));
        Answer::text("text/html", page)
    }
}

/// A registry of npm with one package.
#[derive(Clone, Debug)]
pub struct Npm {
    /// The name, such as `@acme/notes`.
    pub package: String,
    /// The only version, which is also the latest.
    pub version: String,
    /// What the package consists of.
    pub tarball: Bytes,
    /// Where the tarball is; without it, on the same server.
    pub elsewhere: Option<String>,
    /// Whether the registry knows how to answer for one version.
    pub by_version: bool,
    /// The content for which checksums are stated.
    pub promised: Bytes,
}

impl Npm {
    /// Makes a registry that keeps its promises.
    pub fn new(package: &str, version: &str, tarball: impl Into<Bytes>) -> Self {
        let tarball = tarball.into();
        Self {
            package: package.to_owned(),
            version: version.to_owned(),
            promised: tarball.clone(),
            tarball,
            elsewhere: None,
            by_version: true,
        }
    }

    /// Answers as the registry does, below `/npm`.
    pub fn answer(self) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
        move |asked| {
            let path = asked.path().replace("%2F", "/").replace("%2f", "/");
            let base = format!("/npm/{}", self.package);
            let file = format!("{base}/-/package-{}.tgz", self.version);
            let own = format!("{}{file}", asked.origin());
            let tarball = self.elsewhere.clone().unwrap_or(own);
            let integrity = STANDARD.encode(digest(&SHA512, &self.promised));
            let shasum = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.promised).as_ref());
            let release = format!(
                r#"{{"name":"{}","version":"{}","dist":{{"tarball":"{tarball}","integrity":"sha512-{integrity}","shasum":"{shasum}"}}}}"#,
                self.package, self.version
            );
            let wanted = [format!("{base}/{}", self.version), format!("{base}/latest")];
            if path == file {
                Answer::file(self.tarball.clone())
            } else if self.by_version && wanted.contains(&path) {
                Answer::text("application/json", release)
            } else if path == base {
                let version = &self.version;
                let all = format!(
                    r#"{{"dist-tags":{{"latest":"{version}"}},"versions":{{"{version}":{release}}}}}"#
                );
                Answer::text("application/json", all)
            } else {
                Answer::status(404)
            }
        }
    }
}

/// The REST API of a GitHub Enterprise server with one commit of `acme/notes`.
#[derive(Clone, Debug)]
pub struct Github {
    /// The name of the commit, in 40 digits.
    pub commit: String,
    /// What `main` points to.
    pub branch: String,
    /// Where the archive is.
    pub archive: String,
}

impl Github {
    /// Answers as the API does.
    pub fn answer(self) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
        move |asked| {
            let rest = asked.path().strip_prefix("/api/v3/repos/acme/notes/");
            match rest.unwrap_or_default().split_once('/') {
                Some(("commits", "main")) if asked.header(ACCEPT).contains("github.sha") => {
                    Answer::text("application/vnd.github.sha", self.branch.clone())
                }
                Some(("commits", name)) if name.len() == 40 => Answer::status(422),
                Some(("tarball", commit)) if commit == self.commit => {
                    Answer::redirect(&self.archive)
                }
                _ => Answer::status(404),
            }
        }
    }
}
