//! The sweep: every input of the broker, with an unknown name, an unknown value, a duplicate, an empty value, one out
//! of bounds, one of a wrong type, and one without effect. Each cell names one outcome.
//!
//! The inputs come from their definitions: the OpenAPI document that is generated from the routes, the lists of fields
//! that serde reads, and clap's command. An input without a row fails the test, and so does a row without an input.

mod control;
mod effects;
mod fields;
mod flags;
mod headers;
mod items;
mod query;
mod requests;
mod settlements;

use std::collections::BTreeSet;

use reqwest::Response;
use restante_wire::{Problem, ProblemType};

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Refused with a problem of this type.
    Refused(ProblemType),
    /// With this status.
    Accepted(u16),
}

/// A cell of a table: values with their outcomes, or the reason why there are none.
enum Cell<T: 'static> {
    Nothing(&'static str),
    Values(&'static [(T, Outcome)]),
}

impl<T> Cell<T> {
    fn values(&self) -> &'static [(T, Outcome)] {
        match self {
            Self::Nothing(why) => {
                assert!(!why.is_empty(), "an empty cell says why");
                &[]
            }
            Self::Values(values) => values,
        }
    }
}

/// Asserts that the answer is the outcome of the cell. Returns the detail of a problem.
async fn assert_outcome(cell: &str, response: Response, expected: Outcome) -> String {
    let status = response.status().as_u16();
    if let Outcome::Accepted(wanted) = expected {
        assert_eq!(status, wanted, "{cell}: {response:?}");
        return String::new();
    }
    let text = response.text().await.unwrap();
    let problem: Problem = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{cell}: {status} {text}"));
    let kind = problem.problem_type().unwrap_or_else(|| panic!("{cell}: {problem}"));
    assert_eq!(Outcome::Refused(kind), expected, "{cell}: {problem}");
    assert_no_rust_terms(cell, &problem.detail);
    problem.detail
}

/// Faults are described in the terms of HTTP and JSON, never of Rust's types.
fn assert_no_rust_terms(cell: &str, detail: &str) {
    for word in [
        "struct ",
        "enum",
        "invalid type",
        "variant",
        "u32",
        "u64",
        "i64",
        "f64",
        "usize",
        "serde",
        "sequence",
        "a map",
    ] {
        assert!(!detail.contains(word), "{cell}: {word:?} in {detail}");
    }
}

/// Asserts that each input has a row, and each row an input.
fn assert_complete(inputs: impl IntoIterator<Item = String>, rows: impl IntoIterator<Item = String>) {
    let inputs: BTreeSet<_> = inputs.into_iter().collect();
    let mut seen = BTreeSet::new();
    for row in rows {
        assert!(inputs.contains(&row), "the sweep has a row for {row}, and there is no such input");
        assert!(seen.insert(row.clone()), "the sweep has two rows for {row}");
    }
    let missing: Vec<_> = inputs.difference(&seen).collect();
    assert!(missing.is_empty(), "the sweep has no row for {missing:?}");
}
