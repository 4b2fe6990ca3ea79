//! The part of a URL after the question mark.

use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{RepositoryName, Tag};
use url::form_urlencoded;

use crate::failure::{Code, Failure};

/// Parameters of a request. Each is read, and checked, by the request that has a use for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads any text; what is no UTF-8 becomes replacement characters, which no name contains.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(text.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let (_, value) = pairs.find(|(key, _)| key == name)?;
        Some(value)
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Reads a parameter that is a digest.
    pub(crate) fn digest(&self, name: &str) -> Result<Option<Digest>, Failure> {
        let digest = self.get(name).map(str::parse).transpose();
        digest.map_err(|error| Failure::digest(&error))
    }

    /// Returns the repository to mount from. What is no name is no repository of ours.
    pub(crate) fn from(&self) -> Option<Result<RepositoryName, ocm_oci::ParseNameError>> {
        self.get("from").map(str::parse)
    }

    /// Checks the algorithm that a client announces for an upload.
    pub(crate) fn check_algorithm(&self) -> Result<(), Failure> {
        match self.get("digest-algorithm") {
            Some(name) if HashAlgorithm::from_name(name).is_none() => Err(Failure::bad(
                Code::DigestInvalid,
                format!("digest algorithm `{name}` is not known"),
            )),
            _ => Ok(()),
        }
    }

    /// Returns the number of results asked for.
    pub(crate) fn number(&self) -> Result<Option<usize>, Failure> {
        let number = self.get("n").map(str::parse).transpose();
        number.map_err(|_| {
            let message = "`n` is no number of results";
            Failure::bad(Code::PaginationNumberInvalid, message)
        })
    }

    /// Returns the artifact type to filter by. A plus sign is a blank in a query, and clients
    /// forget that; no media type has a blank.
    pub(crate) fn artifact_type(&self) -> Option<String> {
        self.get("artifactType").map(|text| text.replace(' ', "+"))
    }

    /// Returns the tags that a manifest is to have besides its digest.
    pub(crate) fn tags(&self) -> Result<Vec<Tag>, Failure> {
        let tags = self.all("tag").map(str::parse).collect::<Result<_, _>>();
        tags.map_err(|error: ocm_oci::ParseNameError| {
            Failure::bad(Code::ManifestInvalid, error.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_where_they_are_used() {
        let query = Query::parse(Some("n=5&last=a%2Fb&tag=x&tag=y&digest=x&from=A&n=7"));
        assert_eq!(query.number().unwrap(), Some(5));
        assert_eq!(query.get("last"), Some("a/b"));
        assert_eq!(query.tags().unwrap().len(), 2);
        assert!(query.digest("digest").is_err());
        assert!(query.from().unwrap().is_err());
        assert!(query.digest("mount").unwrap().is_none());
    }

    #[test]
    fn a_media_type_may_have_a_bare_plus() {
        for text in ["artifactType=a/b+json", "artifactType=a%2Fb%2Bjson"] {
            assert_eq!(
                Query::parse(Some(text)).artifact_type().unwrap(),
                "a/b+json"
            );
        }
    }

    #[test]
    fn malformed_text_is_refused_by_its_reader() {
        for text in ["n=-1", "n=", "n=x", "n=99999999999999999999999", "n=%ff"] {
            assert!(Query::parse(Some(text)).number().is_err(), "{text}");
        }
        assert!(Query::parse(Some("tag=%ff")).tags().is_err());
        assert!(
            Query::parse(Some("digest-algorithm=md5"))
                .check_algorithm()
                .is_err()
        );
        assert!(Query::parse(Some("&&=&=x&%")).number().unwrap().is_none());
    }
}
