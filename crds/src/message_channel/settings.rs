//! The settings of a channel whose types are those of `wire`: a field of [`Delivery`], [`Limits`] or [`Access`] is
//! declared there, and nowhere else.

use std::sync::LazyLock;

use kube::CustomResourceExt;
use restante_wire::{
    channel::{Access, Delivery, Limits},
    json,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::Value;

use super::MessageChannel;
use crate::{definitions, structural};

/// The schema of a channel's spec.
static SPEC: LazyLock<Value> =
    LazyLock::new(|| definitions::schema(&MessageChannel::crd())["properties"]["spec"].clone());

pub(super) fn delivery<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Delivery, D::Error> {
    read("delivery", deserializer)
}

pub(super) fn limits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Limits, D::Error> {
    read("limits", deserializer)
}

pub(super) fn access<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Access, D::Error> {
    read("access", deserializer)
}

/// Reads a field of the spec. The types of `wire` require most fields and refuse unknown ones, because a broker gets
/// complete settings. A resource names only the fields that differ from the defaults.
fn read<'de, T: DeserializeOwned, D: Deserializer<'de>>(field: &str, deserializer: D) -> Result<T, D::Error> {
    let mut value = Value::deserialize(deserializer)?;
    let schema = &SPEC["properties"][field];
    let mut settings = || {
        structural::fill_defaults(schema, &mut value);
        structural::to_wire(schema, &mut value)?;
        json::read(value.to_string().as_bytes())
    };
    settings().map_err(|fault| D::Error::custom(fault.within(field).within("spec")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(limits: Value) -> Result<Limits, String> {
        super::limits(limits).map_err(|error| error.to_string())
    }

    #[test]
    fn absent_fields_get_the_defaults_of_wire() {
        assert_eq!(read(json!({})), Ok(Limits::default()));
        let expected = Limits { messages: 5, bytes: 3 << 29, ..Limits::default() };
        assert_eq!(read(json!({ "messages": 5, "bytes": "1.5Gi" })), Ok(expected));
        assert_eq!(delivery(json!({ "backoff": {} })).unwrap(), Delivery::default());
    }

    /// After an upgrade of the definitions, the API server fills in the default of each new field of each channel. The
    /// operator that still runs must be able to read these channels. A broker refuses the field.
    #[test]
    fn a_field_of_a_later_version_is_ignored_in_a_resource_and_refused_by_wire() {
        let mut later = serde_json::to_value(Limits::default()).unwrap();
        later["colours"] = 5.into();
        assert_eq!(read(later.clone()), Ok(Limits::default()));
        assert!(serde_json::from_value::<Limits>(later).is_err());
    }

    #[test]
    fn an_invalid_value_is_refused_with_its_path() {
        for (limits, expected) in [
            (json!({ "maxDelaySeconds": -1 }), "spec.limits.maxDelaySeconds must be a whole number from 0"),
            (json!({ "bytes": "lots" }), "spec.limits.bytes is invalid: \"lots\" is not a size"),
            (json!({ "bytes": "999999999999999999Pi" }), "spec.limits.bytes is invalid: \"9"),
            (json!(null), "spec.limits must be an object"),
        ] {
            let error = read(limits).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
