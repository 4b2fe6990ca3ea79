//! `transfer.config.ocm.software`: defaults of transfers.

use crate::document::Error;
use crate::node::Node;

/// Defaults of transfers; flags of a command win over them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TransferConfig {
    /// How deep component references are followed.
    pub recursion: Option<Recursion>,
    /// Which resources are copied.
    pub copy_mode: Option<CopyMode>,
    /// How copied resources are stored.
    pub upload_type: Option<UploadType>,
}

/// How deep component references are followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recursion {
    /// To a depth; at 0 only the component version itself is meant.
    Depth(u32),
    /// To the end.
    All,
}

/// Which resources are copied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CopyMode {
    /// Those stored with the component version.
    LocalBlob,
    /// All, wherever they are.
    AllResources,
}

/// How copied resources are stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UploadType {
    /// With the component version.
    LocalBlob,
    /// As artifacts of their own.
    OciArtifact,
}

impl TransferConfig {
    pub(crate) const TYPE: &str = "transfer.config.ocm.software";

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Error> {
        Ok(Self {
            recursion: recursion(node)?,
            copy_mode: choice(
                node,
                "copyMode",
                &[
                    ("localBlob", CopyMode::LocalBlob),
                    ("allResources", CopyMode::AllResources),
                ],
            )?,
            upload_type: choice(
                node,
                "uploadType",
                &[
                    ("localBlob", UploadType::LocalBlob),
                    ("ociArtifact", UploadType::OciArtifact),
                ],
            )?,
        })
    }

    /// Lets a stronger entry win wherever it says something.
    pub(crate) fn overridden_by(self, stronger: Self) -> Self {
        Self {
            recursion: stronger.recursion.or(self.recursion),
            copy_mode: stronger.copy_mode.or(self.copy_mode),
            upload_type: stronger.upload_type.or(self.upload_type),
        }
    }
}

fn recursion(node: &Node<'_>) -> Result<Option<Recursion>, Error> {
    let Some(field) = node.get("recursive") else {
        return Ok(None);
    };
    match field.integer()? {
        -1 => Ok(Some(Recursion::All)),
        depth => u32::try_from(depth)
            .map(|depth| Some(Recursion::Depth(depth)))
            .map_err(|_| field.invalid(format!("{depth} is neither a depth nor -1 for all"))),
    }
}

fn choice<T: Copy>(node: &Node<'_>, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Error> {
    let Some(field) = node.get(name) else {
        return Ok(None);
    };
    let text = field.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(Some(*value));
    }
    let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
    Err(field.invalid(format!("`{text}` is none of {}", names.join(", "))))
}
