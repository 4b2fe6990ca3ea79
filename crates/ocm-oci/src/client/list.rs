//! Listing: tags, repositories and referrers, page by page.

use std::collections::BTreeSet;

use async_trait::async_trait;
use http::Method;
use http::header::LINK;
use ocm_digest::Digest;
use serde::Deserialize;
use url::Url;

use crate::client::RegistryClient;
use crate::client::exchange::Call;
use crate::client::reply::Reply;
use crate::client::scope::Scopes;
use crate::document::{Descriptor, Document, RawManifest, media_type};
use crate::error::Error;
use crate::name::{RepositoryName, Tag};
use crate::store::{List, Referrers};

/// The size beyond which a page is refused, in bytes. Some registries know no pages.
const MAX_PAGE: u64 = 32 * 1024 * 1024;

/// How many names are asked for at once.
const PAGE: usize = 1000;

/// The number of pages after which a list is taken for endless.
const MAX_PAGES: usize = 10_000;

#[async_trait]
impl List for RegistryClient {
    async fn repositories(&self) -> Result<Vec<RepositoryName>, Error> {
        let endpoint = &self.inner.endpoint;
        let what = format!("repositories of {}", endpoint.host());
        let call = Call::new(Method::GET, endpoint.catalog(), "", Scopes::catalog(), what);
        let names = self.names(call, |page: Catalog| page.repositories).await;
        match names {
            // Most registries that serve several owners do not show everything to anybody.
            Err(
                Error::NotFound { .. }
                | Error::Unauthenticated { .. }
                | Error::Denied { .. }
                | Error::Remote {
                    status: Some(405 | 501),
                    ..
                },
            ) => Err(Error::Unsupported {
                store: endpoint.location(),
                operation: "listing repositories",
            }),
            other => Ok(parsed(&other?)),
        }
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Error> {
        let endpoint = &self.inner.endpoint;
        let path = endpoint.path_of(repository);
        let call = Call::new(
            Method::GET,
            endpoint.tags(repository),
            &path,
            Scopes::pull(&path),
            format!("{}/{repository}", endpoint.host()),
        );
        let names = self.names(call, |page: Tags| page.tags).await?;
        Ok(parsed(&names))
    }
}

#[async_trait]
impl Referrers for RegistryClient {
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        if let Some(listed) = self.listed_referrers(repository, subject).await? {
            return Ok(listed);
        }
        let tag = Tag::for_referrers(subject);
        Ok(self.referrers_index(repository, &tag).await?.manifests)
    }
}

impl RegistryClient {
    /// Asks the registry for its list of referrers; `None` if it keeps none.
    pub(crate) async fn listed_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Error> {
        let endpoint = &self.inner.endpoint;
        let path = endpoint.path_of(repository);
        let what = format!("referrers of {subject} in {}/{repository}", endpoint.host());
        let url = endpoint.referrers(repository, subject);
        let mut call = Call::new(Method::GET, url, &path, Scopes::pull(&path), what);
        let mut found: Vec<Descriptor> = Vec::new();
        let mut seen = BTreeSet::new();
        for page in 0..MAX_PAGES {
            let reply = self.call(&call, RawManifest::LIMIT).await?;
            match reply.status.as_u16() {
                200..300 => {}
                // Older registries have several ways to say that they do not know the path.
                400 | 404 | 405 | 406 | 501 if page == 0 => return Ok(None),
                _ => return Err(reply.into_error(call.what)),
            }
            // A web page in place of a list is not one, either.
            if page == 0 && reply.media_type() == "text/html" {
                return Ok(None);
            }
            let index = RawManifest::new(reply.body.clone(), media_type::IMAGE_INDEX);
            let index = match index.parse() {
                Ok(Document::Index(index)) => index,
                Ok(Document::Image(_)) => {
                    return Err(Error::malformed(&call.what, "it is no list"));
                }
                Err(Error::Malformed { reason, .. }) => {
                    return Err(Error::malformed(&call.what, reason));
                }
                Err(error) => return Err(error),
            };
            let fresh = index.manifests.into_iter();
            found.extend(fresh.filter(|descriptor| seen.insert(descriptor.digest)));
            match self.next(&reply)? {
                Some(next) => call.request.url = next,
                None => return Ok(Some(found)),
            }
        }
        Err(endless(call.what))
    }

    /// Reads all pages of a list of names (OCI distribution specification, "Listing Tags").
    async fn names<P: for<'de> Deserialize<'de>>(
        &self,
        mut call: Call,
        names: impl Fn(P) -> Option<Vec<String>> + Send,
    ) -> Result<BTreeSet<String>, Error> {
        let first = call.request.url.clone();
        call.request.url = page_after(&first, None);
        let mut found = BTreeSet::new();
        for _ in 0..MAX_PAGES {
            let reply = self.call(&call, MAX_PAGE).await?;
            if !reply.status.is_success() {
                return Err(reply.into_error(call.what));
            }
            let page: P = serde_json::from_slice(&reply.body)
                .map_err(|error| Error::malformed(&call.what, error.to_string()))?;
            let page = names(page).unwrap_or_default();
            let (count, last) = (page.len(), page.last().cloned());
            let before = found.len();
            found.extend(page);
            let has_gained = found.len() > before;
            call.request.url = match self.next(&reply)? {
                // A page may be empty, where the registry leaves out what one may not see.
                Some(next) if next != call.request.url => next,
                // A full page without a link may be a registry that cuts and does not say so.
                None if count == PAGE && has_gained => page_after(&first, last.as_deref()),
                _ => return Ok(found),
            };
        }
        Err(endless(call.what))
    }

    /// Returns where the next page is.
    fn next(&self, reply: &Reply) -> Result<Option<Url>, Error> {
        reply
            .header(LINK.as_str())
            .and_then(next_page)
            .map(|link| self.inner.endpoint.follow(&reply.url, &link))
            .transpose()
    }
}

/// Returns the URL of the next page out of a `Link` header (RFC 8288): `</v2/…>; rel="next"`.
pub fn next_page(header: &str) -> Option<String> {
    let mut rest = header;
    loop {
        let (target, after) = rest.split_once('<')?.1.split_once('>')?;
        let parameters = after.split_once('<').map_or(after, |(before, _)| before);
        let is_next = parameters
            .split([';', ','])
            .filter_map(|parameter| parameter.split_once('='))
            .any(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
            });
        if is_next {
            return Some(target.trim().to_owned());
        }
        rest = after;
    }
}

fn page_after(first: &Url, last: Option<&str>) -> Url {
    let mut url = first.clone();
    url.query_pairs_mut().append_pair("n", &PAGE.to_string());
    if let Some(last) = last {
        url.query_pairs_mut().append_pair("last", last);
    }
    url
}

fn endless(what: String) -> Error {
    Error::malformed(what, "its list does not end")
}

/// Keeps the names that are names, sorted. What else a registry shows cannot be asked for.
fn parsed<T: std::str::FromStr>(names: &BTreeSet<String>) -> Vec<T> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Catalog {
    repositories: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        assert_eq!(
            next_page(r#"</v2/a/tags/list?last=b&n=2>; rel="next""#).unwrap(),
            "/v2/a/tags/list?last=b&n=2"
        );
        assert_eq!(
            next_page(r#"<x>; rel="prev", <y,z>; title="a"; REL=Next"#).unwrap(),
            "y,z"
        );
    }

    #[test]
    fn malformed_links_are_none() {
        for header in [
            "",
            "<",
            "<x",
            "x>; rel=next",
            "<x>",
            "<x>; rel",
            "<x>; rel=prev",
        ] {
            assert_eq!(next_page(header), None, "{header}");
        }
    }
}
