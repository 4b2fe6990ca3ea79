//! Prints everything that has to be in a cluster for the controllers, as YAML.

use std::io::{self, Write as _};

/// The image of this version.
const IMAGE: &str = concat!(
    "registry.example.com/ocm-rs/ocm-controllers:",
    env!("CARGO_PKG_VERSION")
);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut documents = Vec::new();
    for object in ocm_controllers::install::install(IMAGE) {
        documents.push(serde_saphyr::to_string(&object)?);
    }
    Ok(write!(io::stdout(), "{}", documents.join("---\n"))?)
}
