//! The delivery settings of a channel: waits, leases, redeliveries and order.

use kube::KubeSchema;
use restante_wire::channel::{
    self, BACKOFF_SECONDS_MAX, DELIVERIES_MAX, LEASE_SECONDS_MAX, WAIT_SECONDS_MAX,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the channel delivers messages to receivers.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.waitSeconds <= self.maxWaitSeconds")
        .message("delivery.waitSeconds (default: 10) must be at most delivery.maxWaitSeconds (default: 20)"),
    validation = Rule::new("self.leaseSeconds <= self.maxLeaseSeconds")
        .message("delivery.leaseSeconds (default: 30) must be at most delivery.maxLeaseSeconds (default: 3600)"),
)]
pub struct DeliverySpec {
    /// Default wait of a pull, in seconds, 0 to 300 (default: 10): how long the broker holds a pull without `?wait=` if
    /// no message is ready.
    #[serde(default = "wait_seconds")]
    #[schemars(range(min = 0, max = WAIT_SECONDS_MAX))]
    pub wait_seconds: i32,
    /// Maximum wait of a pull, in seconds, 0 to 300 (default: 20, to stay below the time-outs of proxies). A longer
    /// requested wait is shortened to this.
    #[serde(default = "max_wait_seconds")]
    #[schemars(range(min = 0, max = WAIT_SECONDS_MAX))]
    pub max_wait_seconds: i32,
    /// Default lease duration, in seconds, 1 to 43200 (default: 30). Applies to a pull without `?lease=`.
    #[serde(default = "lease_seconds")]
    #[schemars(range(min = 1, max = LEASE_SECONDS_MAX))]
    pub lease_seconds: i32,
    /// Maximum lease duration, in seconds, 1 to 43200 (default: 3600). A longer lease requested by a pull or a renewal
    /// is shortened to this.
    #[serde(default = "max_lease_seconds")]
    #[schemars(range(min = 1, max = LEASE_SECONDS_MAX))]
    pub max_lease_seconds: i32,
    /// Delivery limit, 1 to 1000 (default: 10). A message becomes a dead letter after this number of deliveries without
    /// a settle.
    #[serde(default = "max_deliveries")]
    #[schemars(range(min = 1, max = DELIVERIES_MAX))]
    pub max_deliveries: i32,
    /// The pause before a released message is ready again, if the release names no delay. A message whose lease expires
    /// is ready at once.
    #[serde(default)]
    pub backoff: BackoffSpec,
    /// Delivery order (default: Fifo). Fifo: the ready message that was stored first is delivered next; any number of
    /// messages are leased at once. Strict: one message at a time. The next message is delivered when the one before is
    /// settled or a dead letter, or has expired.
    #[serde(default)]
    pub order: Order,
}

impl Default for DeliverySpec {
    fn default() -> Self {
        Self {
            wait_seconds: wait_seconds(),
            max_wait_seconds: max_wait_seconds(),
            lease_seconds: lease_seconds(),
            max_lease_seconds: max_lease_seconds(),
            max_deliveries: max_deliveries(),
            backoff: BackoffSpec::default(),
            order: Order::default(),
        }
    }
}

/// The pause before a released message is ready again, if the release names no delay.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.initialSeconds <= self.maxSeconds")
        .message("backoff.initialSeconds (default: 1) must be at most backoff.maxSeconds (default: 300)"),
)]
pub struct BackoffSpec {
    /// How the pause grows (default: Exponential). Exponential: it doubles with each delivery of the message. Constant:
    /// it is always `initialSeconds`.
    #[serde(default)]
    pub policy: BackoffPolicy,
    /// The pause after a release of the first delivery, in seconds, 0 to 43200 (default: 1). 0 means no pause after any
    /// delivery.
    #[serde(default = "initial_seconds")]
    #[schemars(range(min = 0, max = BACKOFF_SECONDS_MAX))]
    pub initial_seconds: i32,
    /// The longest pause, in seconds, 0 to 43200 (default: 300).
    #[serde(default = "max_seconds")]
    #[schemars(range(min = 0, max = BACKOFF_SECONDS_MAX))]
    pub max_seconds: i32,
}

impl Default for BackoffSpec {
    fn default() -> Self {
        Self {
            policy: BackoffPolicy::default(),
            initial_seconds: initial_seconds(),
            max_seconds: max_seconds(),
        }
    }
}

/// How the pause before the next delivery grows.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackoffPolicy {
    /// The pause doubles with each delivery.
    #[default]
    Exponential,
    /// The pause does not grow.
    Constant,
}

impl From<BackoffPolicy> for channel::BackoffPolicy {
    fn from(policy: BackoffPolicy) -> Self {
        match policy {
            BackoffPolicy::Exponential => Self::Exponential,
            BackoffPolicy::Constant => Self::Constant,
        }
    }
}

/// The delivery order.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The ready message that was stored first is delivered next; any number of messages are leased at once.
    #[default]
    Fifo,
    /// The whole channel is one message group: at most one message is leased at a time.
    Strict,
}

impl From<Order> for channel::Order {
    fn from(order: Order) -> Self {
        match order {
            Order::Fifo => Self::Fifo,
            Order::Strict => Self::Strict,
        }
    }
}

fn wait_seconds() -> i32 {
    10
}

/// Below the time-outs of many proxies, 30 s or 60 s.
fn max_wait_seconds() -> i32 {
    20
}

fn lease_seconds() -> i32 {
    30
}

fn max_lease_seconds() -> i32 {
    3600
}

fn max_deliveries() -> i32 {
    10
}

fn initial_seconds() -> i32 {
    1
}

fn max_seconds() -> i32 {
    300
}
