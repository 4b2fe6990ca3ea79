//! Access type `git`.

use async_trait::async_trait;
use ocm_model::Access;
use ocm_model::access::{AccessKind, Git};
use ocm_repository::{AccessMethod, Content, Error};
use serde_json::Value;

use super::GitSource;
use super::address::Address;
use super::fetch::Wanted;

/// Reaches commits of git repositories: access type `git`.
///
/// Without `commit` it is the one that the branch or tag `ref` is at, without both the one that the
/// repository says. Repositories of this machine are not reached, as the author of a component
/// version has no say in what is read here.
#[derive(Clone, Debug)]
pub struct GitAccess {
    source: GitSource,
}

impl GitAccess {
    /// Reaches repositories by the given source.
    pub const fn new(source: GitSource) -> Self {
        Self { source }
    }

    fn read(access: &Access) -> Result<(Address, Wanted), Error> {
        let Ok(AccessKind::Git(Git {
            repository,
            reference,
            commit,
        })) = access.kind()
        else {
            return Err(Error::UnsupportedAccess {
                access_type: access.type_text().to_owned(),
                operation: "reading",
            });
        };
        let failed = |source| Error::backend("read", "git access", source);
        let address = Address::parse(&repository).map_err(failed)?;
        if address.local().is_some() {
            let reason = "repositories of this machine can be inputs, but no accesses";
            let error = ocm_oci::Error::Denied {
                what: format!("{address} ({reason})"),
            };
            return Err(failed(error));
        }
        let wanted = Wanted::new(reference.as_deref(), commit.as_deref()).map_err(failed)?;
        Ok((address, wanted))
    }
}

#[async_trait]
impl AccessMethod for GitAccess {
    fn handles(&self, access: &Access) -> bool {
        matches!(access.kind(), Ok(AccessKind::Git(_)))
    }

    async fn content(&self, access: &Access) -> Result<Content, Error> {
        let (address, wanted) = Self::read(access)?;
        let tree = self.source.tree(&address, &wanted).await;
        let tree = tree
            .map_err(|source| Error::backend("read", format!("{wanted} of {address}"), source))?;
        Ok(Content::Blob(tree))
    }

    async fn pin(&self, access: &Access) -> Result<Access, Error> {
        let (address, wanted) = Self::read(access)?;
        if wanted.is_commit() {
            return Ok(access.clone());
        }
        let commit = self
            .source
            .resolve(&address, &wanted)
            .await
            .map_err(|source| Error::backend("find", format!("{wanted} of {address}"), source))?;
        let mut fields = access.as_json().clone();
        fields.retain(|key, _| !key.eq_ignore_ascii_case("commit"));
        fields.insert("commit".to_owned(), Value::String(commit));
        Access::from_json(Value::Object(fields))
            .map_err(|source| Error::backend("pin", access.type_text(), source))
    }
}
