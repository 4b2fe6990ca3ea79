//! `filesystem.config.ocm.software`: where work happens.

use crate::document::Error;
use crate::node::Node;

/// Directories that replace those of the process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FilesystemConfig {
    /// The directory for temporary files.
    pub temp_folder: Option<String>,
    /// The base of relative paths in what a command reads.
    pub working_directory: Option<String>,
}

impl FilesystemConfig {
    pub(crate) const TYPE: &str = "filesystem.config.ocm.software";

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Error> {
        let text = |name| {
            let text = node.text_field(name)?;
            Ok(text.filter(|text| !text.is_empty()))
        };
        Ok(Self {
            temp_folder: text("tempFolder")?,
            working_directory: text("workingDirectory")?,
        })
    }

    /// Lets a stronger entry win wherever it says something.
    pub(crate) fn overridden_by(self, stronger: Self) -> Self {
        Self {
            temp_folder: stronger.temp_folder.or(self.temp_folder),
            working_directory: stronger.working_directory.or(self.working_directory),
        }
    }
}
