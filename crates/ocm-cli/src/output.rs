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

/// Values that have a JSON form, as one document or a line for each, written one by one.
#[derive(Debug)]
pub(crate) struct Documents {
    format: DataFormat,
    text: String,
    is_empty: bool,
}

#[derive(Clone, Copy, Debug)]
enum DataFormat {
    Json,
    Yaml,
    Ndjson,
}

impl Documents {
    /// Starts an empty list; `None` is returned for the formats that are no data.
    pub(crate) const fn new(format: Format) -> Option<Self> {
        let format = match format {
            Format::Json => DataFormat::Json,
            Format::Yaml => DataFormat::Yaml,
            Format::Ndjson => DataFormat::Ndjson,
            Format::Table | Format::Wide | Format::Tree => return None,
        };
        Some(Self {
            format,
            text: String::new(),
            is_empty: true,
        })
    }

    pub(crate) fn push(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        match self.format {
            DataFormat::Json => {
                // Texts have no line breaks in JSON, so each line here is one of the layout.
                let value = serde_json::to_string_pretty(value)?.replace('\n', "\n  ");
                let before = if self.is_empty { "[\n  " } else { ",\n  " };
                self.text.extend([before, &value]);
            }
            DataFormat::Yaml => self.text += &ocm::model::yaml::to_string(&[value])?,
            DataFormat::Ndjson => {
                self.text += &serde_json::to_string(value)?;
                self.text.push('\n');
            }
        }
        self.is_empty = false;
        Ok(())
    }

    /// Returns the text.
    pub(crate) fn finish(mut self) -> anyhow::Result<String> {
        match self.format {
            DataFormat::Json if self.is_empty => self.text.push_str("[]\n"),
            DataFormat::Json => self.text.push_str("\n]\n"),
            DataFormat::Yaml if self.is_empty => {
                self.text = ocm::model::yaml::to_string(&[(); 0])?;
            }
            DataFormat::Yaml | DataFormat::Ndjson => {}
        }
        Ok(self.text)
    }
}

/// Prints values that have a JSON form: one document, or a line for each.
///
/// `None` is returned for the formats that are no data; then the values are not looked at.
pub(crate) fn data<T: Serialize>(
    format: Format,
    values: impl IntoIterator<Item = T>,
) -> anyhow::Result<Option<String>> {
    let Some(mut documents) = Documents::new(format) else {
        return Ok(None);
    };
    for value in values {
        documents.push(&value)?;
    }
    documents.finish().map(Some)
}

/// The units of bytes; each is 1024 of the one before it.
pub(crate) const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// Returns a number of things for people, such as `1 blob` or `2 blobs`.
pub(crate) fn count(number: impl TryInto<u64>, thing: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

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
    use serde_json::json;

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
    fn values_one_by_one_look_like_a_list_written_at_once() {
        let values = [
            json!({"a": "x\ny", "b": [1, {"c": []}]}),
            json!("text"),
            json!({}),
        ];
        for count in 0..=values.len() {
            let values = &values[..count];
            let json = serde_json::to_string_pretty(values).unwrap() + "\n";
            assert_eq!(data(Format::Json, values).unwrap(), Some(json));
            let yaml = ocm::model::yaml::to_string(&values).unwrap();
            assert_eq!(data(Format::Yaml, values).unwrap(), Some(yaml));
        }
        let lines = data(Format::Ndjson, &values[1..]).unwrap();
        assert_eq!(lines.as_deref(), Some("\"text\"\n{}\n"));
        assert_eq!(data(Format::Table, &values).unwrap(), None);
    }

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!(count(0, "blob"), "0 blobs");
        assert_eq!(count(1, "blob"), "1 blob");
        assert_eq!(count(2, "blob"), "2 blobs");
    }

    #[test]
    fn bytes_are_shown_with_one_decimal() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(2 << 30), "2.0 GiB");
    }
}
