//! The Open Component Model as data.

pub mod constraint;
pub mod identity;
pub mod json;
pub mod name;
pub mod type_name;
pub mod version;
pub mod yaml;

pub use self::constraint::Constraint;
pub use self::identity::Identity;
pub use self::name::{ComponentName, ElementName};
pub use self::type_name::TypeName;
pub use self::version::{ComponentVersionId, Version};
