//! A row of the table and its goal.

use serde::{Deserialize, Serialize};

use crate::statistics::Spread;

/// Prefix of the reason of a failed row.
const FAILED: &str = "failed: ";

/// The design's goal for a row's figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Goal {
    /// Absent in rows that are only informative.
    pub(crate) goal: Option<f64>,
    /// A more ambitious goal.
    pub(crate) stretch: Option<f64>,
    /// Whether the figure must be at most the goal, and not at least the goal.
    pub(crate) less_is_better: bool,
}

impl Goal {
    /// A goal where more is better.
    pub(crate) const fn at_least(goal: f64, stretch: f64) -> Self {
        Self { goal: Some(goal), stretch: Some(stretch), less_is_better: false }
    }

    /// A goal where less is better.
    pub(crate) const fn at_most(goal: f64, stretch: f64) -> Self {
        Self { goal: Some(goal), stretch: Some(stretch), less_is_better: true }
    }

    /// No goal: the row is only informative.
    pub(crate) const fn none(less_is_better: bool) -> Self {
        Self { goal: None, stretch: None, less_is_better }
    }

    /// Whether a figure reaches the goal; `None` without a goal.
    pub(crate) fn is_reached_by(&self, figure: f64) -> Option<bool> {
        self.goal.map(|goal| if self.less_is_better { figure <= goal } else { figure >= goal })
    }
}

/// A row of the table. results.json has the same field names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Figure of Restante: the median of the rounds.
    pub(crate) ours: Option<f64>,
    /// Figure of the other server. Absent if there is no other server.
    pub(crate) other: Option<f64>,
    /// The figure to compare with the goal: the median of the rounds' `ours ÷ other`, or `ours` if there is no other
    /// server. Absent if the row was not measured; `missing` or `skipped` has the reason.
    pub(crate) ratio: Option<f64>,
    #[serde(flatten)]
    pub(crate) goal: Goal,
    /// Spread of `ratio`.
    pub(crate) spread: Option<Spread>,
    /// Unit of `ours` and `other`.
    pub(crate) unit: String,
    /// Further figures, shown below the row.
    pub(crate) details: Vec<Detail>,
    /// Name of the other server if it is not installed.
    pub(crate) missing: Option<String>,
    /// Why the row was not run, or how it failed.
    pub(crate) skipped: Option<String>,
}

/// A figure below a row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Detail {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) spread: Spread,
}

impl Row {
    fn new(name: impl Into<String>, goal: Goal, unit: &str) -> Self {
        Self {
            name: name.into(),
            ours: None,
            other: None,
            ratio: None,
            goal,
            spread: None,
            unit: unit.to_owned(),
            details: Vec::new(),
            missing: None,
            skipped: None,
        }
    }

    /// A ratio of Restante to another server in each round.
    pub(crate) fn compared(
        name: impl Into<String>,
        goal: Goal,
        unit: &str,
        rounds: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let (ours, others): (Vec<f64>, Vec<f64>) = rounds.into_iter().unzip();
        let spread = Spread::of(ours.iter().zip(&others).map(|(ours, other)| ours / other));
        Self {
            ours: Some(Spread::of(ours).median),
            other: Some(Spread::of(others).median),
            ratio: Some(spread.median),
            spread: Some(spread),
            ..Self::new(name, goal, unit)
        }
    }

    /// A figure without another server.
    pub(crate) fn measured(
        name: impl Into<String>,
        goal: Goal,
        unit: &str,
        rounds: impl IntoIterator<Item = f64>,
    ) -> Self {
        let spread = Spread::of(rounds);
        let figure = Some(spread.median);
        Self { ours: figure, ratio: figure, spread: Some(spread), ..Self::new(name, goal, unit) }
    }

    /// A row whose other server is not installed.
    pub(crate) fn missing(name: impl Into<String>, goal: Goal, server: &str) -> Self {
        Self { missing: Some(server.to_owned()), ..Self::new(name, goal, "") }
    }

    /// A row that was not run, with the reason.
    pub(crate) fn skipped(name: impl Into<String>, goal: Goal, reason: impl Into<String>) -> Self {
        Self { skipped: Some(reason.into()), ..Self::new(name, goal, "") }
    }

    /// A row in place of rows that failed.
    pub(crate) fn broken(name: impl Into<String>, error: &anyhow::Error) -> Self {
        Self::skipped(name, Goal::none(false), format!("{FAILED}{error:#}"))
    }

    /// Whether this row stands for rows that failed.
    pub(crate) fn failed(&self) -> bool {
        self.skipped.as_ref().is_some_and(|reason| reason.starts_with(FAILED))
    }

    /// Adds a further figure.
    pub(crate) fn with(mut self, name: impl Into<String>, rounds: impl IntoIterator<Item = f64>) -> Self {
        self.details.push(Detail { name: name.into(), spread: Spread::of(rounds) });
        self
    }

    /// A word that tells whether the goal was reached.
    pub(crate) fn verdict(&self) -> &'static str {
        match self.ratio.map(|figure| self.goal.is_reached_by(figure)) {
            Some(Some(true)) => "reached",
            Some(Some(false)) => "missed",
            Some(None) => "",
            None if self.missing.is_some() => "missing",
            None => "skipped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rows_figure_is_the_median_of_ratios_and_not_the_ratio_of_medians() {
        let row =
            Row::compared("r", Goal::at_least(2.0, 3.0), "/s", [(10.0, 1.0), (20.0, 10.0), (30.0, 5.0)]);
        assert_eq!((row.ours, row.other, row.ratio), (Some(20.0), Some(5.0), Some(6.0)));
        assert_eq!(row.verdict(), "reached");
    }

    #[test]
    fn a_figure_without_another_server_is_its_own_ratio() {
        let row = Row::measured("r", Goal::at_most(8.0, 1.0), "KiB", [28.0, 29.0, 27.0]);
        assert_eq!((row.ours, row.other, row.ratio), (Some(28.0), None, Some(28.0)));
        assert_eq!(row.verdict(), "missed");
    }

    #[test]
    fn a_row_in_json_has_all_field_names_even_if_it_was_not_measured() {
        for row in [
            Row::measured("r", Goal::at_most(8.0, 1.0), "KiB", [28.0]).with("d", [1.0]),
            Row::missing("r", Goal::none(true), "NATS"),
            Row::skipped("r", Goal::none(true), "too little room"),
        ] {
            let json = serde_json::to_value(&row).unwrap();
            for name in ["name", "ours", "other", "ratio", "goal", "less_is_better", "spread"] {
                assert!(json.get(name).is_some(), "{name} in {json}");
            }
            assert!(json["goal"].is_null() || json["goal"].is_number(), "{json}");
            let again: Row = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(serde_json::to_value(again).unwrap(), json);
        }
    }
}
