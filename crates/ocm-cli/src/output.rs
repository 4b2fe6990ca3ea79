//! How results are printed: one view, several formats.

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// How to print a result
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns
    #[default]
    Table,
    /// Aligned columns with everything there is
    Wide,
    /// One JSON document
    Json,
    /// One YAML document
    Yaml,
    /// One JSON document on each line
    Ndjson,
    /// References below what refers to them
    Tree,
}

/// Rows under a heading, printed as plain columns that `awk` and people can read.
#[derive(Debug)]
pub(crate) struct Columns {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    pub(crate) fn new(heading: &[&'static str]) -> Self {
        Self {
            heading: heading.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.push(cells.into());
    }

    pub(crate) fn push(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.heading.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// Returns the lines, without blanks at their ends.
    pub(crate) fn render(self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(self.heading);
        table.add_rows(self.rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Prints values that have a JSON form: one document, or a line for each.
///
/// `None` is returned for the formats that are no data; then the values are not looked at.
pub(crate) fn data<T: Serialize>(
    format: Format,
    values: impl IntoIterator<Item = T>,
) -> anyhow::Result<Option<String>> {
    let values = values.into_iter();
    Ok(Some(match format {
        Format::Json => serde_json::to_string_pretty(&values.collect::<Vec<T>>())? + "\n",
        Format::Yaml => ocm::model::yaml::to_string(&values.collect::<Vec<T>>())?,
        Format::Ndjson => {
            let mut text = String::new();
            for value in values {
                text.push_str(&serde_json::to_string(&value)?);
                text.push('\n');
            }
            text
        }
        Format::Table | Format::Wide | Format::Tree => return Ok(None),
    }))
}

/// The units of bytes; each is 1024 of the one before it.
pub(crate) const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// Returns a number of bytes for people, such as `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    if count < 1024 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = count as f64 / 1024.0;
    let mut unit = 1;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_have_no_blanks_at_the_end() {
        let mut columns = Columns::new(&["NAME", "VERSION"]);
        columns.row(["a".into(), "1.0.0".into()]);
        columns.row(["longer".into(), "2".into()]);
        assert_eq!(
            columns.render(),
            "NAME    VERSION\na       1.0.0\nlonger  2\n"
        );
    }

    #[test]
    fn bytes_are_shown_with_one_decimal() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(2 << 30), "2.0 GiB");
    }
}
