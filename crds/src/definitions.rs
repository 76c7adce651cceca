//! The CustomResourceDefinitions as YAML, for `kubectl apply` and as templates of the Helm chart.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt;
use serde_json::{Number, Value, json};

use crate::{MessageBroker, MessageChannel, condition::kind};

/// A generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedFile {
    /// The path, relative to the root of the repository.
    pub path: String,
    /// The YAML.
    pub content: String,
}

/// Why the YAML could not be generated: a defect of the types.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// Serialization to JSON failed.
    #[error("cannot write a definition as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Serialization to YAML failed.
    #[error("cannot write a definition as YAML: {0}")]
    Yaml(#[from] serde_saphyr::SerializeError),
}

/// The first line of every generated file.
const HEADER: &str = "# Generated from the types in crds/src by `cargo crdgen write`. Do not edit.\n";

/// Every definition.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        with_default_status(MessageBroker::crd(), "waiting for an operator in this namespace"),
        with_default_status(
            MessageChannel::crd(),
            "waiting for an operator: the one in spec.brokerRef.namespace, or by default the operator that ClusterRole \
             restante-default-operator names",
        ),
    ]
}

/// The schema of a definition.
pub(crate) fn schema(definition: &CustomResourceDefinition) -> Value {
    let value = serde_json::to_value(definition).expect("a definition consists of JSON types");
    value["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// A number of a spec, and its bounds in the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundedNumber {
    /// The path of the field below `spec`, such as `limits.messages`.
    pub path: String,
    /// The smallest valid value.
    pub least: u64,
    /// The largest valid value.
    pub most: u64,
}

/// The numbers of a MessageChannel's spec. Tests of several crates try each of them at its bounds and beyond, also a
/// number that is added later.
pub fn channel_numbers() -> Vec<BoundedNumber> {
    let mut found = Vec::new();
    numbers("", &schema(&MessageChannel::crd())["properties"]["spec"], &mut found);
    found
}

fn numbers(path: &str, schema: &Value, found: &mut Vec<BoundedNumber>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        numbers(&path, property, found);
        if property["type"] == "integer" {
            let bound =
                |which: &str, unbounded| property[which].as_f64().map_or(unbounded, |bound| bound as u64);
            found.push(BoundedNumber { path, least: bound("minimum", 0), most: bound("maximum", u64::MAX) });
        }
    }
}

/// The definition with a default status. So every object has the condition Ready, with status Unknown, before an
/// operator has seen it, and `kubectl wait` and tools like it wait. The default is set on `status` as a whole, because
/// a default of a field inside applies only if there is a status.
fn with_default_status(mut definition: CustomResourceDefinition, message: &str) -> CustomResourceDefinition {
    let status = json!({ "conditions": [{
        "type": kind::READY,
        "status": "Unknown",
        "reason": "Pending",
        "message": message,
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }] });
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let properties = schema.and_then(|schema| schema.properties.as_mut());
        if let Some(property) = properties.and_then(|properties| properties.get_mut("status")) {
            property.default = Some(JSON(status.clone()));
        }
    }
    definition
}

/// Every generated file: each definition as plain YAML, and as a template of the chart.
pub fn files() -> Result<Vec<GeneratedFile>, GenerateError> {
    let mut files = Vec::new();
    for definition in all() {
        let plural = definition.spec.names.plural.clone();
        let mut value = serde_json::to_value(&definition)?;
        whole_numbers(&mut value);
        let yaml = serde_saphyr::to_string(&value)?;
        let yaml = yaml.trim_start_matches("---\n");
        files.push(GeneratedFile {
            path: format!("crds/{plural}.{}.yaml", crate::GROUP),
            content: format!("{HEADER}{yaml}"),
        });
        files.push(GeneratedFile {
            path: format!("charts/restante/templates/crds/{plural}.yaml"),
            content: chart_template(yaml),
        });
    }
    Ok(files)
}

/// Writes whole numbers without a fraction: the types of Kubernetes store `maximum: 300` as 300.0.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
            if let Some(float) = whole.filter(|float| float.abs() < 2_f64.powi(53)) {
                *number = Number::from(float as i64);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The definition as a template: installed if `crds.install`, and kept at `helm uninstall` if `crds.keep`.
fn chart_template(yaml: &str) -> String {
    // Helm would read `{{` in a description as the begin of an action.
    let escaped = yaml.replace("{{", "{{ \"{{\" }}");
    let annotated = escaped.replacen(
        "metadata:\n",
        "metadata:\n  {{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n",
        1,
    );
    format!("{{{{- if .Values.crds.install }}}}\n{HEADER}{}\n{{{{- end }}}}\n", annotated.trim_end())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

    use super::*;

    fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
        visit(path, schema);
        if let Some(properties) = schema["properties"].as_object() {
            for (name, property) in properties {
                walk(&format!("{path}.{name}"), property, visit);
            }
        }
        for nested in ["items", "additionalProperties"] {
            if schema[nested].is_object() {
                walk(&format!("{path}.{nested}"), &schema[nested], visit);
            }
        }
    }

    fn each_schema(visit: &mut impl FnMut(&str, &Value)) {
        for definition in all() {
            let kind = definition.spec.names.kind.clone();
            let value = serde_json::to_value(definition).unwrap();
            walk(&kind, &value["spec"]["versions"][0]["schema"]["openAPIV3Schema"], visit);
        }
    }

    #[test]
    fn every_list_and_every_string_is_bounded() {
        let mut seen = 0;
        each_schema(&mut |path, schema| {
            seen += 1;
            if schema["type"] == "array" {
                assert!(schema["maxItems"].is_u64(), "{path} has no maxItems");
            }
            if schema["additionalProperties"].is_object() {
                assert!(schema["maxProperties"].is_u64(), "{path} has no maxProperties");
            }
            // The API server defines kind and apiVersion; the length of a date follows from its format.
            let own =
                path.ends_with(".kind") || path.ends_with(".apiVersion") || schema["format"] == "date-time";
            if schema["type"] == "string" && !own {
                assert!(schema["maxLength"].is_u64() || schema["enum"].is_array(), "{path} has no maxLength");
            }
        });
        assert!(seen > 50, "only {seen} schemas: the walk is broken");
    }

    #[test]
    fn no_number_has_a_format_that_api_servers_warn_about() {
        each_schema(&mut |path, schema| {
            let format = schema["format"].as_str().unwrap_or("int64");
            assert!(["int32", "int64", "date-time"].contains(&format), "{path} has format {format}");
        });
    }

    #[test]
    fn every_description_contains_the_default() {
        each_schema(&mut |path, schema| {
            let default = &schema["default"];
            if default.is_object() || default.is_null() {
                return;
            }
            let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            let description = schema["description"].as_str().unwrap_or_default();
            assert!(description.contains(&format!("(default: {default}")), "{path}: {description}");
        });
    }

    #[test]
    fn every_object_is_pending_from_its_creation_on() {
        for definition in all() {
            let definition = serde_json::to_value(definition).unwrap();
            let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            let condition = &schema["properties"]["status"]["default"]["conditions"][0];
            assert_eq!((&condition["type"], &condition["status"]), (&json!("Ready"), &json!("Unknown")));
            // The operator must be able to read the default.
            serde_json::from_value::<Condition>(condition.clone()).unwrap();
        }
    }

    #[test]
    fn every_selectable_field_is_a_single_value_of_the_schema() {
        let definition = serde_json::to_value(MessageChannel::crd()).unwrap();
        let version = &definition["spec"]["versions"][0];
        let selectable = version["selectableFields"].as_array().unwrap();
        assert!(selectable.len() <= 8, "an API server takes 8 at the most");
        for field in selectable {
            let path = field["jsonPath"].as_str().unwrap();
            let schema = path
                .split('.')
                .skip(1)
                .fold(&version["schema"]["openAPIV3Schema"], |schema, name| &schema["properties"][name]);
            let kind = schema["type"].as_str().unwrap_or_default();
            assert!(["string", "boolean", "integer"].contains(&kind), "{path} is {schema}");
        }
    }

    #[test]
    fn the_chart_keeps_the_definitions_if_crds_keep_is_set() {
        let files = files().unwrap();
        let template = files.iter().find(|file| file.path.ends_with("crds/messagechannels.yaml")).unwrap();
        assert!(template.content.starts_with("{{- if .Values.crds.install }}\n"));
        assert!(template.content.contains("metadata:\n  {{- if .Values.crds.keep }}\n  annotations:\n"));
    }
}
