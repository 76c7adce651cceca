//! The delivery settings of a channel: their types, defaults, bounds and check.

use serde::{Deserialize, Serialize};

use super::check::{Checked, at_most};

/// The maximum of a channel's `maxWaitSeconds`.
pub const WAIT_SECONDS_MAX: u32 = 300;
/// The maximum of a channel's `maxLeaseSeconds`: half a day.
pub const LEASE_SECONDS_MAX: u32 = 43_200;
/// The maximum of a channel's `maxDeliveries`.
pub const DELIVERIES_MAX: u32 = 1000;
/// The maximum back-off, in seconds: half a day, like the longest lease.
pub const BACKOFF_SECONDS_MAX: u32 = 43_200;

/// How messages are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivery {
    /// The default wait of a pull, in seconds (the claim's predetermined time period).
    pub wait_seconds: u32,
    /// The maximum wait, in seconds; a pull with a longer wait gets this one.
    pub max_wait_seconds: u32,
    /// The default lease duration, in seconds.
    pub lease_seconds: u32,
    /// The maximum lease duration, in seconds; a pull or renewal with a longer one gets this one.
    pub max_lease_seconds: u32,
    /// The number of deliveries without a settle after which a message becomes a dead letter.
    #[serde(default = "max_deliveries")]
    pub max_deliveries: u32,
    /// The pause after a release before the message is ready again.
    #[serde(default)]
    pub backoff: Backoff,
    /// The order of delivery.
    #[serde(default)]
    pub order: Order,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            wait_seconds: 10,
            // Many proxies give up after 30 s or 60 s.
            max_wait_seconds: 20,
            lease_seconds: 30,
            max_lease_seconds: 3600,
            max_deliveries: max_deliveries(),
            backoff: Backoff::default(),
            order: Order::default(),
        }
    }
}

impl Delivery {
    /// Checks every bound.
    pub(super) fn check(&self) -> Checked {
        let Delivery { wait_seconds, max_wait_seconds, lease_seconds, max_lease_seconds, .. } = *self;
        at_most("delivery.maxWaitSeconds", max_wait_seconds, WAIT_SECONDS_MAX)?;
        if wait_seconds > max_wait_seconds {
            return Err((
                "delivery.waitSeconds",
                format!("must be at most maxWaitSeconds, {max_wait_seconds}"),
            ));
        }
        at_most("delivery.maxLeaseSeconds", max_lease_seconds, LEASE_SECONDS_MAX)?;
        if lease_seconds == 0 || lease_seconds > max_lease_seconds {
            return Err((
                "delivery.leaseSeconds",
                format!("must be 1 to maxLeaseSeconds, {max_lease_seconds}"),
            ));
        }
        if self.max_deliveries == 0 || self.max_deliveries > DELIVERIES_MAX {
            return Err(("delivery.maxDeliveries", format!("must be 1 to {DELIVERIES_MAX}")));
        }
        let Backoff { initial_seconds, max_seconds, .. } = self.backoff;
        at_most("delivery.backoff.maxSeconds", max_seconds, BACKOFF_SECONDS_MAX)?;
        if initial_seconds > max_seconds {
            return Err((
                "delivery.backoff.initialSeconds",
                format!("must be at most maxSeconds, {max_seconds}"),
            ));
        }
        Ok(())
    }
}

fn max_deliveries() -> u32 {
    10
}

/// The order in which messages are delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The oldest ready message is next; any number of messages can be leased at once.
    #[default]
    Fifo,
    /// The whole channel is one message group: one message is leased at a time, and the next one follows when it is
    /// gone.
    Strict,
}

/// How the back-off grows with the number of deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackoffPolicy {
    /// The pause doubles with each delivery.
    #[default]
    Exponential,
    /// The pause is always the same.
    Constant,
}

/// The pause after a release before the message is ready again, in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backoff {
    /// How the pause grows.
    pub policy: BackoffPolicy,
    /// The pause after the first delivery; 0 means that there is never a pause.
    pub initial_seconds: u32,
    /// The maximum pause.
    pub max_seconds: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { policy: BackoffPolicy::default(), initial_seconds: 1, max_seconds: 300 }
    }
}

impl Backoff {
    /// The pause after this number of deliveries, in seconds. It is 0 for no deliveries: such a delivery did not count.
    pub fn seconds(&self, deliveries: u32) -> u32 {
        let factor = match self.policy {
            _ if deliveries == 0 => 0,
            BackoffPolicy::Constant => 1,
            BackoffPolicy::Exponential => 1_u32.checked_shl(deliveries - 1).unwrap_or(u32::MAX),
        };
        self.initial_seconds.saturating_mul(factor).min(self.max_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_with_each_delivery_up_to_the_maximum() {
        let backoff = Backoff { policy: BackoffPolicy::Exponential, initial_seconds: 2, max_seconds: 10 };
        let pauses: Vec<_> =
            [0, 1, 2, 3, 4, 40, u32::MAX].map(|deliveries| backoff.seconds(deliveries)).into();
        assert_eq!(pauses, [0, 2, 4, 8, 10, 10, 10]);
        let constant = Backoff { policy: BackoffPolicy::Constant, ..backoff };
        assert_eq!([0, 1, 7].map(|deliveries| constant.seconds(deliveries)), [0, 2, 2]);
    }
}
