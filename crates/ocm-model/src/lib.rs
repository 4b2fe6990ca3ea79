//! The Open Component Model as data.

pub mod access;
pub mod constraint;
pub mod descriptor;
pub mod digest_spec;
pub mod element;
pub mod identity;
pub mod json;
pub mod label;
pub mod name;
pub mod normalisation;
pub mod reference;
pub mod repository;
pub mod signature;
pub mod type_name;
pub mod typed;
pub mod version;
pub mod yaml;

pub use self::access::Access;
pub use self::constraint::Constraint;
pub use self::descriptor::Descriptor;
pub use self::digest_spec::DigestSpec;
pub use self::element::{Element, ElementKind, Reference, Relation, Resource, Source, SourceRef};
pub use self::identity::Identity;
pub use self::label::{Label, Merge, Provider};
pub use self::name::{ComponentName, ElementName};
pub use self::normalisation::{NormalisationAlgorithm, NormalisedDescriptor};
pub use self::reference::ComponentRef;
pub use self::repository::RepositorySpec;
pub use self::signature::{NestedDigest, Signature, SignatureInfo, TimestampSpec};
pub use self::type_name::TypeName;
pub use self::typed::TypedSpec;
pub use self::version::{ComponentVersionId, Version};
