//! Component constructors: from a YAML file to component versions.
//!
//! - [`template`]: variables in the text of the file.
//! - [`Constructor`]: what the file asks for, read strictly, every problem with its place.
//! - [`InputMethod`]: where content comes from; `file`, `dir`, `utf8` and `binary` are
//!   here, others are added by whoever has them.
//! - [`construct`]: adds content, computes digests and writes descriptors to any
//!   [`ComponentRepository`](ocm_repository::ComponentRepository).
//!
//! ```
//! use ocm_constructor::template::{Undefined, Variables, expand};
//! use ocm_constructor::Constructor;
//!
//! let text = "
//! name: acme.org/notes
//! version: ${VERSION:-1.0.0}
//! provider: acme.org
//! resources:
//! - name: readme
//!   type: plainText
//!   input: {type: utf8, text: hello}
//! ";
//! let text = expand(text, &Variables::new(), Undefined::Refuse)?;
//! let constructor = Constructor::read(&text, "component-constructor.yaml")?;
//! assert_eq!(constructor.components[0].id.to_string(), "acme.org/notes:1.0.0");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Which repository is written to, and how content elsewhere is reached, is not known here. The
//! environment is handed in.

pub mod build;
mod compress;
pub mod constructor;
pub mod glob;
mod go_yaml;
pub mod input;
mod place;
mod reader;
mod sniff;
mod tar;
pub mod template;

pub use build::{BuildError, BuildOptions, BuildReport, construct};
pub use constructor::{Constructor, ConstructorError, InputSpec};
pub use input::{InputContext, InputMethod, InputMethods};
pub use place::Place;
