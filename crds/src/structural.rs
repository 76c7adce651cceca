//! Structural schemas: the dialect of JSON Schema that an API server reads, and what the server does with an object by
//! its schema.

use std::mem;

use restante_wire::json::Fault;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::quantity;

/// The format of a size in the schemas of `wire`.
const SIZE: &str = "bytes";

/// Translates the schema of a spec that embeds types of `wire` into the dialect of API servers, which warn about
/// unsigned formats. A size becomes a quantity.
pub(crate) fn translate(schema: &mut Schema) {
    let mut value = mem::take(schema).to_value();
    translate_value(&mut value);
    *schema = value.try_into().expect("an object is still an object");
}

fn translate_value(schema: &mut Value) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    properties.into_iter().flat_map(Map::values_mut).for_each(translate_value);
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    match object.get("format").and_then(Value::as_str) {
        Some("uint32") => drop(object.insert("format".into(), "int32".into())),
        Some("uint64") => drop(object.insert("format".into(), "int64".into())),
        Some(SIZE) => {
            object.retain(|keyword, _| !["format", "minimum", "type"].contains(&keyword.as_str()));
            object.append(quantity::bytes_schema(&mut SchemaGenerator::default()).ensure_object());
        }
        _ => {}
    }
    if let Some(mut default) = object.remove("default") {
        sizes_to_text(schema, &mut default);
        schema["default"] = default;
    }
}

/// Writes the sizes of a default like people do: `1Gi` for 1073741824.
fn sizes_to_text(schema: &Value, value: &mut Value) {
    match value {
        Value::Number(number) if is_size(schema) => {
            if let Some(bytes) = number.as_u64() {
                *value = quantity::text(bytes).into();
            }
        }
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(name, field)| sizes_to_text(&schema["properties"][name], field));
        }
        _ => {}
    }
}

/// Fills in the defaults of a schema, like an API server.
pub(crate) fn fill_defaults(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let properties = schema["properties"].as_object();
            for (name, property) in properties.into_iter().flatten() {
                if let Some(default) = property.get("default") {
                    fields.entry(name).or_insert_with(|| default.clone());
                }
            }
            for (name, field) in fields {
                let property = properties.and_then(|properties| properties.get(name));
                fill_defaults(property.unwrap_or(&schema["additionalProperties"]), field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill_defaults(&schema["items"], item)),
        _ => {}
    }
}

/// Converts a value to the form of `wire`: with sizes in bytes, and without the fields that the schema does not have.
///
/// `wire` refuses unknown fields. In a resource they are ignored: while the custom resource definitions are newer than
/// the operator, the API server fills in the defaults of fields that the operator does not know.
pub(crate) fn to_wire(schema: &Value, value: &mut Value) -> Result<(), Fault> {
    match value {
        Value::String(text) if is_size(schema) => {
            let bytes =
                quantity::parse(text).map_err(|error| Fault::new("", format!("is invalid: {error}")))?;
            *value = bytes.into();
        }
        Value::Object(fields) => {
            let properties = &schema["properties"];
            fields.retain(|name, _| properties.get(name).is_some());
            for (name, field) in fields {
                to_wire(&properties[name], field).map_err(|fault| fault.within(name))?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_size(schema: &Value) -> bool {
    schema["x-kubernetes-int-or-string"] == true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        let mut schema: Schema = json!({ "properties": {
            "count": { "type": "integer", "format": "uint32", "default": 5 },
            "inner": {
                "properties": {
                    "size": { "type": "integer", "format": "bytes", "minimum": 0, "default": 1 << 20 },
                    "late": { "type": "integer", "format": "uint64" },
                },
                "default": { "size": 1 << 20 },
            },
            "list": { "items": { "properties": { "on": { "type": "boolean", "default": true } } } },
        } })
        .try_into()
        .unwrap();
        translate(&mut schema);
        schema.to_value()
    }

    #[test]
    fn numbers_become_signed_and_sizes_become_quantities() {
        let schema = schema();
        assert_eq!(
            schema["properties"]["count"],
            json!({ "type": "integer", "format": "int32", "default": 5 })
        );
        let inner = &schema["properties"]["inner"];
        assert_eq!(inner["default"], json!({ "size": "1Mi" }));
        let size = &inner["properties"]["size"];
        assert_eq!((&size["x-kubernetes-int-or-string"], &size["default"]), (&json!(true), &json!("1Mi")));
        assert_eq!((size.get("type"), size.get("format"), size.get("minimum")), (None, None, None));
        assert_eq!(inner["properties"]["late"]["format"], "int64");
    }

    #[test]
    fn defaults_are_filled_in_at_every_depth() {
        for (mut given, filled) in [
            (json!({}), json!({ "count": 5, "inner": { "size": "1Mi" } })),
            (json!({ "inner": { "late": 7 } }), json!({ "count": 5, "inner": { "late": 7, "size": "1Mi" } })),
            (
                json!({ "count": 1, "inner": { "size": 3 }, "list": [{}, { "on": false }] }),
                json!({ "count": 1, "inner": { "size": 3 }, "list": [{ "on": true }, { "on": false }] }),
            ),
        ] {
            fill_defaults(&schema(), &mut given);
            assert_eq!(given, filled);
        }
    }

    #[test]
    fn wire_gets_known_fields_and_bytes() {
        let mut value = json!({ "later": 1, "inner": { "size": "1.5Ki", "later": {} } });
        to_wire(&schema(), &mut value).unwrap();
        assert_eq!(value, json!({ "inner": { "size": 1536 } }));
        let fault = to_wire(&schema(), &mut json!({ "inner": { "size": "1 Gi" } })).unwrap_err();
        assert!(fault.to_string().starts_with("inner.size is invalid: \"1 Gi\" is not a size"), "{fault}");
    }
}
