//! The API document, and the copy that people read.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::Operation;
use crate::door::{document, openapi};

/// `docs/reference/openapi.json`: `UPDATE_GOLDEN=1` writes it anew.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "who changes the API says so through the environment"
)]
fn the_copy_in_the_reference_is_the_document_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi.json");
    let served = document::text();
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::write(&path, &served).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_default();
    assert!(
        kept == served,
        "docs/reference/openapi.json is not what is served: run the tests with UPDATE_GOLDEN=1"
    );
}

#[test]
fn every_operation_of_the_core_is_in_it_and_documents_its_refusals() {
    let document = serde_json::to_value(openapi()).unwrap();
    let mut seen = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("500"), "{method} {path}");
            let is_open = operation["security"] == serde_json::json!([{}]);
            if is_open {
                continue;
            }
            for status in ["400", "401", "403", "404", "429", "503"] {
                assert!(
                    responses.contains_key(status),
                    "{method} {path} has no {status}"
                );
            }
            assert!(seen.insert(id), "{method} {path} has another's id");
        }
    }
    let known: BTreeSet<String> = Operation::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(seen, known);
}

#[test]
fn bodies_of_requests_refuse_unknown_keys() {
    let document = serde_json::to_value(openapi()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let closed = |name: &str| schemas[name]["additionalProperties"] == Value::Bool(false);
    for name in [
        "DeployRequest",
        "Grants",
        "LimitsPatch",
        "NamespaceRequest",
        "QuotaPatch",
        "RollbackRequest",
        "SecretValue",
        "TokenRequest",
        "Traffic",
    ] {
        assert!(closed(name), "{name} takes any key");
    }
    assert!(!closed("FunctionInfo"), "answers may grow");
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    match value {
                        Value::String(target) if key == "$ref" => {
                            found.insert(target.clone());
                        }
                        other => references(other, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = serde_json::to_value(openapi()).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "`{target}` leads nowhere"
        );
    }
}
