//! The document as a whole.

use std::{collections::BTreeSet, fs, path::PathBuf};

use restante_wire::ProblemType;
use serde_json::Value;

use super::describe;
use crate::api::router::routes;

/// Problem types that only the control API answers with.
const CONTROL_ONLY: [ProblemType; 6] = [
    ProblemType::Unauthorized,
    ProblemType::ChannelInvalid,
    ProblemType::ChannelConflict,
    ProblemType::ManagedByManifests,
    ProblemType::ChannelUnknown,
    ProblemType::ChannelNotEmpty,
];
/// Problem types that only the result of a batch's item has.
const ITEMS_ONLY: [ProblemType; 1] = [ProblemType::ItemMalformed];
/// Problem types of requests that no operation describes: the document's description names them.
const NO_OPERATION: [ProblemType; 2] = [ProblemType::RouteUnknown, ProblemType::MethodNotAllowed];

fn document() -> Value {
    serde_json::to_value(describe(routes().paths())).unwrap()
}

fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json")
}

/// A `Value` keeps its keys sorted, so the same document always has the same text.
fn printed() -> String {
    format!("{:#}\n", document())
}

/// Collects every value of a key, at any depth.
fn under<'a>(key: &str, value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|value| under(key, value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| under(key, value, found)),
        _ => {}
    }
}

fn texts(key: &str, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    under(key, document, &mut found);
    found.into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "`make openapi` tells a test so; the broker's configuration is not asked"
)]
fn the_committed_document_is_the_one_that_the_code_makes() {
    if std::env::var_os("WRITE_OPENAPI").is_some() {
        fs::write(committed(), printed()).unwrap();
    }
    let committed = fs::read_to_string(committed()).unwrap_or_default();
    assert!(committed == printed(), "docs/openapi.json is stale: `make openapi` writes it");
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
    let document = document();
    let referred: BTreeSet<_> = texts("$ref", &document).into_iter().collect();
    for reference in &referred {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(referred.contains(&format!("#/components/schemas/{name}")), "nothing refers to {name}");
    }
}

#[test]
fn no_two_operations_have_one_id_and_links_lead_to_operations() {
    let document = document();
    let mut ids = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} is there twice");
        }
    }
    let mut links = Vec::new();
    under("links", &document, &mut links);
    assert!(!links.is_empty());
    for link in links.into_iter().flat_map(|links| links.as_object().unwrap().values()) {
        assert!(ids.contains(link["operationId"].as_str().unwrap()), "{link}");
    }
}

#[test]
fn every_problem_type_of_the_data_port_is_in_the_document() {
    let document = document();
    let mut lists = Vec::new();
    under("x-problem-types", &document, &mut lists);
    let named: BTreeSet<_> =
        lists.into_iter().flat_map(|list| list.as_array().unwrap()).filter_map(Value::as_str).collect();
    for kind in ProblemType::ALL {
        let elsewhere =
            CONTROL_ONLY.contains(kind) || ITEMS_ONLY.contains(kind) || NO_OPERATION.contains(kind);
        assert_eq!(named.contains(kind.name()), !elsewhere, "{}", kind.name());
    }
    for kind in NO_OPERATION {
        assert!(document["info"]["description"].as_str().unwrap().contains(kind.name()), "{}", kind.name());
    }
}
