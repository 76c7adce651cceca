//! One line of the table, and what it is to reach.

use serde::{Deserialize, Serialize};

use crate::statistics::Spread;

/// How the reason begins of rows that failed.
const FAILED: &str = "failed: ";

/// What a row's figure is to reach: the design's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Goal {
    /// Absent in rows that only tell.
    pub(crate) goal: Option<f64>,
    /// What would be better still.
    pub(crate) stretch: Option<f64>,
    /// Whether the figure is to be below the goal.
    pub(crate) less_is_better: bool,
}

impl Goal {
    /// More is better.
    pub(crate) const fn at_least(goal: f64, stretch: f64) -> Self {
        Self { goal: Some(goal), stretch: Some(stretch), less_is_better: false }
    }

    /// Less is better.
    pub(crate) const fn at_most(goal: f64, stretch: f64) -> Self {
        Self { goal: Some(goal), stretch: Some(stretch), less_is_better: true }
    }

    /// None: the row only tells.
    pub(crate) const fn none(less_is_better: bool) -> Self {
        Self { goal: None, stretch: None, less_is_better }
    }

    /// Whether a figure reaches the goal; nothing if there is none.
    pub(crate) fn is_reached_by(&self, figure: f64) -> Option<bool> {
        self.goal.map(|goal| if self.less_is_better { figure <= goal } else { figure >= goal })
    }
}

/// One line of the table. In results.json under these names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Ours: the median of the rounds.
    pub(crate) ours: Option<f64>,
    /// The same of what it is compared with. Absent where the figure stands for itself.
    pub(crate) other: Option<f64>,
    /// The figure that the goal is for: the median of the rounds' `ours ÷ other`, or `ours` where there is no other. Absent if
    /// the row was not measured: `missing` and `skipped` say why.
    pub(crate) ratio: Option<f64>,
    #[serde(flatten)]
    pub(crate) goal: Goal,
    /// Of `ratio`.
    pub(crate) spread: Option<Spread>,
    /// Of `ours` and `other`.
    pub(crate) unit: String,
    /// What it is made of.
    pub(crate) details: Vec<Detail>,
    /// The server that is not there.
    pub(crate) missing: Option<String>,
    /// Why it was not run, or how it failed.
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

    /// Ours ÷ another's, round by round.
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

    /// A figure that stands for itself.
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

    /// One whose other server is not there.
    pub(crate) fn missing(name: impl Into<String>, goal: Goal, server: &str) -> Self {
        Self { missing: Some(server.to_owned()), ..Self::new(name, goal, "") }
    }

    /// One that was not run, and why.
    pub(crate) fn skipped(name: impl Into<String>, goal: Goal, reason: impl Into<String>) -> Self {
        Self { skipped: Some(reason.into()), ..Self::new(name, goal, "") }
    }

    /// What stands for rows that failed.
    pub(crate) fn broken(name: impl Into<String>, error: &anyhow::Error) -> Self {
        Self::skipped(name, Goal::none(false), format!("{FAILED}{error:#}"))
    }

    /// Whether it stands for rows that failed.
    pub(crate) fn failed(&self) -> bool {
        self.skipped.as_ref().is_some_and(|reason| reason.starts_with(FAILED))
    }

    /// The same with a figure more.
    pub(crate) fn with(mut self, name: impl Into<String>, rounds: impl IntoIterator<Item = f64>) -> Self {
        self.details.push(Detail { name: name.into(), spread: Spread::of(rounds) });
        self
    }

    /// In words, whether the goal was reached.
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
    fn a_rows_figure_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_the_medians() {
        let row =
            Row::compared("r", Goal::at_least(2.0, 3.0), "/s", [(10.0, 1.0), (20.0, 10.0), (30.0, 5.0)]);
        assert_eq!((row.ours, row.other, row.ratio), (Some(20.0), Some(5.0), Some(6.0)));
        assert_eq!(row.verdict(), "reached");
    }

    #[test]
    fn a_figure_that_stands_for_itself_is_its_own_ratio() {
        let row = Row::measured("r", Goal::at_most(8.0, 1.0), "KiB", [28.0, 29.0, 27.0]);
        assert_eq!((row.ours, row.other, row.ratio), (Some(28.0), None, Some(28.0)));
        assert_eq!(row.verdict(), "missed");
    }

    #[test]
    fn in_json_a_row_has_the_names_that_programs_look_for_also_when_it_was_not_measured() {
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
