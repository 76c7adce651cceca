//! How messages of a channel are handed out.

use kube::KubeSchema;
use restante_wire::channel::{
    self, BACKOFF_SECONDS_MAX, DELIVERIES_MAX, LEASE_SECONDS_MAX, WAIT_SECONDS_MAX,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How messages are handed out.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.waitSeconds <= self.maxWaitSeconds")
        .message("delivery.waitSeconds (default: 10) must be at most delivery.maxWaitSeconds (default: 20)"),
    validation = Rule::new("self.leaseSeconds <= self.maxLeaseSeconds")
        .message("delivery.leaseSeconds (default: 30) must be at most delivery.maxLeaseSeconds (default: 3600)"),
)]
pub struct DeliverySpec {
    /// The predetermined time period: how long a pull that names no wait is held while the channel is empty, in
    /// seconds, 0 to 300 (default: 10).
    #[serde(default = "wait_seconds")]
    #[schemars(range(min = 0, max = WAIT_SECONDS_MAX))]
    pub wait_seconds: i32,
    /// The longest wait; a pull that asks for more gets this. In seconds, 0 to 300 (default: 20, to stay under the
    /// time-outs of proxies).
    #[serde(default = "max_wait_seconds")]
    #[schemars(range(min = 0, max = WAIT_SECONDS_MAX))]
    pub max_wait_seconds: i32,
    /// How long a message is the receiver's when the pull names no lease, in seconds, 1 to 43200 (default: 30).
    #[serde(default = "lease_seconds")]
    #[schemars(range(min = 1, max = LEASE_SECONDS_MAX))]
    pub lease_seconds: i32,
    /// The longest lease; a pull or a renewal that asks for more gets this. In seconds, 1 to 43200 (default: 3600).
    #[serde(default = "max_lease_seconds")]
    #[schemars(range(min = 1, max = LEASE_SECONDS_MAX))]
    pub max_lease_seconds: i32,
    /// After how many deliveries that ended without a settle a message is a dead letter, 1 to 1000 (default: 10).
    #[serde(default = "max_deliveries")]
    #[schemars(range(min = 1, max = DELIVERIES_MAX))]
    pub max_deliveries: i32,
    /// The pause before a message that was given back is handed out again.
    #[serde(default)]
    pub backoff: BackoffSpec,
    /// In which order (default: Fifo). Fifo: the ready message that was stored first is next, and any number are leased
    /// at once. Strict: one message is leased at a time, and the next follows when it is gone.
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

/// The pause before a message that was given back is handed out again: after a release without a delay, and after a
/// lease that ended.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.initialSeconds <= self.maxSeconds")
        .message("backoff.initialSeconds (default: 1) must be at most backoff.maxSeconds (default: 300)"),
)]
pub struct BackoffSpec {
    /// How the pause grows (default: Exponential). Exponential: it doubles with each delivery. Constant: it stays as it
    /// is.
    #[serde(default)]
    pub policy: BackoffPolicy,
    /// The pause after the first delivery, in seconds, 0 to 43200 (default: 1). 0 means none, ever.
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

/// How the pause grows before a message that was given back is handed out again.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackoffPolicy {
    /// It doubles with each delivery.
    #[default]
    Exponential,
    /// It stays as it is.
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

/// In which order messages are handed out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The ready message that was stored first is next; any number are leased at once.
    #[default]
    Fifo,
    /// The whole channel is one group: one message is leased at a time.
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

/// Many proxies give up after 30 s or 60 s.
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
