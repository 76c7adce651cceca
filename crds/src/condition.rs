//! Conditions in the status of the custom resources.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The types of conditions.
pub mod kind {
    /// The spec is valid, and the channel conflicts with no other.
    pub const ACCEPTED: &str = "Accepted";
    /// The address store of every broker pod has this generation of the channel.
    pub const PROGRAMMED: &str = "Programmed";
    /// The summary of the other conditions.
    pub const READY: &str = "Ready";
    /// The volume differs from the spec.
    pub const STORAGE_DIFFERS: &str = "StorageDiffers";
    /// The default MessageBroker differs from the chart's values.
    pub const DEFAULT_DIFFERS: &str = "DefaultDiffers";
    /// The broker's data folder was replaced by another one.
    pub const STORE_REPLACED: &str = "StoreReplaced";
    /// The deletion of the resource waits, and the message says for what.
    pub const DELETION_BLOCKED: &str = "DeletionBlocked";
    /// Waiting does not help: a person has to edit this resource, or another resource has been missing for long.
    pub const STALLED: &str = "Stalled";
    /// The operator's conditions of a MessageBroker, in order.
    pub const OF_MESSAGE_BROKER: &[&str] =
        &[READY, STORAGE_DIFFERS, DEFAULT_DIFFERS, STORE_REPLACED, STALLED];
    /// The operator's conditions of a MessageChannel, in order. Other managers may add conditions of their own.
    pub const OF_MESSAGE_CHANNEL: &[&str] = &[ACCEPTED, PROGRAMMED, READY, DELETION_BLOCKED, STALLED];
}

/// The condition of a type, if present.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// The conditions of these types, in the order of `kinds`. An API server returns conditions in its own order, together
/// with conditions of other managers.
pub fn of_kinds(conditions: &[Condition], kinds: &[&str]) -> Vec<Condition> {
    kinds.iter().filter_map(|kind| find(conditions, kind)).cloned().collect()
}

/// Deserializes a list of conditions and skips invalid entries. An invalid condition of another manager must not make
/// the whole object unreadable, because then the broker would not get the channel.
pub(crate) fn lenient_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
    let list = Vec::<Value>::deserialize(deserializer)?;
    Ok(list.into_iter().filter_map(|condition| serde_json::from_value(condition).ok()).collect())
}

/// The schema of a list of conditions: a map by type. The strings have the maximum lengths of the API conventions.
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
    fn an_invalid_condition_does_not_hide_the_others() {
        // An API server accepts the second time, because it has the form of a date.
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
