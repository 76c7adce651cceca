//! The message about a child that the API server refuses: the API server's error, and the remedy. Pure.

use k8s_openapi::api::core::v1::ObjectReference;

use super::status::shortened;
use crate::shared::{default_differs::CORRECT_VALUES, stalled::Remedy};

/// The limit of the quoted error, which leaves room for the remedy.
const WORDS_BYTES_MAX: usize = 3072;

/// Parts of field paths in the API server's errors, and the corresponding field of the MessageBroker.
const FIELDS: [(&str, &str); 12] = [
    ("volumeClaimTemplates", "spec.engine.embedded.storage"),
    ("resources.", "spec.template.resources"),
    ("imagePullSecrets", "spec.template.imagePullSecrets"),
    ("nodeSelector", "spec.template.nodeSelector"),
    ("tolerations", "spec.template.tolerations"),
    ("topologySpreadConstraints", "spec.template.topologySpreadConstraints"),
    ("affinity", "spec.template.affinity"),
    ("priorityClassName", "spec.template.priorityClassName"),
    ("securityContext", "spec.template.securityContext"),
    ("containers[0].image", "spec.template.image"),
    ("template.annotations", "spec.template.annotations"),
    ("labels", "spec.template.labels"),
];

#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'a> {
    /// The action, and the API server's error.
    pub(super) words: &'a str,
    /// Whether the API server names an invalid field.
    pub(super) is_field_error: bool,
    pub(super) about: Option<&'a ObjectReference>,
    /// Namespace and name of the MessageBroker.
    pub(super) broker: (&'a str, &'a str),
    /// Whether the MessageBroker comes from the chart's values.
    pub(super) is_default: bool,
}

impl Refusal<'_> {
    /// Whether the error is about an immutable field of the existing child.
    fn is_immutable_field_error(&self) -> bool {
        self.is_field_error
            && ["field is immutable", "updates to statefulset spec"]
                .iter()
                .any(|what| self.words.contains(what))
    }

    pub(super) fn remedy(&self) -> Remedy {
        if self.is_field_error && !self.is_immutable_field_error() {
            Remedy::Edit
        } else {
            Remedy::OtherResource
        }
    }

    /// The error, and the remedy.
    pub(super) fn message(&self) -> String {
        let words = shortened(self.words.trim_end_matches(['.', ' ']).to_owned(), WORDS_BYTES_MAX);
        let (namespace, broker) = self.broker;
        let correct = if self.is_default {
            CORRECT_VALUES.to_owned()
        } else {
            format!("Correct {} of MessageBroker {broker}", self.field())
        };
        match self.about {
            Some(child) if self.is_immutable_field_error() => {
                let kind = child.kind.as_deref().unwrap_or_default().to_lowercase();
                let name = child.name.as_deref().unwrap_or_default();
                format!(
                    "{words}. Delete it with `kubectl -n {namespace} delete {kind} {name}`, and the operator recreates it"
                )
            }
            _ if self.is_field_error => format!("{words}. {correct}"),
            _ => format!("{words}. {correct}, or remove the restriction; the operator retries"),
        }
    }

    /// The field of the MessageBroker, as far as the error shows it.
    fn field(&self) -> &'static str {
        let named = FIELDS.iter().find(|(part, _)| self.is_field_error && self.words.contains(part));
        named.map_or("spec", |(_, field)| field)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reported(words: &str, is_field_error: bool, kind: &str, is_default: bool) -> (String, Remedy) {
        let about: ObjectReference =
            serde_json::from_value(json!({ "kind": kind, "name": "restante-main" })).unwrap();
        let refused =
            Refusal { words, is_field_error, about: Some(&about), broker: ("mq", "main"), is_default };
        (refused.message(), refused.remedy())
    }

    const MEMORY: &str = "cannot apply StatefulSet restante-main: StatefulSet.apps \"restante-main\" is invalid: \
                          spec.template.spec.containers[0].resources.requests: Invalid value: \"2Gi\": must be less than or \
                          equal to memory limit of 1Gi";

    #[test]
    fn the_advice_names_the_field_of_the_message_broker() {
        for (words, field) in [
            (MEMORY, "spec.template.resources"),
            (
                ".spec.template.spec.affinity.nodeAfinity: field not declared in schema",
                "spec.template.affinity",
            ),
            ("spec.template.labels: Invalid value: \"a b\"", "spec.template.labels"),
            (
                "spec.volumeClaimTemplates[0].spec.resources.requests: Required value",
                "spec.engine.embedded.storage",
            ),
            ("something else is invalid", "spec"),
        ] {
            let (message, remedy) = reported(words, true, "StatefulSet", false);
            assert_eq!(message, format!("{words}. Correct {field} of MessageBroker main"));
            assert_eq!(remedy, Remedy::Edit);
        }
    }

    #[test]
    fn the_advice_for_the_default_broker_is_to_correct_the_values() {
        let (message, _) = reported(MEMORY, true, "StatefulSet", true);
        assert!(message.ends_with("1Gi. Correct the values broker.* and run `helm upgrade`"), "{message}");
    }

    #[test]
    fn the_advice_for_a_quota_is_to_correct_or_to_lift_it() {
        let (message, remedy) =
            reported("cannot create Service x: exceeded quota: none", false, "Service", false);
        assert_eq!(
            message,
            "cannot create Service x: exceeded quota: none. Correct spec of MessageBroker main, or remove the restriction; the \
             operator retries"
        );
        assert_eq!(remedy, Remedy::OtherResource);
    }

    #[test]
    fn the_advice_for_an_immutable_field_is_to_delete_the_object() {
        let words = "StatefulSet is invalid: spec: Forbidden: updates to statefulset spec for fields other than x are forbidden";
        let (message, remedy) = reported(words, true, "StatefulSet", true);
        assert!(message.contains("`kubectl -n mq delete statefulset restante-main`"), "{message}");
        assert_eq!(remedy, Remedy::OtherResource);
    }

    #[test]
    fn a_long_error_leaves_room_for_the_advice() {
        let (message, _) = reported(&"x".repeat(9000), true, "StatefulSet", true);
        assert!(message.ends_with("run `helm upgrade`") && message.len() < 4096, "{}", message.len());
    }
}
