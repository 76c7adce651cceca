//! The backlog in the status of a channel: approximate, and written rarely. Pure.

use std::{collections::HashMap, time::Duration};

use restante_crds::Backlog;
use restante_wire::ChannelStats;
use tokio::time::Instant;
use uuid::Uuid;

/// The minimum time between two writes of one channel's backlog.
const CHANNEL_INTERVAL: Duration = Duration::from_secs(60);
/// The limit of backlog writes per second, for all channels together: a status write costs the API server 12 ms of CPU.
const WRITES_PER_SECOND: f64 = 5.0;

/// The counts, rounded to two significant digits, and the age, rounded to steps.
pub fn rounded(stats: &ChannelStats) -> Backlog {
    Backlog {
        messages: two_digits(stats.messages() - stats.dead),
        ready: two_digits(stats.ready),
        leased: two_digits(stats.leased),
        delayed: two_digits(stats.delayed),
        dead: two_digits(stats.dead),
        waiting: two_digits(stats.waiting_receivers),
        oldest: stats.oldest_message_age_seconds.map(|seconds| age(seconds).to_owned()),
    }
}

/// The sum of a channel's counts in two pods.
pub fn sum(one: ChannelStats, other: &ChannelStats) -> ChannelStats {
    ChannelStats {
        ready: one.ready + other.ready,
        leased: one.leased + other.leased,
        delayed: one.delayed + other.delayed,
        dead: one.dead + other.dead,
        bytes: one.bytes + other.bytes,
        oldest_message_age_seconds: one.oldest_message_age_seconds.max(other.oldest_message_age_seconds),
        waiting_receivers: one.waiting_receivers + other.waiting_receivers,
        waiting_senders: one.waiting_senders + other.waiting_senders,
        ..one
    }
}

fn two_digits(count: u64) -> i64 {
    let mut scale = 1;
    while count / scale >= 100 {
        scale *= 10;
    }
    // Round half up. 99.5 becomes 100, which still has two significant digits.
    let rounded = (count + scale / 2) / scale * scale;
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

fn age(seconds: u64) -> &'static str {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    match seconds {
        0..MINUTE => "<1m",
        MINUTE..300 => "<5m",
        300..900 => "<15m",
        900..HOUR => "<1h",
        HOUR..21_600 => "<6h",
        21_600..86_400 => "<1d",
        _ => "≥1d",
    }
}

/// Limits the rate of backlog writes.
#[derive(Debug)]
pub struct BacklogLimiter {
    last: HashMap<Uuid, Instant>,
    tokens: f64,
    filled: Instant,
}

impl BacklogLimiter {
    pub fn new(now: Instant) -> Self {
        Self { last: HashMap::new(), tokens: WRITES_PER_SECOND, filled: now }
    }

    /// Whether this channel's backlog may be written now. If so, the write is counted.
    pub fn may_write(&mut self, uid: Uuid, now: Instant) -> bool {
        let passed = now.duration_since(self.filled);
        self.filled = now;
        // The saved tokens cover at most one interval between two inspections.
        let most = WRITES_PER_SECOND * 15.0;
        self.tokens = (self.tokens + passed.as_secs_f64() * WRITES_PER_SECOND).min(most);
        let rested = self.last.get(&uid).is_none_or(|last| now.duration_since(*last) >= CHANNEL_INTERVAL);
        if !rested || self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        self.last.insert(uid, now);
        true
    }

    /// Forgets a channel that is gone.
    pub fn forget(&mut self, uid: Uuid) {
        self.last.remove(&uid);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dead_letters_are_shown_but_do_not_count_as_messages() {
        let counts = json!({
            "uid": Uuid::from_u128(1), "namespace": "acme", "name": "orders", "ready": 3, "leased": 2, "delayed": 111,
            "dead": 40, "bytes": 9, "oldestMessageAgeSeconds": 70, "waitingReceivers": 4,
        });
        let backlog = rounded(&serde_json::from_value(counts).unwrap());
        let shown = Backlog {
            messages: 120,
            ready: 3,
            leased: 2,
            delayed: 110,
            dead: 40,
            waiting: 4,
            oldest: Some("<5m".into()),
        };
        assert_eq!(backlog, shown);
    }

    #[test]
    fn numbers_keep_two_significant_digits() {
        let expected =
            [(0, 0), (7, 7), (99, 99), (100, 100), (104, 100), (105, 110), (1_249, 1_200), (995, 1_000)];
        for (count, rounded) in expected {
            assert_eq!(two_digits(count), rounded, "{count}");
        }
        assert_eq!(two_digits(123_456_789), 120_000_000);
    }

    #[test]
    fn ages_are_steps() {
        let steps = [0, 59, 60, 299, 300, 899, 900, 3_599, 3_600, 21_599, 21_600, 86_399, 86_400];
        let words = steps.map(age);
        assert_eq!(
            words,
            ["<1m", "<1m", "<5m", "<5m", "<15m", "<15m", "<1h", "<1h", "<6h", "<6h", "<1d", "<1d", "≥1d"]
        );
    }

    #[test]
    fn one_channel_is_written_once_a_minute() {
        let start = Instant::now();
        let mut limiter = BacklogLimiter::new(start);
        let uid = Uuid::from_u128(1);
        assert!(limiter.may_write(uid, start));
        assert!(!limiter.may_write(uid, start + Duration::from_secs(59)));
        assert!(limiter.may_write(uid, start + Duration::from_secs(60)));
    }

    #[test]
    fn all_channels_together_are_written_five_times_a_second() {
        let start = Instant::now();
        let mut limiter = BacklogLimiter::new(start);
        let written = |limiter: &mut BacklogLimiter, at: Instant, range: std::ops::Range<u128>| {
            range.filter(|number| limiter.may_write(Uuid::from_u128(*number), at)).count()
        };
        assert_eq!(written(&mut limiter, start, 0..100), 5);
        assert_eq!(written(&mut limiter, start + Duration::from_secs(2), 100..200), 10);
        assert_eq!(written(&mut limiter, start + Duration::from_secs(3600), 200..400), 75);
    }
}
