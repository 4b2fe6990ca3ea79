//! The format of an archive that is a target.

use clap::ValueEnum;
use ocm::model::RepositorySpec;
use ocm::model::repository::CtfFormat;

use super::Shape;
use crate::commands::Session;
use crate::error::usage;

/// How an archive is packed
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ArchiveFormat {
    /// As a directory.
    Directory,
    /// As a tar file.
    Tar,
    /// As a tar file that is compressed with gzip.
    Tgz,
}

impl From<ArchiveFormat> for CtfFormat {
    fn from(format: ArchiveFormat) -> Self {
        match format {
            ArchiveFormat::Directory => Self::Directory,
            ArchiveFormat::Tar => Self::Tar,
            ArchiveFormat::Tgz => Self::Tgz,
        }
    }
}

impl Shape {
    /// Returns the target that a text names.
    pub(super) fn target(&self, text: &str, session: &Session) -> anyhow::Result<RepositorySpec> {
        let mut spec = session.repository(text)?;
        let Some(format) = self.format.map(CtfFormat::from) else {
            return Ok(spec);
        };
        let RepositorySpec::Ctf(archive) = &mut spec else {
            return Err(usage(format!(
                "--type is for archives, and {text} names none; write a path, such as ./{text}"
            )));
        };
        if let Some(named) = archive.format.filter(|named| *named != format) {
            return Err(usage(format!(
                "{text} is of type {}, not {}",
                named.as_str(),
                format.as_str()
            )));
        }
        archive.format = Some(format);
        Ok(spec)
    }
}
