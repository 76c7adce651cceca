//! Jitter, so that periodic work that started together does not stay together.

use std::time::Duration;

/// A duration between 80 % and 120 % of the one given.
pub fn around(duration: Duration) -> Duration {
    // Without random numbers, there is no jitter, but all else works.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    scale(duration, random)
}

fn scale(duration: Duration, random: u32) -> Duration {
    duration.mul_f64(0.8 + 0.4 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_duration_varies_by_at_most_a_fifth() {
        let ten = Duration::from_secs(10);
        assert_eq!((scale(ten, 0).as_secs(), scale(ten, u32::MAX).as_secs()), (8, 12));
    }
}
