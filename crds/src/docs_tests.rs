//! The documents have each field of a MessageChannel, with its default.

use kube::CustomResourceExt;
use serde_json::Value;

use crate::{
    MessageChannel, compile, definitions,
    manifest::{self, Manifest},
};

const CHANNELS: &str = include_str!("../../docs/channels.md");
const LIMITS: &str = include_str!("../../docs/limits.md");

fn channel(manifest: &str) -> MessageChannel {
    match manifest::parse(manifest).unwrap().remove(0).manifest {
        Manifest::Channel(channel) => *channel,
        other => panic!("{other:?} is not a channel"),
    }
}

fn spec() -> Value {
    definitions::schema(&MessageChannel::crd())["properties"]["spec"].clone()
}

/// Visits each field with its path below `spec`, its name and its schema.
fn each_field(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &str, &Value)) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        visit(&path, name, field);
        each_field(&path, field, visit);
    }
}

#[test]
fn channels_md_has_each_field_with_its_default() {
    let (_, from_yaml) = CHANNELS.split_once("```yaml\n").unwrap();
    let (yaml, _) = from_yaml.split_once("```").unwrap();
    let (head, _) = yaml.split_once("spec:\n").unwrap();
    let smallest = channel(&format!("{head}spec: {{access: {{anonymous: true}}}}\n"));
    assert_eq!(compile(&channel(yaml)).unwrap(), compile(&smallest).unwrap());
    each_field("", &spec(), &mut |path, name, _| {
        assert!(yaml.contains(&format!("{name}:")), "docs/channels.md has no {path}");
    });
}

#[test]
fn limits_md_has_a_row_for_each_number_with_its_default() {
    each_field("", &spec(), &mut |path, _, field| {
        let is_number = field["type"] == "integer" || field["x-kubernetes-int-or-string"] == true;
        // The back-off has one row for all its fields.
        if !is_number || path.starts_with("delivery.backoff.") {
            return;
        }
        let row = LIMITS.lines().find_map(|line| line.strip_prefix(&format!("| `{path}` | ")));
        let row = row.unwrap_or_else(|| panic!("docs/limits.md has no row {path}"));
        let default = field["default"].as_str().map_or_else(|| field["default"].to_string(), str::to_owned);
        let (cell, _) = row.split_once(" |").unwrap();
        let has_default = cell.split(',').next() == Some(&default) || field["default"].is_null();
        assert!(has_default, "docs/limits.md has not the default {default} of {path}, but {cell}");
    });
}
