//! How messages of a channel are handed out.

use kube::KubeSchema;
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
    #[schemars(range(min = 0, max = 300))]
    pub wait_seconds: i32,
    /// The longest wait; a pull that asks for more gets this. In seconds, 0 to 300 (default: 20, to stay under the
    /// time-outs of proxies).
    #[serde(default = "max_wait_seconds")]
    #[schemars(range(min = 0, max = 300))]
    pub max_wait_seconds: i32,
    /// How long a message is the receiver's when the pull names no lease, in seconds, 1 to 43200 (default: 30).
    #[serde(default = "lease_seconds")]
    #[schemars(range(min = 1, max = 43_200))]
    pub lease_seconds: i32,
    /// The longest lease; a pull or a renewal that asks for more gets this. In seconds, 1 to 43200 (default: 3600).
    #[serde(default = "max_lease_seconds")]
    #[schemars(range(min = 1, max = 43_200))]
    pub max_lease_seconds: i32,
}

impl Default for DeliverySpec {
    fn default() -> Self {
        Self {
            wait_seconds: wait_seconds(),
            max_wait_seconds: max_wait_seconds(),
            lease_seconds: lease_seconds(),
            max_lease_seconds: max_lease_seconds(),
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
