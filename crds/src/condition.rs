//! Conditions: what every resource tells of its state.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{Schema, SchemaGenerator, json_schema};

/// The names of the conditions.
pub mod kind {
    /// The spec is valid here.
    pub const ACCEPTED: &str = "Accepted";
    /// Every broker pod has this generation in its address store.
    pub const PROGRAMMED: &str = "Programmed";
    /// The summary.
    pub const READY: &str = "Ready";
    /// The resource is deleted and something keeps it.
    pub const DELETION_BLOCKED: &str = "DeletionBlocked";
    /// Waiting is in vain: somebody has to edit this resource, or another one has been missing for long.
    pub const STALLED: &str = "Stalled";
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
