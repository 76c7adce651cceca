//! Validates a manifest as an API server does: against the schema of its definition, then against its CEL rules.

use std::{collections::BTreeSet, sync::LazyLock};

use jsonschema::error::ValidationErrorKind;
use kube::{CustomResourceExt, core::cel};
use restante_wire::near::did_you_mean;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{ManifestError, node::Node};
use crate::{MessageBroker, MessageChannel, definitions, structural};

/// The schema and CEL rules of one kind.
pub(super) struct Rules {
    schema: jsonschema::Validator,
    /// The schema as JSON, to look up the names of fields.
    pub(super) strict: Value,
    /// The unchanged schema of the definition, with the CEL rules.
    definition: Value,
}

pub(super) static CHANNEL: LazyLock<Rules> = LazyLock::new(rules::<MessageChannel>);
pub(super) static BROKER: LazyLock<Rules> = LazyLock::new(rules::<MessageBroker>);

/// The limit of reported errors per document: more do not help.
const ERRORS_MAX: usize = 20;

fn rules<K: CustomResourceExt>() -> Rules {
    let definition = definitions::schema(&K::crd());
    let mut strict = definition.clone();
    strict["properties"]["apiVersion"] = json!({ "type": "string" });
    strict["properties"]["kind"] = json!({ "type": "string" });
    strict["properties"]["metadata"] = metadata_schema();
    strict["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
    make_strict(&mut strict);
    let schema = jsonschema::validator_for(&strict).expect("the definition is a schema; a test reads one");
    Rules { schema, strict, definition }
}

/// Accepts every field that an API server writes, because people apply exported manifests.
fn metadata_schema() -> Value {
    let known = [
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    let mut properties: Map<String, Value> =
        known.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    properties.insert("name".into(), json!({ "type": "string" }));
    properties.insert("namespace".into(), json!({ "type": "string" }));
    json!({ "type": "object", "properties": properties, "required": ["name"] })
}

/// Converts OpenAPI's dialect to JSON Schema. Unknown fields are refused, as by kubectl (an API server drops them with
/// a warning), `nullable` and Kubernetes' int-or-string become types, and the entries of a set must differ.
fn make_strict(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if object.contains_key("properties") && !object.contains_key("additionalProperties") {
        object.insert("additionalProperties".into(), false.into());
    }
    if object.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        object.insert("type".into(), json!(["integer", "string"]));
    }
    if object.get("x-kubernetes-list-type") == Some(&json!("set")) {
        object.insert("uniqueItems".into(), true.into());
    }
    if object.get("nullable") == Some(&Value::Bool(true)) {
        let mut types = match object.remove("type") {
            Some(Value::Array(types)) => types,
            Some(one) => vec![one],
            None => Vec::new(),
        };
        if !types.is_empty() {
            types.push("null".into());
            object.insert("type".into(), types.into());
        }
    }
    for nested in ["items", "additionalProperties"] {
        if let Some(nested) = object.get_mut(nested) {
            make_strict(nested);
        }
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(make_strict);
    }
}

/// Deserializes a value as its kind, or returns its errors, at most [`ERRORS_MAX`].
pub(super) fn check<K>(rules: &Rules, node: &Node, value: Value) -> Result<K, Vec<ManifestError>>
where
    K: DeserializeOwned,
{
    let errors: Vec<_> = rules.schema.iter_errors(&value).take(ERRORS_MAX).collect();
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| schema_error(rules, node, error)).collect());
    }
    // CEL sees the object with its defaults, as on an API server.
    let mut filled = value.clone();
    structural::fill_defaults(&rules.definition, &mut filled);
    if let Err(errors) = cel::Validator::new().validate(&rules.definition, &filled, None) {
        return Err(errors.into_vec().iter().map(|error| cel_error(node, error)).collect());
    }
    serde_json::from_value(value).map_err(|error| vec![node.error(&[], error.to_string())])
}

fn schema_error(rules: &Rules, node: &Node, error: &jsonschema::ValidationError<'_>) -> ManifestError {
    let pointer = error.instance_path().as_str().to_owned();
    let mut path: Vec<&str> = pointer.split('/').skip(1).collect();
    match error.kind() {
        // Locate the error at the unknown field instead of at its parent.
        ValidationErrorKind::AdditionalProperties { unexpected } if !unexpected.is_empty() => {
            let fields: BTreeSet<&str> = unexpected.iter().map(String::as_str).collect();
            path.push(unexpected[0].as_str());
            let known = known_fields(rules, error.schema_path().as_str());
            let hint = did_you_mean(&unexpected[0], known.iter().copied());
            let fields = fields.into_iter().collect::<Vec<_>>().join(", ");
            let message = match hint {
                hint if hint.is_empty() => {
                    format!("unknown field {fields}; known fields: {}", known.join(", "))
                }
                hint => format!("unknown field {fields}{hint}"),
            };
            node.error(&path, message)
        }
        ValidationErrorKind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            let message = format!("{property} is required");
            node.error(&path, message)
        }
        ValidationErrorKind::UniqueItems => node.error(&path, "an entry is given more than once".into()),
        _ => node.error(&path, error.to_string()),
    }
}

/// The names of `properties` beside an `additionalProperties` in the schema.
fn known_fields<'a>(rules: &'a Rules, additional: &str) -> Vec<&'a str> {
    let holder = additional.rsplit_once('/').map_or("", |(holder, _)| holder);
    let fields = rules.strict.pointer(&format!("{holder}/properties")).and_then(Value::as_object);
    fields.map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn cel_error(node: &Node, error: &cel::ValidationError) -> ManifestError {
    let path: Vec<&str> =
        error.field_path.split(['.', '[', ']']).filter(|segment| !segment.is_empty()).collect();
    node.error(&path, error.message.clone())
}
