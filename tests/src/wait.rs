//! Waiting on a condition with a deadline: the one place of the tests that sleeps between two looks.

use std::{
    fmt::Display,
    future::Future,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Between two looks. Short beside what is waited for (hundreds of milliseconds at least), long beside a look.
const POLL: Duration = Duration::from_millis(20);

/// Looks until the probe has a value, and fails after `within` with what was waited for and the last state seen.
/// The probe's error is that state, in words.
pub fn until<T, E: Display>(
    what: &str,
    within: Duration,
    mut probe: impl FnMut() -> Result<T, E>,
) -> Result<T> {
    let began = Instant::now();
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(state) if began.elapsed() >= within => bail!(too_late(what, within, &state)),
            Err(_) => thread::sleep(POLL),
        }
    }
}

/// The same among futures.
pub async fn until_async<T, E: Display, F>(
    what: &str,
    within: Duration,
    mut probe: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T, E>>,
{
    let began = Instant::now();
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(state) if began.elapsed() >= within => bail!(too_late(what, within, &state)),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

fn too_late(what: &str, within: Duration, state: &impl Display) -> String {
    format!("waited {within:?} for {what}; last seen: {state:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        let seen = until("the third look", Duration::from_secs(5), || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(looks) }
        });
        assert_eq!(seen.unwrap(), 3);
    }

    #[test]
    fn a_wait_in_vain_says_what_for_and_what_it_last_saw() {
        let error = until("a miracle", Duration::ZERO, || Err::<(), _>("rain")).unwrap_err().to_string();
        assert_eq!(error, "waited 0ns for a miracle; last seen: rain");
    }
}
