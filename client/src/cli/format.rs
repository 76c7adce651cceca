//! What is printed in columns for people, and as JSON or YAML for programs. Whatever a broker or a message says goes through
//! [`terminal`] here: a program reads the escapes of JSON back.

use comfy_table::{CellAlignment, Table, presets};
use restante_wire::terminal;
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
        Output::Json => json(value)?,
        Output::Yaml => yaml(value)?,
    };
    output::write(&mut stdout(), text.as_bytes(), "standard output").await
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Format(error.to_string()))?;
    Ok(terminal::json(&text).into_owned() + "\n")
}

/// The printer of YAML escapes controls, and neither directions of writing nor what is not seen. JSON is YAML too (YAML 1.2), and
/// has escapes for everything.
fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(value).map_err(|error| Failure::Format(error.to_string()))?;
    if terminal::lines(&text) == text { Ok(text) } else { json(value) }
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
    table.add_rows(rows.map(|row| row.map(|cell| terminal::line(&cell).into_owned())));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn reason(text: &str) -> BTreeMap<&str, &str> {
        BTreeMap::from([("reason", text)])
    }

    #[test]
    fn a_cell_is_one_line_whatever_it_holds() {
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
