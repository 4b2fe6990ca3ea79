//! Prints the definitions of the custom resources: a JSON object of file names and YAML texts.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files = BTreeMap::new();
    for definition in ocm_controllers::api::definitions() {
        let group = &definition.spec.group;
        let name = format!("{group}_{}.yaml", definition.spec.names.plural);
        files.insert(name, serde_saphyr::to_string(&definition)?);
    }
    Ok(writeln!(
        io::stdout(),
        "{}",
        serde_json::to_string(&files)?
    )?)
}
