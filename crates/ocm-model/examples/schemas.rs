//! Prints the JSON schemas of descriptors and access specifications, as one object of name and
//! schema. `cargo xtask generate` writes them to `docs/reference/schemas`.

use std::io::Write as _;

use ocm_model::Access;
use ocm_model::descriptor::{Descriptor, Schema};
use ocm_model::schema::to_json_schema;
use serde_json::{Map, Value};

fn main() -> std::io::Result<()> {
    let mut schemas = Map::new();
    let mut add = |name: String, object| {
        let id = format!("urn:ocm-rs:{name}");
        let schema: Value = to_json_schema(object, &id);
        schemas.insert(name, schema);
    };
    for (name, layout) in [("v2", Schema::V2), ("v3alpha1", Schema::V3Alpha1)] {
        let name = format!("component-descriptor-{name}.schema.json");
        add(name, Descriptor::table(layout));
    }
    for object in Access::tables() {
        add(format!("access/{}.schema.json", object.name), object);
    }
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &schemas)?;
    writeln!(out)
}
