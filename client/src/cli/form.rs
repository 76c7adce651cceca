//! What is printed in columns for people, and as JSON or YAML for programs.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use tokio::io::stdout;

use super::{failure::Failure, output};
use crate::config::Output;

/// Prints a value in the form that was asked for.
pub(crate) async fn print(
    value: &impl Serialize,
    form: Output,
    table: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let text = match form {
        Output::Table => table(),
        Output::Json => {
            serde_json::to_string_pretty(value).map_err(|error| Failure::Format(error.to_string()))? + "\n"
        }
        Output::Yaml => serde_saphyr::to_string(value).map_err(|error| Failure::Format(error.to_string()))?,
    };
    output::write(&mut stdout(), text.as_bytes(), "standard output").await
}

/// A column's heading, and whether it holds numbers.
pub(crate) type Heading = (&'static str, bool);

/// Columns without lines and colours, as kubectl has them: for people, `cut` and `awk` alike.
pub(crate) fn columns<const N: usize>(
    headings: [Heading; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings.map(|(name, _)| name));
    table.add_rows(rows);
    for (column, (_, numbers)) in table.column_iter_mut().zip(headings) {
        column.set_padding((0, 2));
        if numbers {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A text, or a dash where there is none.
pub(crate) fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}
