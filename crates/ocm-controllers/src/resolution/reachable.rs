//! Which content the controllers read.
//!
//! A descriptor is written by whoever packs, and the controllers serve everybody. So an access may
//! lead to a server, with the credentials of who asks; it may not lead to files of the controllers'
//! machine, nor have a program started there.

use ocm::model::access::{Access, AccessKind};

/// Why content is not read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Unreachable {
    /// There is no content.
    #[error("the resource has no content")]
    NoContent,
    /// The fields of the access are not those of its type.
    #[error("access of type `{access_type}` is malformed")]
    Malformed {
        access_type: String,
        source: ocm::model::typed::FieldError,
    },
    /// The type is unknown, or leads to files or other repositories.
    #[error("access of type `{access_type}` is not read by controllers")]
    Type { access_type: String },
    /// The address is none of a web server.
    #[error("`{address}` is not read by controllers: it is no address of a web server")]
    Address { address: String },
}

/// Checks that content may be read.
pub(super) fn check(access: Option<&Access>) -> Result<&Access, Unreachable> {
    let access = access.ok_or(Unreachable::NoContent)?;
    let access_type = || access.type_text().to_owned();
    let kind = access.kind().map_err(|source| Unreachable::Malformed {
        access_type: access_type(),
        source,
    })?;
    match kind {
        AccessKind::None => Err(Unreachable::NoContent),
        AccessKind::LocalBlob(_)
        | AccessKind::LocalOciBlob(_)
        | AccessKind::LocalFilesystemBlob(_)
        | AccessKind::RelativeOciReference(_)
        | AccessKind::OciImage(_)
        | AccessKind::OciImageLayer(_)
        | AccessKind::S3Bucket(_)
        | AccessKind::GitHub(_)
        | AccessKind::Npm(_)
        | AccessKind::Maven(_)
        | AccessKind::Wget(_) => Ok(access),
        AccessKind::Helm(helm) => remote(access, &helm.repository, &["http", "https", "oci"]),
        // By SSH a program would be started; without a scheme it is a directory or SSH.
        AccessKind::Git(git) => remote(access, &git.repository, &["http", "https"]),
        _ => Err(Unreachable::Type {
            access_type: access_type(),
        }),
    }
}

fn remote<'a>(
    access: &'a Access,
    address: &str,
    schemes: &[&str],
) -> Result<&'a Access, Unreachable> {
    let scheme = address.split_once("://").map(|(scheme, _)| scheme);
    let is_remote = scheme.is_some_and(|it| schemes.iter().any(|one| it.eq_ignore_ascii_case(one)));
    if is_remote {
        return Ok(access);
    }
    // What is behind a `?` or before an `@` may be a secret.
    let address = address.split('?').next().unwrap_or_default();
    let address = address.rsplit('@').next().unwrap_or_default();
    Err(Unreachable::Address {
        address: address.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn verdict(access: Value) -> String {
        let access = Access::from_json(access).expect("a typed specification");
        match check(Some(&access)) {
            Ok(_) => "read".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn content_of_servers_is_read() {
        for access in [
            json!({"type": "localBlob", "localReference": "sha256:0", "mediaType": "text/plain"}),
            json!({"type": "ociArtifact", "imageReference": "acme.org/notes:1.0.0"}),
            json!({"type": "helm", "helmRepository": "https://acme.org/charts", "helmChart": "notes:1.0.0"}),
            json!({"type": "helm", "helmRepository": "oci://acme.org/charts", "helmChart": "notes:1.0.0"}),
            json!({"type": "gitHub", "repoUrl": "github.com/acme/notes", "commit": "0"}),
            json!({"type": "git", "repository": "https://acme.org/notes.git", "commit": "0"}),
            json!({"type": "wget", "url": "https://acme.org/notes.yaml"}),
            json!({"type": "s3", "bucketName": "acme", "objectKey": "notes.yaml", "bucket": "acme", "key": "notes.yaml"}),
        ] {
            assert_eq!(verdict(access.clone()), "read", "{access}");
        }
    }

    #[test]
    fn files_programs_and_other_repositories_are_out_of_reach() {
        let git = |address: &str| json!({"type": "git", "repository": address, "commit": "0"});
        for (access, expected) in [
            (
                git("file:///etc"),
                "`file:///etc` is not read by controllers: it is no address of a web server",
            ),
            (
                git("/etc"),
                "`/etc` is not read by controllers: it is no address of a web server",
            ),
            (
                git("ssh://git@acme.org/notes.git"),
                "`acme.org/notes.git` is not read by controllers: it is no address of a web server",
            ),
            (
                json!({"type": "file", "uri": "file:///etc/passwd"}),
                "access of type `file` is not read by controllers",
            ),
            (
                json!({"type": "ocm", "component": "acme.org/other", "version": "1.0.0",
                       "ocmRepository": {"type": "CommonTransportFormat", "filePath": "/data"}}),
                "access of type `ocm` is not read by controllers",
            ),
            (
                json!({"type": "helm", "helmRepository": "/charts", "helmChart": "notes:1.0.0"}),
                "`/charts` is not read by controllers: it is no address of a web server",
            ),
            (
                json!({"type": "telepathy"}),
                "access of type `telepathy` is not read by controllers",
            ),
            (json!({"type": "none"}), "the resource has no content"),
        ] {
            assert_eq!(verdict(access.clone()), expected, "{access}");
        }
        assert_eq!(check(None), Err(Unreachable::NoContent));
    }
}
