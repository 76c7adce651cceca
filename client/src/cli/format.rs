//! Output as a table for people, and as JSON or YAML for programs. Texts of brokers and messages are escaped by
//! [`terminal`]; a JSON parser undoes the escapes.

use comfy_table::{CellAlignment, Table, presets};
use restante_wire::terminal;
use serde::Serialize;
use tokio::io::stdout;

use super::{failure::Failure, output};
use crate::config::Format;

/// Prints a value in the requested format.
pub(crate) async fn print(
    value: &impl Serialize,
    format: Format,
    table: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let text = match format {
        Format::Table => table(),
        Format::Json => json(value)?,
        Format::Yaml => yaml(value)?,
    };
    output::write(&mut stdout(), text.as_bytes(), "standard output").await
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Format(error.to_string()))?;
    Ok(terminal::json(&text).into_owned() + "\n")
}

/// The YAML printer escapes control characters, but neither bidirectional controls nor invisible characters. If the
/// text has any of these, JSON is printed instead: it is valid YAML 1.2 and escapes all of them.
fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(value).map_err(|error| Failure::Format(error.to_string()))?;
    if terminal::lines(&text) == text { Ok(text) } else { json(value) }
}

/// A column's heading, and whether the column contains numbers.
pub(crate) type Heading = (&'static str, bool);

/// Formats a table without borders and colours, like kubectl: for people, and for `cut` and `awk`.
pub(crate) fn columns<const N: usize>(
    headings: [Heading; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings.map(|(name, _)| name));
    table.add_rows(rows.map(|row| row.map(|cell| terminal::line(&cell).into_owned())));
    for (column, (_, numbers)) in table.column_iter_mut().zip(headings) {
        column.set_padding((0, 2));
        if numbers {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The text, or a dash if it is empty or absent.
pub(crate) fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn reason(text: &str) -> BTreeMap<&str, &str> {
        BTreeMap::from([("reason", text)])
    }

    #[test]
    fn a_cell_with_line_breaks_and_controls_stays_on_one_line() {
        let rows = [["\u{9b}2J\na\tb".to_owned(), "\u{202e}c".to_owned()]];
        let text = columns([("A", false), ("B", false)], rows.into_iter());
        assert_eq!(text.lines().nth(1), Some(r"\u{9b}2J\na\tb  \u{202e}c"));
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn json_and_yaml_are_escaped_and_read_back() {
        for hostile in ["\u{1b}[2J", "\u{9b}2J", "a\u{202e}b", "\u{200b}", "\u{2028}", "\u{e0041}", "plain"] {
            let value = reason(hostile);
            for text in [json(&value).unwrap(), yaml(&value).unwrap()] {
                assert_eq!(terminal::lines(&text), text);
                assert_eq!(
                    serde_saphyr::from_str::<BTreeMap<String, String>>(&text).unwrap()["reason"],
                    hostile
                );
            }
        }
        assert_eq!(yaml(&reason("plain")).unwrap(), "reason: plain\n");
    }
}
