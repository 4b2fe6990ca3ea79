//! Prints the permissions that the controllers need, for the chart.

use std::io::{self, Write as _};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rules = serde_saphyr::to_string(&ocm_controllers::install::rules())?;
    Ok(write!(io::stdout(), "{rules}")?)
}
