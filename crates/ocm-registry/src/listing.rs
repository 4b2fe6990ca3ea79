//! Lists: repositories, tags, referrers, in pages.

use axum::response::Response;
use http::header::{self, HeaderName, HeaderValue};
use ocm_digest::Digest;
use ocm_oci::{Descriptor, ImageIndex, RawManifest, RepositoryName, Tag, media_type};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json as json_value;

use crate::access::Rights;
use crate::failure::{Code, Failure, OrFail as _};
use crate::query::Query;
use crate::registry::{Inner, insert, json};

/// How many repositories a page has, unless the client says.
const CATALOG_PAGE: usize = 1000;

/// How large a page of referrers may be, in bytes: as large as a manifest, as clients read it as
/// one.
const REFERRERS_PAGE: usize = 4 * 1024 * 1024;

const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

impl Inner {
    pub(crate) async fn list_repositories(
        &self,
        query: &Query,
        rights: &Rights,
    ) -> Result<Response, Failure> {
        let number = query.number()?.unwrap_or(CATALOG_PAGE);
        let all = self.store.repositories().await;
        let all = all.or_fail(Code::NameUnknown)?;
        let names = all.iter().filter(|name| rights.may_see(name));
        let names = names.map(RepositoryName::as_str);
        let page = Page::cut(names, query.get("last"), Some(number));
        let body = json_value!({"repositories": page.items});
        Ok(page.answer(&body, "/v2/_catalog", number))
    }

    pub(crate) async fn list_tags(
        &self,
        repository: &RepositoryName,
        query: &Query,
    ) -> Result<Response, Failure> {
        let number = query.number()?;
        let all = self.store.tags(repository).await;
        let all = all.or_fail(Code::NameUnknown)?;
        let tags = all.iter().map(Tag::as_str);
        let page = Page::cut(tags, query.get("last"), number);
        let body = json_value!({"name": repository, "tags": page.items});
        let path = format!("/v2/{repository}/tags/list");
        Ok(page.answer(&body, &path, number.unwrap_or_default()))
    }

    pub(crate) async fn list_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        query: &Query,
    ) -> Result<Response, Failure> {
        let found = self.store.referrers(repository, subject).await;
        let mut found = match found {
            Err(error) if error.is_not_found() => Vec::new(),
            found => found.or_fail(Code::NameUnknown)?,
        };
        let filter = query.artifact_type();
        if let Some(wanted) = &filter {
            found.retain(|descriptor| descriptor.artifact_type.as_ref() == Some(wanted));
        }
        found.sort_by_key(|descriptor| descriptor.digest);
        if let Some(last) = query.digest("last")? {
            found.retain(|descriptor| descriptor.digest > last);
        }
        let complete = cut_to_size(&mut found, REFERRERS_PAGE);
        let last = found.last().map(|descriptor| descriptor.digest);
        let index = RawManifest::index(&ImageIndex::new(found));

        let mut response = json(index.bytes().clone());
        let headers = response.headers_mut();
        let index_type = HeaderValue::from_static(media_type::IMAGE_INDEX);
        headers.insert(header::CONTENT_TYPE, index_type);
        if filter.is_some() {
            headers.insert(FILTERS, HeaderValue::from_static("artifactType"));
        }
        if let (false, Some(last)) = (complete, last) {
            let filter = filter.map_or_else(String::new, |filter| {
                format!(
                    "artifactType={}&",
                    utf8_percent_encode(&filter, NON_ALPHANUMERIC)
                )
            });
            let next = format!("/v2/{repository}/referrers/{subject}?{filter}last={last}");
            link(&mut response, &next);
        }
        Ok(response)
    }
}

/// Names the next page.
fn link(response: &mut Response, next: &str) {
    let value = format!("<{next}>; rel=\"next\"");
    insert(response.headers_mut(), header::LINK, &value);
}

/// Shortens a list to what fits in a page, but to one item at least; returns whether all did.
fn cut_to_size(descriptors: &mut Vec<Descriptor>, limit: usize) -> bool {
    let mut size = 0_usize;
    let fitting = descriptors.iter().take_while(|descriptor| {
        size += serde_json::to_vec(descriptor).map_or(limit, |json| json.len() + 1);
        size <= limit
    });
    let count = fitting.count().max(1);
    let complete = count >= descriptors.len();
    descriptors.truncate(count);
    complete
}

/// Part of a sorted list.
#[derive(Debug, Eq, PartialEq)]
struct Page<'a> {
    items: Vec<&'a str>,
    complete: bool,
}

impl<'a> Page<'a> {
    /// Takes `number` items after `last`, or all of them.
    fn cut(
        items: impl Iterator<Item = &'a str>,
        last: Option<&str>,
        number: Option<usize>,
    ) -> Self {
        let mut rest = items.skip_while(|item| last.is_some_and(|last| *item <= last));
        let items: Vec<_> = rest.by_ref().take(number.unwrap_or(usize::MAX)).collect();
        // No items are asked for, so none are next.
        let complete = items.is_empty() || rest.next().is_none();
        Self { items, complete }
    }

    fn answer(&self, body: &serde_json::Value, path: &str, number: usize) -> Response {
        let mut response = json(body.to_string());
        if let (false, Some(last)) = (self.complete, self.items.last()) {
            link(&mut response, &format!("{path}?n={number}&last={last}"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(last: Option<&str>, number: Option<usize>, expected: &[&str], complete: bool) {
        let page = Page::cut(["a", "b", "c"].into_iter(), last, number);
        assert_eq!(page.items, expected);
        assert_eq!(page.complete, complete);
    }

    #[test]
    fn a_page_starts_after_the_last_item() {
        check(None, None, &["a", "b", "c"], true);
        check(None, Some(2), &["a", "b"], false);
        check(Some("b"), Some(2), &["c"], true);
        check(Some("aa"), Some(1), &["b"], false);
        check(Some("c"), None, &[], true);
        check(None, Some(3), &["a", "b", "c"], true);
        check(None, Some(0), &[], true);
    }

    #[test]
    fn a_page_of_referrers_has_a_size_and_never_none() {
        let descriptor = |n: u8| Descriptor::of("a/b", &[n]).with_annotation("k", "x".repeat(100));
        let all: Vec<_> = (0..5).map(descriptor).collect();
        let one = serde_json::to_vec(&all[0]).unwrap().len() + 1;
        for (limit, count, complete) in [
            (one * 5, 5, true),
            (one * 5 - 1, 4, false),
            (one, 1, false),
            (1, 1, false),
        ] {
            let mut page = all.clone();
            assert_eq!(cut_to_size(&mut page, limit), complete);
            assert_eq!(page.len(), count);
        }
        assert!(cut_to_size(&mut Vec::new(), 10));
    }
}
