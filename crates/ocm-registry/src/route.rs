//! Which request is which: method and path in, [`Route`] out.
//!
//! Repository names contain slashes and may contain the API's own words, so paths are split from
//! the right:
//!
//! ```text
//! /v2/<name>/manifests/<tag or digest>
//! /v2/<name>/blobs/<digest>
//! /v2/<name>/blobs/uploads/[<id>]
//! /v2/<name>/referrers/<digest>
//! /v2/<name>/tags/list
//! ```
//!
//! No name begins with `_`, as what extends the API does.

use http::Method;
use ocm_digest::{Digest, ParseDigestError};
use ocm_oci::{ParseNameError, Reference, RepositoryName, lookup};
use percent_encoding::percent_decode_str;

pub use crate::upload_id::UploadId;

/// What a request asks for. HEAD is GET.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum Route {
    /// `/`: says what this server is.
    Landing,
    /// `/healthz`: says that it is there.
    Health,
    /// `/readyz`: says whether the store answers.
    Ready,
    /// `/metrics`: numbers, where they are wanted.
    Metrics,
    /// `/token`: gives out tokens, where there are some. POST is for it as well.
    Token,
    /// `/v2/`: says that it speaks the API.
    Base,
    /// `/v2/_catalog`: the names of all repositories.
    Catalog,
    /// `/v2/_ocm/manifests/resolve`: what many references point to ([`ocm_oci::lookup`]). It has POST.
    LookUp,
    /// The tags of a repository.
    ListTags { repository: RepositoryName },
    /// The manifests that refer to one.
    ListReferrers {
        repository: RepositoryName,
        subject: Digest,
    },
    /// A manifest.
    GetManifest {
        repository: RepositoryName,
        reference: Reference,
    },
    /// Storing a manifest.
    PutManifest {
        repository: RepositoryName,
        reference: Reference,
    },
    /// Removing a manifest, or a tag.
    DeleteManifest {
        repository: RepositoryName,
        reference: Reference,
    },
    /// A blob.
    GetBlob {
        repository: RepositoryName,
        digest: Digest,
    },
    /// Removing a blob.
    DeleteBlob {
        repository: RepositoryName,
        digest: Digest,
    },
    /// Starting an upload, or mounting, or a whole upload at once.
    StartUpload { repository: RepositoryName },
    /// How far an upload has come.
    UploadStatus {
        repository: RepositoryName,
        id: UploadId,
    },
    /// The next bytes of an upload.
    AppendUpload {
        repository: RepositoryName,
        id: UploadId,
    },
    /// The end of an upload.
    FinishUpload {
        repository: RepositoryName,
        id: UploadId,
    },
    /// Giving an upload up.
    CancelUpload {
        repository: RepositoryName,
        id: UploadId,
    },
}

impl Route {
    /// Returns whether the request may change the store.
    pub const fn writes(&self) -> bool {
        match self {
            Self::Landing
            | Self::Health
            | Self::Ready
            | Self::Metrics
            | Self::Token
            | Self::Base
            | Self::Catalog
            | Self::LookUp
            | Self::ListTags { .. }
            | Self::ListReferrers { .. }
            | Self::GetManifest { .. }
            | Self::GetBlob { .. }
            | Self::UploadStatus { .. } => false,
            Self::PutManifest { .. }
            | Self::DeleteManifest { .. }
            | Self::DeleteBlob { .. }
            | Self::StartUpload { .. }
            | Self::AppendUpload { .. }
            | Self::FinishUpload { .. }
            | Self::CancelUpload { .. } => true,
        }
    }
}

/// What sort of thing a request is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Base,
    Catalog,
    Tags,
    Referrers,
    Manifest,
    Blob,
    Upload,
    Token,
    Other,
}

impl Kind {
    /// All of them, in their order.
    pub(crate) const ALL: [Self; 9] = [
        Self::Base,
        Self::Catalog,
        Self::Tags,
        Self::Referrers,
        Self::Manifest,
        Self::Blob,
        Self::Upload,
        Self::Token,
        Self::Other,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Catalog => "catalog",
            Self::Tags => "tags",
            Self::Referrers => "referrers",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Upload => "upload",
            Self::Token => "token",
            Self::Other => "other",
        }
    }
}

impl Route {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Landing | Self::Health | Self::Ready | Self::Metrics => Kind::Other,
            Self::Token => Kind::Token,
            Self::Base => Kind::Base,
            Self::Catalog => Kind::Catalog,
            Self::ListTags { .. } => Kind::Tags,
            Self::ListReferrers { .. } => Kind::Referrers,
            Self::LookUp
            | Self::GetManifest { .. }
            | Self::PutManifest { .. }
            | Self::DeleteManifest { .. } => Kind::Manifest,
            Self::GetBlob { .. } | Self::DeleteBlob { .. } => Kind::Blob,
            Self::StartUpload { .. }
            | Self::UploadStatus { .. }
            | Self::AppendUpload { .. }
            | Self::FinishUpload { .. }
            | Self::CancelUpload { .. } => Kind::Upload,
        }
    }
}

/// Reads method and path of a request. The path may be percent-encoded.
///
/// # Errors
///
/// There is no such path, the method is not for it, or a name in it is malformed.
pub fn parse(method: &Method, path: &str) -> Result<Route, Error> {
    let path = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| Error::Encoding)?;
    match path.as_ref() {
        "/" => return reading(method, Route::Landing),
        "/healthz" => return reading(method, Route::Health),
        "/readyz" => return reading(method, Route::Ready),
        "/metrics" => return reading(method, Route::Metrics),
        "/token" => {
            return match *method {
                Method::GET | Method::POST => Ok(Route::Token),
                _ => Err(Error::Method { allow: "GET, POST" }),
            };
        }
        lookup::PATH => {
            return match *method {
                Method::POST => Ok(Route::LookUp),
                _ => Err(Error::Method { allow: "POST" }),
            };
        }
        "/v2" | "/v2/" => return reading(method, Route::Base),
        "/v2/_catalog" => return reading(method, Route::Catalog),
        _ => {}
    }
    let path = path.strip_prefix("/v2/").ok_or(Error::NoSuchPath)?;
    let (rest, last) = path.rsplit_once('/').ok_or(Error::NoSuchPath)?;
    let (rest, kind) = rest.rsplit_once('/').ok_or(Error::NoSuchPath)?;
    match (kind, last) {
        ("manifests", _) => manifest(method, rest, last),
        ("blobs", "uploads") => start_upload(method, rest),
        ("blobs", _) => blob(method, rest, last),
        ("referrers", _) => {
            let repository = rest.parse()?;
            let subject = last.parse()?;
            let route = Route::ListReferrers {
                repository,
                subject,
            };
            reading(method, route)
        }
        ("tags", "list") => {
            let repository = rest.parse()?;
            reading(method, Route::ListTags { repository })
        }
        ("uploads", _) => {
            let name = rest.strip_suffix("/blobs").ok_or(Error::NoSuchPath)?;
            if last.is_empty() {
                start_upload(method, name)
            } else {
                upload(method, name, last)
            }
        }
        _ => Err(Error::NoSuchPath),
    }
}

fn reading(method: &Method, route: Route) -> Result<Route, Error> {
    match *method {
        Method::GET | Method::HEAD => Ok(route),
        _ => Err(Error::Method { allow: "GET, HEAD" }),
    }
}

fn manifest(method: &Method, name: &str, reference: &str) -> Result<Route, Error> {
    let repository: RepositoryName = name.parse()?;
    // Only a digest has a colon, and a text with one is better called a wrong digest than a tag.
    let reference = if reference.contains(':') {
        Reference::Digest(reference.parse()?)
    } else {
        match (reference.parse(), method) {
            (Ok(tag), _) => Reference::Tag(tag),
            (Err(source), &Method::PUT) => return Err(Error::Tag(source)),
            (Err(source), _) => return Err(Error::NoSuchTag(source)),
        }
    };
    match *method {
        Method::GET | Method::HEAD => Ok(Route::GetManifest {
            repository,
            reference,
        }),
        Method::PUT => Ok(Route::PutManifest {
            repository,
            reference,
        }),
        Method::DELETE => Ok(Route::DeleteManifest {
            repository,
            reference,
        }),
        _ => Err(Error::Method {
            allow: "GET, HEAD, PUT, DELETE",
        }),
    }
}

fn blob(method: &Method, name: &str, digest: &str) -> Result<Route, Error> {
    let repository = name.parse()?;
    let digest = digest.parse()?;
    match *method {
        Method::GET | Method::HEAD => Ok(Route::GetBlob { repository, digest }),
        Method::DELETE => Ok(Route::DeleteBlob { repository, digest }),
        _ => Err(Error::Method {
            allow: "GET, HEAD, DELETE",
        }),
    }
}

fn start_upload(method: &Method, name: &str) -> Result<Route, Error> {
    let repository = name.parse()?;
    match *method {
        Method::POST => Ok(Route::StartUpload { repository }),
        _ => Err(Error::Method { allow: "POST" }),
    }
}

fn upload(method: &Method, name: &str, id: &str) -> Result<Route, Error> {
    let repository = name.parse()?;
    let id = id.parse()?;
    match *method {
        Method::GET | Method::HEAD => Ok(Route::UploadStatus { repository, id }),
        Method::PATCH => Ok(Route::AppendUpload { repository, id }),
        Method::PUT => Ok(Route::FinishUpload { repository, id }),
        Method::DELETE => Ok(Route::CancelUpload { repository, id }),
        _ => Err(Error::Method {
            allow: "GET, HEAD, PATCH, PUT, DELETE",
        }),
    }
}

/// Why a request is none of the API.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The API has no such path.
    #[error("there is no such path")]
    NoSuchPath,
    /// The path has other methods.
    #[error("the path has the methods {allow}")]
    Method {
        /// The methods, as the `Allow` header lists them.
        allow: &'static str,
    },
    /// The path is no UTF-8.
    #[error("the path is no percent-encoded UTF-8")]
    Encoding,
    /// What stands where a repository is named is no name.
    #[error(transparent)]
    Name(#[from] ParseNameError),
    /// What stands where content is named is no digest.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
    /// A manifest cannot be stored under this.
    #[error(transparent)]
    Tag(ParseNameError),
    /// No manifest can be found under this.
    #[error(transparent)]
    NoSuchTag(ParseNameError),
    /// No upload can have this name.
    #[error("there is no such upload")]
    NoSuchUpload,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "01234567-89ab-4def-8123-456789abcdef";

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(method: &Method, path: &str, expected: &Route) {
        assert_eq!(parse(method, path).as_ref(), Ok(expected), "{path}");
    }

    #[track_caller]
    fn refused(method: &Method, path: &str) -> Error {
        match parse(method, path) {
            Ok(route) => panic!("{path} is {route:?}"),
            Err(error) => error,
        }
    }

    #[test]
    fn fixed_paths_are_for_reading() {
        for (path, route) in [
            ("/", Route::Landing),
            ("/healthz", Route::Health),
            ("/v2", Route::Base),
            ("/v2/", Route::Base),
            ("/v2/_catalog", Route::Catalog),
        ] {
            check(&Method::GET, path, &route);
            check(&Method::HEAD, path, &route);
            assert_eq!(
                refused(&Method::POST, path),
                Error::Method { allow: "GET, HEAD" }
            );
        }
        check(&Method::POST, lookup::PATH, &Route::LookUp);
        assert!(!Route::LookUp.writes());
        assert_eq!(
            refused(&Method::GET, lookup::PATH),
            Error::Method { allow: "POST" }
        );
    }

    #[test]
    fn each_method_has_its_route() {
        let repository = name("a/b");
        let reference: Reference = "v1".parse().unwrap();
        let path = "/v2/a/b/manifests/v1";
        let get = Route::GetManifest {
            repository: repository.clone(),
            reference: reference.clone(),
        };
        check(&Method::GET, path, &get);
        check(&Method::HEAD, path, &get);
        let put = Route::PutManifest {
            repository: repository.clone(),
            reference: reference.clone(),
        };
        check(&Method::PUT, path, &put);
        let delete = Route::DeleteManifest {
            repository: repository.clone(),
            reference,
        };
        check(&Method::DELETE, path, &delete);
        let digest = DIGEST.parse().unwrap();
        let path = format!("/v2/a/b/blobs/{DIGEST}");
        let get = Route::GetBlob {
            repository: repository.clone(),
            digest,
        };
        check(&Method::GET, &path, &get);
        let delete = Route::DeleteBlob { repository, digest };
        check(&Method::DELETE, &path, &delete);
        assert!(matches!(
            refused(&Method::PUT, &path),
            Error::Method { allow } if allow == "GET, HEAD, DELETE"
        ));
    }

    #[test]
    fn uploads_start_with_and_without_the_last_slash() {
        let route = Route::StartUpload {
            repository: name("a"),
        };
        check(&Method::POST, "/v2/a/blobs/uploads/", &route);
        check(&Method::POST, "/v2/a/blobs/uploads", &route);
        refused(&Method::GET, "/v2/a/blobs/uploads/");
    }

    #[test]
    fn an_upload_has_four_methods() {
        let id: UploadId = ID.parse().unwrap();
        assert_eq!(id.to_string(), ID);
        let repository = name("a/b");
        let path = format!("/v2/a/b/blobs/uploads/{ID}");
        for (method, writes) in [
            (Method::GET, false),
            (Method::PATCH, true),
            (Method::PUT, true),
            (Method::DELETE, true),
        ] {
            assert_eq!(parse(&method, &path).unwrap().writes(), writes);
        }
        check(
            &Method::PATCH,
            &path,
            &Route::AppendUpload { repository, id },
        );
        refused(&Method::POST, &path);
    }

    proptest! {
        #[test]
        fn any_text_is_a_route_or_an_error(path in ".{0,80}", delete: bool) {
            let method = if delete { Method::DELETE } else { Method::GET };
            let _ = parse(&method, &path);
            let _ = parse(&method, &format!("/v2/{path}"));
        }

        #[test]
        fn every_name_finds_its_way(
            words in prop::collection::vec(
                "[a-z0-9]{1,8}|blobs|uploads|manifests|tags|list|referrers|v2",
                1..6,
            ),
        ) {
            let text = words.join("/");
            let repository = name(&text);
            let digest: Digest = DIGEST.parse().unwrap();
            let blob = Route::GetBlob { repository: repository.clone(), digest };
            check(&Method::GET, &format!("/v2/{text}/blobs/{DIGEST}"), &blob);
            let id = ID.parse().unwrap();
            let upload = Route::UploadStatus { repository: repository.clone(), id };
            check(&Method::GET, &format!("/v2/{text}/blobs/uploads/{ID}"), &upload);
            let tags = Route::ListTags { repository };
            check(&Method::GET, &format!("/v2/{text}/tags/list"), &tags);
        }
    }

    #[test]
    fn names_may_contain_the_words_of_the_api() {
        for (path, repository) in [
            ("/v2/tags/list/tags/list", "tags/list"),
            ("/v2/blobs/uploads/tags/list", "blobs/uploads"),
            ("/v2/v2/tags/list", "v2"),
            ("/v2/manifests/manifests/tags/list", "manifests/manifests"),
        ] {
            let repository = name(repository);
            check(&Method::GET, path, &Route::ListTags { repository });
        }
        let route = Route::GetManifest {
            repository: name("a/blobs/uploads"),
            reference: "list".parse().unwrap(),
        };
        check(&Method::GET, "/v2/a/blobs/uploads/manifests/list", &route);
    }

    #[test]
    fn percent_encoding_is_undone_once() {
        let encoded = format!("/v2/a%2Fb/blobs/{}", DIGEST.replace(':', "%3a"));
        let route = Route::GetBlob {
            repository: name("a/b"),
            digest: DIGEST.parse().unwrap(),
        };
        check(&Method::GET, &encoded, &route);
        assert!(matches!(
            refused(&Method::GET, "/v2/a%252fb/tags/list"),
            Error::Name(_)
        ));
        assert_eq!(refused(&Method::GET, "/v2/%ff/tags/list"), Error::Encoding);
    }

    #[test]
    fn malformed_parts_say_what_they_are() {
        for path in ["/v2/A/tags/list", "/v2//tags/list", "/v2/../tags/list"] {
            assert!(matches!(refused(&Method::GET, path), Error::Name(_)));
        }
        for path in [
            "/v2/a/blobs/x",
            "/v2/a/blobs/",
            "/v2/a/blobs/sha256:0",
            "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e",
            "/v2/a/referrers/latest",
            "/v2/a/manifests/sha256:0",
        ] {
            assert!(
                matches!(refused(&Method::GET, path), Error::Digest(_)),
                "{path}"
            );
        }
        assert!(matches!(
            refused(&Method::GET, "/v2/a/manifests/.x"),
            Error::NoSuchTag(_)
        ));
        assert!(matches!(
            refused(&Method::PUT, "/v2/a/manifests/.x"),
            Error::Tag(_)
        ));
        for id in ["x", "0", &ID.to_uppercase(), &ID.replace('-', "0")] {
            let path = format!("/v2/a/blobs/uploads/{id}");
            assert_eq!(refused(&Method::GET, &path), Error::NoSuchUpload);
        }
        for path in [
            "",
            "v2",
            "/v1/",
            "/v2/a",
            "/v2/a/b",
            "/v2/a/b/c",
            "/v2/_catalog/",
            "//",
            "/v2/tags/list",
            "/v2/a/tags/",
            "/v2/a/tags/all",
            "/v2/uploads/",
            "/v2/a/uploads/x",
        ] {
            assert_eq!(refused(&Method::GET, path), Error::NoSuchPath, "{path}");
        }
    }
}
