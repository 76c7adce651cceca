//! Retries: after which pause, and until when.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use http::{HeaderMap, header};
use jiff::{Timestamp, fmt::rfc2822};
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::RequestError;
pub use crate::retryable::is_retryable;

/// The longest `Retry-After` that is honoured. A proxy's maintenance page may ask for a day; the client must notice a
/// broker that is back in a minute.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Pauses between tries. Each pause is twice as long as the one before, and jitter lengthens it up to twofold, so that
/// clients that lost a broker at the same time do not reconnect at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// The first pause; 100 ms by default, which people do not notice and which is longer than any answer takes.
    pub delay_min: Duration,
    /// The longest pause, before jitter; 10 s by default, which bounds how long a recovered broker goes unnoticed.
    pub delay_max: Duration,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self { delay_min: Duration::from_millis(100), delay_max: Duration::from_secs(10) }
    }
}

/// The growing pauses of one operation.
#[derive(Debug)]
pub(crate) struct Backoff {
    options: RetryOptions,
    delays: <ExponentialBuilder as BackoffBuilder>::Backoff,
}

impl Backoff {
    pub(crate) fn new(options: RetryOptions) -> Self {
        let delays = ExponentialBuilder::new()
            .with_min_delay(options.delay_min)
            .with_max_delay(options.delay_max)
            .without_max_times()
            .with_jitter()
            .build();
        Self { options, delays }
    }

    /// The next pause. It is at least as long as `retry_after`, and has jitter in any case.
    pub(crate) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let delay = self.delays.next().unwrap_or(self.options.delay_max);
        delay + retry_after.unwrap_or_default()
    }

    /// Starts again with the shortest pause, after a success.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.options);
    }
}

/// The pause in an answer's `Retry-After` (RFC 9110 section 10.2.3), at most [`RETRY_AFTER_MAX`].
///
/// A date is relative to the answer's own `Date`, so the two clocks need not agree.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let date = |text: &str| {
        let parser = rfc2822::DateTimeParser::new();
        parser.parse_timestamp(text).ok().map(Timestamp::as_second)
    };
    let after = text(header::RETRY_AFTER)?;
    let seconds = match after.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => (date(after)? - date(text(header::DATE)?)?).try_into().unwrap_or(0),
    };
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// Why retrying ended without success.
#[derive(Debug)]
pub(crate) enum RetryFailure {
    /// A permanent error: another try would fail again.
    Final(RequestError),
    /// The deadline passed, or would pass before the next try.
    Deadline {
        /// The error of the last finished try; `None` if the first try was still running.
        last: Option<RequestError>,
    },
}

/// Retries until an answer is final or the deadline passes. Calls `on_retry` before each pause.
pub(crate) async fn until_answered<T, F: Future<Output = Result<T, RequestError>>>(
    options: RetryOptions,
    deadline: Option<Instant>,
    mut on_retry: impl FnMut(&RequestError, Duration),
    mut once: impl FnMut() -> F,
) -> Result<T, RetryFailure> {
    let mut backoff = Backoff::new(options);
    let mut last = None;
    loop {
        let tried = match deadline {
            Some(deadline) => match timeout_at(deadline, once()).await {
                Ok(tried) => tried,
                Err(_) => return Err(RetryFailure::Deadline { last }),
            },
            None => once().await,
        };
        let error = match tried {
            Ok(value) => return Ok(value),
            Err(error) if error.is_retryable() => error,
            Err(error) => return Err(RetryFailure::Final(error)),
        };
        let delay = backoff.next(error.refusal().and_then(|refusal| refusal.retry_after));
        if deadline.is_some_and(|deadline| Instant::now() + delay >= deadline) {
            return Err(RetryFailure::Deadline { last: Some(error) });
        }
        on_retry(&error, delay);
        last = Some(error);
        sleep(delay).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit_and_jitter_at_most_doubles_them() {
        let options = RetryOptions::default();
        let mut backoff = Backoff::new(options);
        let mut expected = options.delay_min;
        for _ in 0..12 {
            let delay = backoff.next(None);
            assert!(delay >= expected && delay <= 2 * expected, "{delay:?} {expected:?}");
            expected = (2 * expected).min(options.delay_max);
        }
        backoff.reset();
        assert!(backoff.next(None) <= 2 * options.delay_min);
    }

    #[test]
    fn two_clients_have_different_pauses() {
        let pauses = || {
            let mut backoff = Backoff::new(RetryOptions::default());
            (0..5).map(move |_| backoff.next(None)).collect::<Vec<_>>()
        };
        assert_ne!(pauses(), pauses());
    }

    #[test]
    fn a_pause_is_never_shorter_than_retry_after() {
        let retry_after = Duration::from_secs(5);
        assert!(Backoff::new(RetryOptions::default()).next(Some(retry_after)) >= retry_after);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_a_limit() {
        let read = |value: &str, date: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            headers.insert(header::DATE, date.parse().unwrap());
            retry_after(&headers).map(|delay| delay.as_secs())
        };
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(read("7", date), Some(7));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:30 GMT", date), Some(30));
        assert_eq!(read("Wed, 21 Oct 2015 07:27:30 GMT", date), Some(0));
        assert_eq!(read("86400", date), Some(300));
        assert_eq!(read("soon", date), None);
        assert_eq!(read("-1", date), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    fn unreachable() -> RequestError {
        RequestError::Unreachable { url: "http://broker".into(), reason: "refused".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn tries_continue_until_the_deadline_and_not_beyond() {
        let start = Instant::now();
        let mut tries = 0;
        let result: Result<(), _> = until_answered(
            RetryOptions::default(),
            Some(start + Duration::from_secs(60)),
            |_, _| tries += 1,
            || async { Err(unreachable()) },
        )
        .await;
        assert!(matches!(result, Err(RetryFailure::Deadline { last: Some(_) })));
        assert!(start.elapsed() <= Duration::from_secs(60));
        // The longest pauses with jitter: 0.2 s, then twice as long each time up to 12.8 s, then 20 s. Eight fit.
        assert!(tries >= 8, "{tries}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_hangs_ends_with_the_deadline() {
        let start = Instant::now();
        let result: Result<(), _> = until_answered(
            RetryOptions::default(),
            Some(start + Duration::from_secs(3)),
            |_, _| {},
            std::future::pending,
        )
        .await;
        assert!(matches!(result, Err(RetryFailure::Deadline { last: None })));
        assert_eq!(start.elapsed().as_secs(), 3);
    }
}
