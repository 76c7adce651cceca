//! Which operator serves a MessageChannel: decided here alone, and used wherever a channel is looked at. Several operators
//! in one cluster decide alike, so that none writes to a channel of another's.

use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::DeserializeGuard};
use restante_crds::MessageChannel;

use crate::finalizer;

/// The ClusterRole that names the default operator. The name is fixed, so that Helm refuses a second.
pub const CLUSTER_ROLE: &str = "restante-default-operator";
/// The annotation by which it does: `<namespace>/<release>`.
pub const ANNOTATION: &str = "restante.dev/operator";

/// The namespace of the operator that serves a channel, or `None` when no operator does.
///
/// A channel without `brokerRef.namespace` stays with the operator that programmed it: another default operator is no
/// reason to move its messages, which no operator can.
pub fn owner<'a>(
    broker_namespace: Option<&'a str>,
    metadata: &'a ObjectMeta,
    default_operator: Option<&'a str>,
) -> Option<&'a str> {
    broker_namespace.or_else(|| finalizer::holder(metadata)).or(default_operator)
}

/// The namespace in the annotation of the ClusterRole, if there is one.
pub fn default_operator(cluster_role: &ObjectMeta) -> Option<&str> {
    let text = cluster_role.annotations.as_ref()?.get(ANNOTATION)?;
    let (namespace, _release) = text.split_once('/').unwrap_or((text, ""));
    (!namespace.is_empty()).then_some(namespace)
}

/// What this operator serves.
#[derive(Debug)]
pub struct Ownership {
    namespace: String,
    /// The namespace of the default operator, as far as it is known.
    default_operator: Mutex<Option<String>>,
}

impl Ownership {
    /// For the operator of a namespace. There is no default operator until somebody says so.
    pub fn new(namespace: String) -> Self {
        Self { namespace, default_operator: Mutex::default() }
    }

    /// The operator's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Takes notice of who is the default operator, and says whether that is news.
    pub fn set_default_operator(&self, namespace: Option<String>) -> bool {
        let mut known = self.default_operator.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *known != namespace;
        *known = namespace;
        is_news
    }

    /// Whether this operator serves a channel.
    pub fn is_ours(&self, channel: &MessageChannel) -> bool {
        self.is_ours_by(channel.spec.broker_ref.namespace.as_deref(), &channel.metadata)
    }

    /// The same of one of which no more can be read.
    pub fn is_ours_by(&self, broker_namespace: Option<&str>, metadata: &ObjectMeta) -> bool {
        let default_operator = self.default_operator.lock().unwrap_or_else(PoisonError::into_inner);
        owner(broker_namespace, metadata, default_operator.as_deref()) == Some(&*self.namespace)
    }

    /// The same of one that perhaps cannot be read. Then its metadata say whose it seems to be.
    pub fn seems_ours(&self, guard: &DeserializeGuard<MessageChannel>) -> bool {
        match &guard.0 {
            Ok(channel) => self.is_ours(channel),
            Err(_) => self.is_ours_by(None, guard.meta()),
        }
    }

    /// Whether this operator's finalizer is on an object.
    pub fn is_held(&self, metadata: &ObjectMeta) -> bool {
        finalizer::is_on(metadata, &self.namespace)
    }

    /// Whether a channel may be at a broker of this operator: only then would its deletion be noticed.
    pub fn may_program(&self, channel: &MessageChannel) -> bool {
        self.is_held(&channel.metadata) && self.is_ours(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(namespaces: &[&str]) -> ObjectMeta {
        let finalizers = namespaces.iter().map(|one| finalizer::of(one)).collect();
        ObjectMeta { finalizers: Some(finalizers), ..ObjectMeta::default() }
    }

    #[test]
    fn the_named_namespace_goes_before_the_finalizer_and_that_before_the_default() {
        let (free, held) = (ObjectMeta::default(), held_by(&["held"]));
        assert_eq!(owner(Some("named"), &held, Some("default")), Some("named"));
        assert_eq!(owner(None, &held, Some("default")), Some("held"));
        assert_eq!(owner(None, &free, Some("default")), Some("default"));
        assert_eq!(owner(None, &free, None), None);
    }

    #[test]
    fn of_two_finalizers_the_first_decides_for_both_operators_alike() {
        assert_eq!(owner(None, &held_by(&["one", "other"]), Some("other")), Some("one"));
    }

    #[test]
    fn another_default_operator_takes_no_channel_that_was_programmed() {
        let ownership = Ownership::new("mq".into());
        let (free, held) = (ObjectMeta::default(), held_by(&["mq"]));
        let ours = |metadata| ownership.is_ours_by(None, metadata);
        assert!(!ours(&free) && ours(&held));
        assert!(ownership.set_default_operator(Some("mq".into())));
        assert!(ours(&free) && ours(&held));
        assert!(ownership.set_default_operator(Some("other".into())));
        assert!(!ownership.set_default_operator(Some("other".into())));
        assert!(!ours(&free) && ours(&held));
    }

    #[test]
    fn without_our_finalizer_a_channel_is_not_programmed() {
        let ownership = Ownership::new("mq".into());
        let channel = |broker: serde_json::Value, finalizers: &[String]| -> MessageChannel {
            serde_json::from_value(serde_json::json!({
                "apiVersion": "restante.dev/v1alpha1",
                "kind": "MessageChannel",
                "metadata": { "name": "orders", "namespace": "acme", "finalizers": finalizers },
                "spec": { "brokerRef": broker, "access": { "anonymous": true } },
            }))
            .unwrap()
        };
        let (here, elsewhere) =
            (serde_json::json!({ "namespace": "mq" }), serde_json::json!({ "namespace": "x" }));
        assert!(ownership.may_program(&channel(here.clone(), &[finalizer::of("mq")])));
        assert!(!ownership.may_program(&channel(here, &[])));
        assert!(!ownership.may_program(&channel(elsewhere, &[finalizer::of("mq")])));
    }

    #[test]
    fn the_annotation_names_a_namespace_with_or_without_a_release() {
        let named = |text: &str| {
            let annotations = Some([(ANNOTATION.to_owned(), text.to_owned())].into());
            let metadata = ObjectMeta { annotations, ..ObjectMeta::default() };
            default_operator(&metadata).map(str::to_owned)
        };
        assert_eq!(named("mq/restante").as_deref(), Some("mq"));
        assert_eq!(named("mq").as_deref(), Some("mq"));
        assert_eq!(named("/restante"), None);
        assert_eq!(default_operator(&ObjectMeta::default()), None);
    }
}
