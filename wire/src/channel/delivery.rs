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

/// How the channel delivers messages to receivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(
    feature = "custom-resource",
    derive(schemars::JsonSchema),
    schemars(default, extend("x-kubernetes-validations" = rules()))
)]
pub struct Delivery {
    /// Default wait of a pull, in seconds, 0 to 300 (default: 10): how long the broker holds a pull without `?wait=` if
    /// no message is ready.
    #[cfg_attr(feature = "custom-resource", schemars(range(min = 0, max = WAIT_SECONDS_MAX)))]
    pub wait_seconds: u32,
    /// Maximum wait of a pull, in seconds, 0 to 300 (default: 20, to stay below the time-outs of proxies). A longer
    /// requested wait is shortened to this.
    #[cfg_attr(feature = "custom-resource", schemars(range(min = 0, max = WAIT_SECONDS_MAX)))]
    pub max_wait_seconds: u32,
    /// Default lease duration, in seconds, 1 to 43200 (default: 30). Applies to a pull without `?lease=`.
    #[cfg_attr(feature = "custom-resource", schemars(range(min = 1, max = LEASE_SECONDS_MAX)))]
    pub lease_seconds: u32,
    /// Maximum lease duration, in seconds, 1 to 43200 (default: 3600). A longer lease requested by a pull or a renewal
    /// is shortened to this.
    #[cfg_attr(feature = "custom-resource", schemars(range(min = 1, max = LEASE_SECONDS_MAX)))]
    pub max_lease_seconds: u32,
    /// Delivery limit, 1 to 1000 (default: 10). A message becomes a dead letter after this number of deliveries without
    /// a settle.
    #[serde(default = "max_deliveries")]
    #[cfg_attr(feature = "custom-resource", schemars(range(min = 1, max = DELIVERIES_MAX)))]
    pub max_deliveries: u32,
    /// The pause before a released message is ready again, if the release names no delay. A message whose lease expires
    /// is ready at once.
    #[serde(default)]
    pub backoff: Backoff,
    /// Delivery order (default: Fifo). Fifo: the ready message that was stored first is delivered next; any number of
    /// messages are leased at once. Strict: one message at a time. The next message is delivered when the one before is
    /// settled or a dead letter, or has expired.
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

fn max_deliveries() -> u32 {
    10
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

/// The same check for an API server: what the bounds of a single number cannot say.
#[cfg(feature = "custom-resource")]
fn rules() -> serde_json::Value {
    let Delivery { wait_seconds, max_wait_seconds, lease_seconds, max_lease_seconds, .. } =
        Delivery::default();
    serde_json::json!([
        {
            "rule": "self.waitSeconds <= self.maxWaitSeconds",
            "message": format!(
                "delivery.waitSeconds (default: {wait_seconds}) must be at most delivery.maxWaitSeconds (default: \
                 {max_wait_seconds})"
            ),
        },
        {
            "rule": "self.leaseSeconds <= self.maxLeaseSeconds",
            "message": format!(
                "delivery.leaseSeconds (default: {lease_seconds}) must be at most delivery.maxLeaseSeconds (default: \
                 {max_lease_seconds})"
            ),
        },
    ])
}

/// The order in which messages are delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "custom-resource", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "custom-resource", derive(schemars::JsonSchema))]
pub enum BackoffPolicy {
    /// The pause doubles with each delivery.
    #[default]
    Exponential,
    /// The pause is always the same.
    Constant,
}

/// The pause before a released message is ready again, if the release names no delay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(
    feature = "custom-resource",
    derive(schemars::JsonSchema),
    schemars(default, extend("x-kubernetes-validations" = backoff_rules()))
)]
pub struct Backoff {
    /// How the pause grows (default: Exponential). Exponential: it doubles with each delivery of the message. Constant:
    /// it is always `initialSeconds`.
    pub policy: BackoffPolicy,
    /// The pause after a release of the first delivery, in seconds, 0 to 43200 (default: 1). 0 means no pause after any
    /// delivery.
    #[cfg_attr(feature = "custom-resource", schemars(range(min = 0, max = BACKOFF_SECONDS_MAX)))]
    pub initial_seconds: u32,
    /// The longest pause, in seconds, 0 to 43200 (default: 300).
    #[cfg_attr(feature = "custom-resource", schemars(range(min = 0, max = BACKOFF_SECONDS_MAX)))]
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

#[cfg(feature = "custom-resource")]
fn backoff_rules() -> serde_json::Value {
    let Backoff { initial_seconds, max_seconds, .. } = Backoff::default();
    serde_json::json!([{
        "rule": "self.initialSeconds <= self.maxSeconds",
        "message": format!(
            "backoff.initialSeconds (default: {initial_seconds}) must be at most backoff.maxSeconds (default: \
             {max_seconds})"
        ),
    }])
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
