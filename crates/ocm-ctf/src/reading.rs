//! What every archive does the same way: finding manifests, tags, blobs and referrers.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use ocm_blob::BlobRef;
use ocm_digest::Digest;
use ocm_oci::{Descriptor, Document, Error, RawManifest, Reference, RepositoryName, Tag};

use crate::content::{Content, StoredBlob};
use crate::facts::{Child, FactCache};
use crate::index::ArtifactIndex;

/// An index of names over content by digest.
pub(crate) trait Archive: Send + Sync {
    /// Returns how messages name the archive.
    fn name(&self) -> &Arc<str>;

    /// Returns the blobs.
    fn content(&self) -> &Arc<dyn Content>;

    /// Looks something up in the index as it is now.
    fn with_index<R>(&self, look: impl FnOnce(&ArtifactIndex) -> R) -> Result<R, Error>;

    /// Returns what is remembered of manifests.
    fn facts(&self) -> &FactCache;
}

/// Returns a manifest that the index lists.
///
/// A digest that no repository lists is looked for among the blobs, since older tools list only
/// the manifests that have a tag, not the children of an index.
pub(crate) fn manifest(
    archive: &impl Archive,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<RawManifest, Error> {
    let listed = archive.with_index(|index| {
        let listed = index.resolve(repository, reference)?;
        Some((
            listed.digest,
            listed.media_type.unwrap_or_default().to_owned(),
        ))
    })?;
    match (listed, reference) {
        (Some((digest, media_type)), _) => read_listed(archive, repository, digest, media_type),
        (None, Reference::Digest(digest)) => read_unlisted(archive, repository, digest),
        (None, Reference::Tag(_)) => Err(missing(archive, repository, reference)),
    }
}

/// Returns what a reference points to: of what the index says the media type, the content is not
/// read.
pub(crate) fn resolve(
    archive: &impl Archive,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Descriptor, Error> {
    let listed = archive.with_index(|index| {
        let listed = index.resolve(repository, reference)?;
        Some((listed.digest, listed.media_type?.to_owned()))
    })?;
    if let Some((digest, media_type)) = listed
        && let Some(size) = stat_blob(archive, &digest)?
        && size <= RawManifest::LIMIT
    {
        return Ok(Descriptor::new(media_type, digest, size));
    }
    Ok(manifest(archive, repository, reference)?.descriptor())
}

fn read_listed(
    archive: &impl Archive,
    repository: &RepositoryName,
    digest: Digest,
    media_type: String,
) -> Result<RawManifest, Error> {
    let what = || format!("manifest {repository}@{digest} of {}", archive.name());
    let bytes = archive
        .content()
        .read(&digest, RawManifest::LIMIT)
        .map_err(|source| match source {
            ocm_blob::Error::TooLarge { limit } => Error::TooLarge {
                what: what(),
                limit,
            },
            source => Error::blob("read", what(), source),
        })?;
    let bytes = bytes.ok_or_else(|| Error::Dangling {
        what: format!("the index of {}", archive.name()),
        digest,
    })?;
    named(RawManifest::new(bytes, media_type), digest, what)
}

fn read_unlisted(
    archive: &impl Archive,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<RawManifest, Error> {
    let missing = || missing(archive, repository, &Reference::Digest(*digest));
    let what = || format!("manifest {repository}@{digest} of {}", archive.name());
    let content = archive.content();
    let size = content
        .size(digest)
        .map_err(|source| Error::blob("read", what(), source))?;
    if size.is_none_or(|size| size > RawManifest::LIMIT) {
        return Err(missing());
    }
    let expected =
        archive.with_index(|index| index.has_repository(repository) && !index.lists(digest))?;
    if !expected {
        return Err(missing());
    }
    let bytes = content
        .read(digest, RawManifest::LIMIT)
        .map_err(|source| Error::blob("read", what(), source))?
        .ok_or_else(missing)?;
    let raw = named(RawManifest::new(bytes, ""), *digest, what)?;
    raw.parse().map_err(|_| missing())?;
    Ok(raw)
}

/// Checks that a manifest is what its name says.
pub(crate) fn named(
    raw: RawManifest,
    expected: Digest,
    what: impl FnOnce() -> String,
) -> Result<RawManifest, Error> {
    if raw.digest() == expected {
        return Ok(raw);
    }
    raw.with_digest(expected).map_err(|error| match error {
        Error::DigestMismatch {
            expected, actual, ..
        } => Error::DigestMismatch {
            what: what(),
            expected,
            actual,
        },
        other => other,
    })
}

pub(crate) fn missing(
    archive: &impl Archive,
    repository: &RepositoryName,
    reference: &Reference,
) -> Error {
    let separator = match reference {
        Reference::Tag(_) => ':',
        Reference::Digest(_) => '@',
    };
    Error::not_found(format!(
        "{repository}{separator}{reference} in {}",
        archive.name()
    ))
}

/// Returns the size of a blob, whatever its repository.
pub(crate) fn stat_blob(archive: &impl Archive, digest: &Digest) -> Result<Option<u64>, Error> {
    archive.content().size(digest).map_err(|source| {
        let what = format!("blob {digest} of {}", archive.name());
        Error::blob("read", what, source)
    })
}

/// Returns a blob that is looked up when it is opened.
pub(crate) fn blob(archive: &impl Archive, descriptor: &Descriptor) -> BlobRef {
    Arc::new(StoredBlob::new(
        archive.name(),
        archive.content(),
        descriptor,
    ))
}

/// Returns the names of the repositories, sorted.
pub(crate) fn repositories(archive: &impl Archive) -> Result<Vec<RepositoryName>, Error> {
    archive.with_index(|index| index.repositories().cloned().collect())
}

/// Returns the tags of a repository, sorted.
pub(crate) fn tags(archive: &impl Archive, repository: &RepositoryName) -> Result<Vec<Tag>, Error> {
    let tags =
        archive.with_index(|index| Some(index.tags(repository)?.cloned().collect::<Vec<_>>()))?;
    tags.ok_or_else(|| Error::not_found(format!("repository {repository} in {}", archive.name())))
}

/// Returns the manifests that refer to a subject: those that say so themselves, then those that
/// stand in the index under the fallback tag.
pub(crate) fn referrers(
    archive: &impl Archive,
    repository: &RepositoryName,
    subject: &Digest,
) -> Result<Vec<Descriptor>, Error> {
    scan(archive, repository)?;
    let known = archive.facts().referrers(subject);
    let mut found: Vec<Descriptor> = archive.with_index(|index| {
        let listed = known.into_iter().filter(|(digest, _)| {
            let reference = Reference::Digest(*digest);
            index.resolve(repository, &reference).is_some()
        });
        listed.map(|(_, descriptor)| descriptor).collect()
    })?;
    let fallback = Reference::Tag(Tag::for_referrers(subject));
    match manifest(archive, repository, &fallback) {
        Ok(raw) => {
            if let Ok(Document::Index(index)) = raw.parse() {
                for descriptor in index.manifests {
                    if found.iter().all(|known| known.digest != descriptor.digest) {
                        found.push(descriptor);
                    }
                }
            }
            Ok(found)
        }
        Err(error) if error.is_not_found() => Ok(found),
        Err(error) => Err(error),
    }
}

/// Returns a manifest, of any repository, that points to content.
fn user_of(archive: &impl Archive, digest: &Digest) -> Result<Option<Digest>, Error> {
    for repository in repositories(archive)? {
        scan(archive, &repository)?;
    }
    let users = archive.facts().users(digest);
    archive.with_index(|index| users.into_iter().find(|user| index.lists(user)))
}

/// Returns what still needs a blob, as text.
pub(crate) fn need_of(archive: &impl Archive, digest: &Digest) -> Result<Option<String>, Error> {
    if archive.with_index(|index| index.lists(digest))? {
        return Ok(Some("the index".to_owned()));
    }
    let user = user_of(archive, digest)?;
    Ok(user.map(|user| format!("manifest {user}")))
}

/// Refuses the removal of a blob that something needs.
pub(crate) fn refuse_needed(archive: &impl Archive, digest: &Digest) -> Result<(), Error> {
    match need_of(archive, digest)? {
        None => Ok(()),
        Some(user) => Err(Error::Denied {
            what: format!(
                "removing blob {digest} of {}, to which {user} refers",
                archive.name()
            ),
        }),
    }
}

/// Reads those manifests of a repository that have not been read yet.
fn scan(archive: &impl Archive, repository: &RepositoryName) -> Result<(), Error> {
    let facts = archive.facts();
    let (generation, digests) = archive.with_index(|index| {
        let generation = index.generation();
        let known = facts.is_scanned(repository, generation);
        let listed = (!known).then(|| index.manifests(repository));
        let digests = listed.into_iter().flatten().map(|listed| listed.digest);
        (generation, digests.collect::<Vec<_>>())
    })?;
    let unread: Vec<Digest> = digests.into_iter().filter(|it| !facts.knows(it)).collect();
    read_side_by_side(archive, repository, &unread)?;
    facts.set_scanned(repository, generation);
    Ok(())
}

/// Reads manifests, of many a share on each of some threads. The first error is that of whom comes
/// first among the manifests.
fn read_side_by_side(
    archive: &impl Archive,
    repository: &RepositoryName,
    manifests: &[Digest],
) -> Result<(), Error> {
    const THREADS: usize = 4;
    // What is worth a thread.
    const SHARE: usize = 64;
    let read = |share: &[Digest]| {
        let mut share = share.iter();
        share.try_for_each(|digest| read_facts(archive, repository, digest))
    };
    let mut shares = manifests.chunks(manifests.len().div_ceil(THREADS).max(SHARE));
    let own = shares.next().unwrap_or_default();
    thread::scope(|scope| {
        let others = shares.map(|share| scope.spawn(move || read(share)));
        let others: Vec<_> = others.collect();
        read(own)?;
        let mut others = others.into_iter();
        others.try_for_each(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

fn read_facts(
    archive: &impl Archive,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<(), Error> {
    let raw = manifest(archive, repository, &Reference::Digest(*digest))?;
    archive.facts().insert(&raw);
    Ok(())
}

/// Checks that everything a manifest points to is in the archive.
pub(crate) fn check_children(
    archive: &impl Archive,
    repository: &RepositoryName,
    manifest: &RawManifest,
) -> Result<(), Error> {
    let what = || {
        format!(
            "manifest {repository}@{} for {}",
            manifest.digest(),
            archive.name()
        )
    };
    if manifest.bytes().len() as u64 > RawManifest::LIMIT {
        return Err(Error::TooLarge {
            what: what(),
            limit: RawManifest::LIMIT,
        });
    }
    let document = manifest.parse()?;
    for child in document.children() {
        if !has_child(archive, &Child::of(&child.into()))? {
            return Err(Error::Dangling {
                what: what(),
                digest: child.digest,
            });
        }
    }
    Ok(())
}

/// Returns whether content that a manifest points to is in the archive, or need not be: a delta
/// archive lacks what is at the place it goes to.
pub(crate) fn has_child(archive: &impl Archive, child: &Child) -> Result<bool, Error> {
    if stat_blob(archive, &child.digest)?.is_some() {
        return Ok(true);
    }
    let is_back = archive.content().bring_back(&child.digest);
    let is_back = is_back.map_err(|source| {
        let what = format!("blob {} of {}", child.digest, archive.name());
        Error::blob("bring back", what, source)
    })?;
    Ok(is_back || child.may_be_missing || archive.facts().is_elsewhere(&child.digest))
}

/// Implements the reading traits for an [`Archive`].
macro_rules! impl_reading {
    ($type:ty) => {
        #[async_trait::async_trait]
        impl ocm_oci::Fetch for $type {
            async fn manifest(
                &self,
                repository: &ocm_oci::RepositoryName,
                reference: &ocm_oci::Reference,
            ) -> Result<ocm_oci::RawManifest, ocm_oci::Error> {
                crate::reading::manifest(self, repository, reference)
            }

            async fn resolve(
                &self,
                repository: &ocm_oci::RepositoryName,
                reference: &ocm_oci::Reference,
            ) -> Result<ocm_oci::Descriptor, ocm_oci::Error> {
                crate::reading::resolve(self, repository, reference)
            }

            async fn stat_blob(
                &self,
                _repository: &ocm_oci::RepositoryName,
                digest: &ocm_digest::Digest,
            ) -> Result<Option<u64>, ocm_oci::Error> {
                crate::reading::stat_blob(self, digest)
            }

            fn blob(
                &self,
                _repository: &ocm_oci::RepositoryName,
                descriptor: &ocm_oci::Descriptor,
            ) -> ocm_blob::BlobRef {
                crate::reading::blob(self, descriptor)
            }
        }

        #[async_trait::async_trait]
        impl ocm_oci::List for $type {
            async fn repositories(&self) -> Result<Vec<ocm_oci::RepositoryName>, ocm_oci::Error> {
                crate::reading::repositories(self)
            }

            async fn tags(
                &self,
                repository: &ocm_oci::RepositoryName,
            ) -> Result<Vec<ocm_oci::Tag>, ocm_oci::Error> {
                crate::reading::tags(self, repository)
            }
        }

        #[async_trait::async_trait]
        impl ocm_oci::Referrers for $type {
            async fn referrers(
                &self,
                repository: &ocm_oci::RepositoryName,
                subject: &ocm_digest::Digest,
            ) -> Result<Vec<ocm_oci::Descriptor>, ocm_oci::Error> {
                crate::reading::referrers(self, repository, subject)
            }
        }
    };
}

/// Implements the writing traits for an [`Archive`] that cannot be written.
macro_rules! impl_read_only {
    ($type:ty) => {
        impl $type {
            fn read_only(&self) -> ocm_oci::Error {
                ocm_oci::Error::ReadOnly {
                    store: crate::reading::Archive::name(self).to_string(),
                }
            }
        }

        #[async_trait::async_trait]
        impl ocm_oci::Push for $type {
            async fn push_blob(
                &self,
                _repository: &ocm_oci::RepositoryName,
                _blob: &ocm_blob::BlobRef,
            ) -> Result<ocm_oci::Pushed, ocm_oci::Error> {
                Err(self.read_only())
            }

            async fn push_manifest(
                &self,
                _repository: &ocm_oci::RepositoryName,
                _manifest: &ocm_oci::RawManifest,
                _tag: Option<&ocm_oci::Tag>,
            ) -> Result<(), ocm_oci::Error> {
                Err(self.read_only())
            }
        }

        #[async_trait::async_trait]
        impl ocm_oci::Delete for $type {
            async fn delete_manifest(
                &self,
                _repository: &ocm_oci::RepositoryName,
                _reference: &ocm_oci::Reference,
            ) -> Result<(), ocm_oci::Error> {
                Err(self.read_only())
            }

            async fn delete_blob(
                &self,
                _repository: &ocm_oci::RepositoryName,
                _digest: &ocm_digest::Digest,
            ) -> Result<(), ocm_oci::Error> {
                Err(self.read_only())
            }
        }
    };
}

pub(crate) use {impl_read_only, impl_reading};
