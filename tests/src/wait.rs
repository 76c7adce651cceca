//! Waits for a condition with a deadline. Only this module of the tests sleeps between two checks.

use std::{
    fmt::Display,
    future::Future,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Pause between two checks. Short compared with the condition (hundreds of milliseconds or more), long compared with a
/// check.
const POLL: Duration = Duration::from_millis(20);

/// Calls the probe until it returns a value. After `within`, fails with the name of the condition and the last state.
/// The probe's error describes that state.
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

/// Like [`until`], for an asynchronous probe.
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
    fn the_wait_ends_when_the_condition_holds() {
        let mut looks = 0;
        let seen = until("the third look", Duration::from_secs(5), || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(looks) }
        });
        assert_eq!(seen.unwrap(), 3);
    }

    #[test]
    fn a_timed_out_wait_names_the_condition_and_the_last_state() {
        let error = until("a miracle", Duration::ZERO, || Err::<(), _>("rain")).unwrap_err().to_string();
        assert_eq!(error, "waited 0ns for a miracle; last seen: rain");
    }
}
