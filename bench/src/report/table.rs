//! The table for people, in Markdown.

use std::io::{self, Write};

use super::row::Row;
use crate::statistics::Spread;

/// Writes all rows with their further figures.
pub(crate) fn write(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    writeln!(out, "| row | ours | other | unit | ratio | min | max | goal | stretch | |")?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|")?;
    for row in rows {
        let Row { name, ours, other, ratio, goal, spread, unit, details, missing, skipped } = row;
        let why = missing.as_ref().map(|server| format!(": {server} is not installed"));
        let why = why.or_else(|| skipped.as_ref().map(|reason| format!(": {reason}"))).unwrap_or_default();
        writeln!(
            out,
            "| {name} | {} | {} | {unit} | {} | {} | {} | {} | {} | {}{why} |",
            figure(*ours),
            figure(*other),
            figure(*ratio),
            figure(spread.map(|spread| spread.min)),
            figure(spread.map(|spread| spread.max)),
            bound(goal.goal, goal.less_is_better),
            bound(goal.stretch, goal.less_is_better),
            row.verdict(),
        )?;
        for detail in details {
            let Spread { median, min, max } = detail.spread;
            let [median, min, max] = [median, min, max].map(|value| figure(Some(value)));
            writeln!(out, "| · {} | {median} | | | | {min} | {max} | | | |", detail.name)?;
        }
    }
    Ok(())
}

/// Formats a number with three significant digits and with separators of thousands.
pub(crate) fn figure(value: Option<f64>) -> String {
    let Some(value) = value else { return String::new() };
    match value.abs() {
        size if size >= 1000.0 => thousands(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// `10M`, `250k`, `7`.
pub(crate) fn abbreviated(number: usize) -> String {
    match number {
        _ if number >= 1_000_000 && number.is_multiple_of(1_000_000) => format!("{}M", number / 1_000_000),
        _ if number >= 1_000 && number.is_multiple_of(1_000) => format!("{}k", number / 1_000),
        _ => number.to_string(),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bound(value: Option<f64>, less_is_better: bool) -> String {
    let sign = if less_is_better { "≤" } else { "≥" };
    value.map(|value| format!("{sign} {value}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::Goal;

    #[test]
    fn figures_have_three_significant_digits() {
        let texts = [1_234_567.8, 56_457.0, 123.4, 15.61, 1.5, 0.4974, 0.0, -2_000.0]
            .map(|value| figure(Some(value)));
        assert_eq!(texts, ["1,234,568", "56,457", "123", "15.6", "1.50", "0.497", "0.00", "-2,000"]);
    }

    #[test]
    fn round_numbers_are_abbreviated() {
        assert_eq!([10_000_000, 250_000, 1_500_001, 7].map(abbreviated), ["10M", "250k", "1500001", "7"]);
    }

    #[test]
    fn a_row_that_was_not_measured_is_in_the_table_with_the_reason() {
        let rows = [
            Row::missing("push ÷ NATS", Goal::at_least(15.0, 23.0), "NATS"),
            Row::skipped("deep", Goal::at_most(1.1, 1.02), "12 GB are free and 25 are needed"),
        ];
        let mut text = Vec::new();
        write(&mut text, &rows).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains("| push ÷ NATS |  |  |  |  |  |  | ≥ 15 | ≥ 23 | missing: NATS is not installed |"),
            "{text}"
        );
        assert!(text.contains("| ≤ 1.1 | ≤ 1.02 | skipped: 12 GB are free and 25 are needed |"), "{text}");
    }
}
