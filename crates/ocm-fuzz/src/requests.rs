//! Whole requests to a registry.
//!
//! ```text
//! POST /v2/shop/blobs/uploads/        method, path and query; `@` is where the last answer pointed
//! content-length: 5                   headers
//!
//! hello                               the body
//! %%                                  the next request
//! PUT @?digest=sha256:2cf2…
//! ```

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use ocm_blob::{BlobRef, MemoryBlob};
use ocm_oci::{
    Descriptor, Fetch as _, ImageManifest, List as _, MemoryStore, Push as _, RawManifest,
    RepositoryName, Tag,
};
use ocm_registry::{Registry, RegistryOptions};
use tower_service::Service as _;

/// How many requests of an input are sent.
const MAX_REQUESTS: usize = 16;

/// The largest answer: what inputs can bring in, with room for lists.
const MAX_ANSWER: usize = 1024 * 1024;

/// Requests to a registry in memory that has one image. None may make it fail, whatever it says.
pub fn requests(bytes: &[u8]) {
    crate::block_on(async {
        let store = MemoryStore::new();
        fill(&store).await;
        let registry = Registry::new(Arc::new(store.clone()), RegistryOptions::default());
        let mut router = registry.router();
        let mut location = String::new();
        for part in split(bytes).take(MAX_REQUESTS) {
            let Some(request) = request(part, &location) else {
                continue;
            };
            let line = format!("{} {}", request.method(), request.uri());
            let is_head = request.method() == Method::HEAD;
            let answer = router
                .call(request)
                .await
                .unwrap_or_else(|never| match never {});
            let (answer, body) = answer.into_parts();
            assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{line}");
            if let Some(place) = text(&answer.headers, &header::LOCATION) {
                place.clone_into(&mut location);
            }
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.unwrap_or_else(|error| panic!("{line}: {error}"));
            let body = body.to_bytes();
            let length = text(&answer.headers, &header::CONTENT_LENGTH);
            if let Some(length) = length.filter(|_| !is_head) {
                assert_eq!(length, body.len().to_string(), "{line}");
            }
        }
        check(&store).await;
    });
}

/// Puts an image under the tag `1` of `shop`.
async fn fill(store: &MemoryStore) {
    let shop: RepositoryName = "shop".parse().expect("it is a name");
    let tag: Tag = "1".parse().expect("it is a tag");
    for content in ["{}", "hello"] {
        let blob: BlobRef = Arc::new(MemoryBlob::new(content));
        let pushed = store.push_blob(&shop, &blob).await;
        pushed.expect("memory takes everything");
    }
    let config = Descriptor::of("application/vnd.oci.image.config.v1+json", b"{}");
    let layer = Descriptor::of("text/plain", b"hello");
    let manifest = RawManifest::image(&ImageManifest::new(config, vec![layer]));
    let pushed = store.push_manifest(&shop, &manifest, Some(&tag)).await;
    pushed.expect("memory takes everything");
}

/// Cuts at lines that are `%%`.
fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        const MARK: &[u8] = b"\n%%\n";
        let bytes = rest.take()?;
        let cut = bytes.windows(MARK.len()).position(|window| window == MARK);
        Some(cut.map_or(bytes, |cut| {
            rest = Some(&bytes[cut + MARK.len()..]);
            &bytes[..cut]
        }))
    })
}

/// Reads a request; what no client could send is none.
fn request(part: &[u8], location: &str) -> Option<Request<Full<Bytes>>> {
    let (line, mut rest) = crate::first_line(part);
    let (method, target) = line.split_once(' ')?;
    let target = match target.strip_prefix('@') {
        Some(more) => format!("{location}{more}"),
        None => target.to_owned(),
    };
    let mut headers = HeaderMap::new();
    while !rest.is_empty() {
        let (line, after) = crate::first_line(rest);
        rest = after;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && let Ok(name) = name.trim().parse::<HeaderName>()
            && let Ok(value) = value.trim().parse::<HeaderValue>()
        {
            headers.append(name, value);
        }
    }
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).ok()?)
        .uri(target)
        .body(Full::new(Bytes::copy_from_slice(rest)))
        .ok()?;
    *request.headers_mut() = headers;
    Some(request)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Checks that whatever is tagged can be read, and is what its digest says.
async fn check(store: &MemoryStore) {
    for repository in store.repositories().await.unwrap_or_default() {
        for tag in store.tags(&repository).await.unwrap_or_default() {
            let manifest = store.manifest(&repository, &tag.into()).await;
            let manifest = manifest.expect("what is tagged is there");
            let digest = manifest.digest();
            assert_eq!(digest.algorithm().digest(manifest.bytes()), digest);
        }
    }
}
