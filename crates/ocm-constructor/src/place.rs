//! Where things stand in a constructor file, for messages about them.

use std::fmt;
use std::sync::Arc;

use ocm_model::yaml::Position;

/// A value in a constructor file, printed as `file.yaml:12:7: components[0].name`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The file, as its user names it.
    pub file: Arc<str>,
    /// Where the value starts, before variables were replaced.
    pub position: Position,
    /// The value, such as `components[0].resources[2].input`; empty at the root.
    pub path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position;
        write!(f, "{}:{line}:{column}", self.file)?;
        if self.path.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.path)
        }
    }
}
