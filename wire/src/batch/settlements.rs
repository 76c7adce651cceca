//! Many leases settled by one request.

use serde::{Deserialize, Serialize};

use crate::{Problem, json};

/// The most leases of one request.
pub const SETTLEMENTS_MAX: usize = super::BATCH_ITEMS_MAX;

/// The body of `POST /v1/settlements`. A lease is its token, or the path in `Location`, also as an absolute URL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settlements {
    /// Done: these messages are gone.
    #[serde(
        default,
        deserialize_with = "json::at_most::<SETTLEMENTS_MAX, _, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub ack: Vec<String>,
    /// Given back.
    #[serde(
        default,
        deserialize_with = "json::objects::<SETTLEMENTS_MAX, _, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub release: Vec<Release>,
    /// To the dead letters.
    #[serde(
        default,
        deserialize_with = "json::objects::<SETTLEMENTS_MAX, _, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub reject: Vec<Reject>,
    /// Needed for longer.
    #[serde(
        default,
        deserialize_with = "json::objects::<SETTLEMENTS_MAX, _, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub renew: Vec<Renew>,
}

/// A lease that gives its message back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// The lease.
    pub lease: String,
    /// For how long nobody gets the message, in seconds; absent, the channel's back-off.
    #[cfg_attr(feature = "schema", schema(format = Int64, maximum = 4294967295.0))]
    #[serde(default, deserialize_with = "super::whole::seconds", skip_serializing_if = "Option::is_none")]
    pub delay: Option<u32>,
    /// The hand-out does not count as a delivery.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncounted: bool,
}

/// A lease that gives its message up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reject {
    /// The lease.
    pub lease: String,
    /// Why, in printable ASCII.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 255, pattern = "^[ -~]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A lease that goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Renew {
    /// The lease.
    pub lease: String,
    /// For how long from now, in seconds; absent, the channel's own.
    #[cfg_attr(feature = "schema", schema(format = Int64, maximum = 4294967295.0))]
    #[serde(default, deserialize_with = "super::whole::seconds", skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
}

/// The answer: one result for each lease, in the order of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SettlementResults {
    /// Of `ack`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ack: Vec<LeaseResult>,
    /// Of `release`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub release: Vec<LeaseResult>,
    /// Of `reject`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reject: Vec<LeaseResult>,
    /// Of `renew`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renew: Vec<LeaseResult>,
}

/// What became of one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LeaseResult {
    /// The status code that the lease would have got on its own.
    pub status: u16,
    /// `Lease-Duration`, of a lease that was renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u64>,
    /// `Lease-Expires-At`, of a lease that was renewed.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<String>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}
