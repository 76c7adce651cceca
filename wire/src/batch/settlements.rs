//! Many leases settled by one request.

use serde::{Deserialize, Serialize};

use crate::{Problem, json};

/// The maximum number of leases in one request.
pub const SETTLEMENTS_MAX: usize = super::BATCH_ITEMS_MAX;

/// The body of `POST /v1/settlements`. A lease is given as its token or as the path in `Location`, also as an absolute
/// URL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settlements {
    /// Leases to settle: their messages are gone.
    #[serde(
        default,
        deserialize_with = "json::at_most::<SETTLEMENTS_MAX, _, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub ack: Vec<String>,
    /// Leases to release.
    #[serde(
        default,
        deserialize_with = "json::objects::<SETTLEMENTS_MAX, _, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub release: Vec<Release>,
    /// Leases to reject: their messages become dead letters.
    #[serde(
        default,
        deserialize_with = "json::objects::<SETTLEMENTS_MAX, _, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub reject: Vec<Reject>,
    /// Leases to renew.
    #[serde(
        default,
        deserialize_with = "json::objects::<SETTLEMENTS_MAX, _, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub renew: Vec<Renew>,
}

/// A lease to release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// The lease's token or path.
    pub lease: String,
    /// Seconds until the message is ready again; default: the channel's back-off.
    #[cfg_attr(feature = "schema", schema(format = Int64, maximum = 4294967295.0))]
    #[serde(
        default,
        deserialize_with = "super::whole_number::seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub delay: Option<u32>,
    /// Whether the delivery does not count towards `maxDeliveries`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncounted: bool,
}

/// A lease to reject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reject {
    /// The lease's token or path.
    pub lease: String,
    /// The reason, in printable ASCII.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 255, pattern = "^[ -~]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A lease to renew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Renew {
    /// The lease's token or path.
    pub lease: String,
    /// The new duration from now, in seconds; default: the channel's `leaseSeconds`.
    #[cfg_attr(feature = "schema", schema(format = Int64, maximum = 4294967295.0))]
    #[serde(
        default,
        deserialize_with = "super::whole_number::seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub seconds: Option<u32>,
}

/// The answer to `POST /v1/settlements`: one result for each lease, in the order of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SettlementResults {
    /// The results of `ack`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ack: Vec<LeaseResult>,
    /// The results of `release`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub release: Vec<LeaseResult>,
    /// The results of `reject`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reject: Vec<LeaseResult>,
    /// The results of `renew`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renew: Vec<LeaseResult>,
}

/// The result of one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LeaseResult {
    /// The status code of the lease, as if it had been settled alone.
    pub status: u16,
    /// `Lease-Duration` of a renewed lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u64>,
    /// `Lease-Expires-At` of a renewed lease.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<String>,
    /// Why the request for this lease was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}
