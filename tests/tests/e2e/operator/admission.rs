//! Admission policies that make the API server refuse objects in a namespace.

use anyhow::Result;
use restante_tests::kubectl::Kubectl;
use serde_json::{Value, json};

/// Creates a ValidatingAdmissionPolicy with the name of the namespace, which denies requests there that match the rule.
/// The API server applies it within seconds.
pub(crate) fn deny(kubectl: &Kubectl, namespace: &str, rule: Value, message: &str) -> Result<()> {
    let object = |kind: &str, spec: Value| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": namespace},
            "spec": spec,
        })
    };
    let policy = json!({
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": message}],
    });
    let binding = json!({
        "policyName": namespace,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
    });
    kubectl.apply(&object("ValidatingAdmissionPolicy", policy).to_string())?;
    kubectl.apply(&object("ValidatingAdmissionPolicyBinding", binding).to_string()).map(drop)
}
