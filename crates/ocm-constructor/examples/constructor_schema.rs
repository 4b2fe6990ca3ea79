//! Prints the JSON schema of constructor files, as one object of name and schema. `cargo xtask
//! generate` writes it to `docs/reference/schemas`.

use std::io::Write as _;

use ocm_constructor::Constructor;
use ocm_model::schema::to_json_schema;
use serde_json::json;

fn main() -> std::io::Result<()> {
    let name = "component-constructor.schema.json";
    let schema = to_json_schema(Constructor::table(), &format!("urn:ocm-rs:{name}"));
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &json!({name: schema}))?;
    writeln!(out)
}
