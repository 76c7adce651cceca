//! What the API server refuses in a namespace, by a policy of it.

use anyhow::Result;
use restante_tests::kubectl::Kubectl;
use serde_json::{Value, json};

/// Makes a ValidatingAdmissionPolicy, called as the namespace, that denies what the rule matches there. The API server takes
/// notice of it within seconds.
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
