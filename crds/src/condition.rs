//! Conditions: what every resource tells of its state.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The names of the conditions.
pub mod kind {
    /// The spec is valid here.
    pub const ACCEPTED: &str = "Accepted";
    /// Every broker pod has this generation in its address store.
    pub const PROGRAMMED: &str = "Programmed";
    /// The summary.
    pub const READY: &str = "Ready";
    /// The volume is not what the spec asks for.
    pub const STORAGE_DIFFERS: &str = "StorageDiffers";
    /// The default MessageBroker is not as its installation asks.
    pub const DEFAULT_DIFFERS: &str = "DefaultDiffers";
    /// The broker has another data folder than it had.
    pub const STORE_REPLACED: &str = "StoreReplaced";
    /// The resource is deleted and something keeps it.
    pub const DELETION_BLOCKED: &str = "DeletionBlocked";
    /// Waiting is in vain: somebody has to edit this resource, or another one has been missing for long.
    pub const STALLED: &str = "Stalled";
    /// Those that the operator tells of a MessageBroker, in their order.
    pub const OF_MESSAGE_BROKER: &[&str] =
        &[READY, STORAGE_DIFFERS, DEFAULT_DIFFERS, STORE_REPLACED, STALLED];
    /// Those that the operator tells of a MessageChannel, in their order. Others may be there as well, and are not its own.
    pub const OF_MESSAGE_CHANNEL: &[&str] = &[ACCEPTED, PROGRAMMED, READY, DELETION_BLOCKED, STALLED];
}

/// The condition of a type, if it is there.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// The conditions of these types, in the order of the types. An API server gives them in an order of its own, and with
/// those of other managers.
pub fn only(conditions: &[Condition], kinds: &[&str]) -> Vec<Condition> {
    kinds.iter().filter_map(|kind| find(conditions, kind)).cloned().collect()
}

/// A list of conditions, as far as it can be read: what another manager says in one must not make the whole object unreadable,
/// and with it its channel unknown to the broker.
pub(crate) fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
    let list = Vec::<Value>::deserialize(deserializer)?;
    Ok(list.into_iter().filter_map(|condition| serde_json::from_value(condition).ok()).collect())
}

/// The schema of a list of conditions: a map by type, each string as long as the API conventions allow.
pub(crate) fn list_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": { "type": "string", "maxLength": 316 },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "reason": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": { "type": "string", "maxLength": 32768 },
                "lastTransitionTime": { "type": "string", "format": "date-time" },
                "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0 },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::MessageChannelStatus;

    #[test]
    fn a_condition_that_cannot_be_read_hides_none_of_the_others() {
        // An API server takes the second time for a date, as its form is one.
        let condition = |kind: &str, time: &str| {
            json!({
                "type": kind, "status": "True", "reason": "R", "message": "", "lastTransitionTime": time,
            })
        };
        let conditions = [
            condition("Ready", "2026-01-01T00:00:00Z"),
            condition("example.com/Audited", "2026-01-01T00:00:00+99:99"),
        ];
        let status: MessageChannelStatus =
            serde_json::from_value(json!({ "conditions": conditions })).unwrap();
        let kinds: Vec<_> = status.conditions.iter().map(|one| one.type_.as_str()).collect();
        assert_eq!(kinds, ["Ready"]);
    }
}
