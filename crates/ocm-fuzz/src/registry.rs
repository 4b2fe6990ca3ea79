//! What clients send to a registry.

use http::Method;
use ocm_oci::lookup;
use ocm_registry::range::{ChunkRange, Selection};
use ocm_registry::route::{self, Route};

/// Method and path of a request, with a blank between them.
pub fn route(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Some((method, path)) = text.split_once(' ') else {
        return;
    };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return;
    };
    if let Ok(route) = route::parse(&method, path) {
        // Tokens may be asked for by POST and much is looked up by it, which writes nothing.
        let reading = matches!(method, Method::GET | Method::HEAD)
            || matches!(route, Route::Token | Route::LookUp);
        assert_eq!(route.writes(), !reading, "{method} {path}");
        assert_eq!(route::parse(&method, &path_of(&route)), Ok(route), "{path}");
    }
}

fn path_of(route: &Route) -> String {
    match route {
        Route::Landing => "/".to_owned(),
        Route::Health => "/healthz".to_owned(),
        Route::Ready => "/readyz".to_owned(),
        Route::Metrics => "/metrics".to_owned(),
        Route::Token => "/token".to_owned(),
        Route::Base => "/v2/".to_owned(),
        Route::Catalog => "/v2/_catalog".to_owned(),
        Route::LookUp => lookup::PATH.to_owned(),
        Route::ListTags { repository } => format!("/v2/{repository}/tags/list"),
        Route::ListReferrers {
            repository,
            subject,
        } => format!("/v2/{repository}/referrers/{subject}"),
        Route::GetManifest {
            repository,
            reference,
        }
        | Route::PutManifest {
            repository,
            reference,
        }
        | Route::DeleteManifest {
            repository,
            reference,
        } => format!("/v2/{repository}/manifests/{reference}"),
        Route::GetBlob { repository, digest } | Route::DeleteBlob { repository, digest } => {
            format!("/v2/{repository}/blobs/{digest}")
        }
        Route::StartUpload { repository } => format!("/v2/{repository}/blobs/uploads/"),
        Route::UploadStatus { repository, id }
        | Route::AppendUpload { repository, id }
        | Route::FinishUpload { repository, id }
        | Route::CancelUpload { repository, id } => format!("/v2/{repository}/blobs/uploads/{id}"),
    }
}

/// The size of a blob, and on the next line a header with a range of it.
pub fn range(bytes: &[u8]) {
    let (size, header) = crate::first_line(bytes);
    let Ok(header) = std::str::from_utf8(header) else {
        return;
    };
    let size = size.parse().unwrap_or(size.len() as u64);
    if let Selection::Part { first, last } = Selection::parse(header, size) {
        assert!(first <= last && last < size, "{first}-{last} of {size}");
    }
    if let Some(chunk) = ChunkRange::parse(header) {
        assert!(chunk.len > 0 && chunk.start.checked_add(chunk.len - 1).is_some());
    }
}
