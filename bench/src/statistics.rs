//! Medians and spreads.

use serde::{Deserialize, Serialize};

/// Median, minimum and maximum of several turns.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        Self { median: median(&values), min: percentile(&values, 0.0), max: percentile(&values, 1.0) }
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The 95 % confidence interval of the median, whatever the distribution of the values: from the order statistics whose
/// ranks the binomial distribution gives (Conover, Practical Nonparametric Statistics, 3.2). All values if they are
/// fewer than six.
pub(crate) fn median_interval(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    // The probability that at most `rank` of the values lie below the median of the population.
    let (mut of_rank, mut at_most, mut rank) = (0.5_f64.powi(count as i32), 0.0, 0);
    while rank < count && at_most + of_rank <= 0.025 {
        at_most += of_rank;
        of_rank *= (count - rank) as f64 / (rank + 1) as f64;
        rank += 1;
    }
    let first = rank.saturating_sub(1);
    let at = |rank: usize| sorted.get(rank).copied().unwrap_or(f64::NAN);
    (at(first), at((count.max(1) - 1) - first))
}

/// The value below which this part of the values lies, by nearest rank. NaN if there are no values.
pub(crate) fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (part * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_the_median_has_the_ranks_of_the_tables() {
        let interval = |count: i32| median_interval(&(1..=count).map(f64::from).collect::<Vec<_>>());
        // Conover, table A3, with p = 0.5.
        assert_eq!([5, 6, 9, 15].map(interval), [(1.0, 5.0), (1.0, 6.0), (2.0, 8.0), (4.0, 12.0)]);
    }

    #[test]
    fn a_spread_has_median_minimum_and_maximum_of_unsorted_values() {
        let spread = Spread::of([9.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 3.0, 9.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.99), 5.0);
        assert!(median(&[]).is_nan());
    }
}
