//! Decides which operator serves a MessageChannel. This is the only place that decides it. All operators of a cluster
//! decide alike, so that none writes to a channel of another operator.

pub mod default_operator;
pub mod foreign_channels;

use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::DeserializeGuard};
use restante_crds::MessageChannel;

use crate::shared::finalizer;

/// The ClusterRole that names the default operator. Its name is fixed, so that Helm refuses a second one.
pub const CLUSTER_ROLE: &str = "restante-default-operator";
/// The annotation of the ClusterRole that names the operator: `<namespace>/<release>`.
pub const ANNOTATION: &str = "restante.dev/operator";

/// The parts of a channel that decide its operator.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// `spec.brokerRef.namespace`.
    pub named: Option<&'a str>,
    /// The finalizers name the operator that programmed the channel.
    pub metadata: &'a ObjectMeta,
    /// `status.broker`: the broker of the channel, which stays there when the operator is uninstalled.
    pub broker: Option<&'a str>,
}

impl<'a> Claims<'a> {
    /// For a channel of which only the metadata can be read.
    pub fn of_metadata(metadata: &'a ObjectMeta) -> Self {
        Self { named: None, metadata, broker: None }
    }

    /// The namespace of the channel's operator, or `None` if the channel belongs to the default operator.
    ///
    /// A channel without `brokerRef.namespace` stays with the operator that programmed it, even if the default operator
    /// changes or its operator is uninstalled: no operator can move its messages.
    pub fn operator(self) -> Option<&'a str> {
        self.named.or_else(|| finalizer::holder(self.metadata)).or_else(|| namespace_of(self.broker?))
    }
}

impl<'a> From<&'a MessageChannel> for Claims<'a> {
    fn from(channel: &'a MessageChannel) -> Self {
        Self {
            named: channel.spec.broker_ref.namespace.as_deref(),
            metadata: &channel.metadata,
            broker: channel.status.as_ref().and_then(|status| status.broker.as_deref()),
        }
    }
}

impl<'a> From<&'a DeserializeGuard<MessageChannel>> for Claims<'a> {
    fn from(guard: &'a DeserializeGuard<MessageChannel>) -> Self {
        guard.0.as_ref().map_or_else(|_| Self::of_metadata(guard.meta()), Self::from)
    }
}

/// The namespace of the operator that serves a channel, or `None` if no operator does.
pub fn owner<'a>(claims: Claims<'a>, default_operator: Option<&'a str>) -> Option<&'a str> {
    claims.operator().or(default_operator)
}

/// The MessageBroker of a channel, for `status.broker`: a broker of this operator if its finalizer is on the channel,
/// otherwise the broker that the status already names.
pub fn broker_of(channel: &MessageChannel, operator: &str) -> Option<String> {
    if finalizer::is_on(&channel.metadata, operator) {
        return Some(format!("{operator}/{}", channel.spec.broker_ref.name));
    }
    channel.status.as_ref()?.broker.clone()
}

/// The namespace in the annotation of the ClusterRole.
pub fn default_operator(cluster_role: &ObjectMeta) -> Option<&str> {
    let text = cluster_role.annotations.as_ref()?.get(ANNOTATION)?;
    namespace_of(text)
}

/// The namespace in `<namespace>/<name>`.
fn namespace_of(text: &str) -> Option<&str> {
    let (namespace, _name) = text.split_once('/').unwrap_or((text, ""));
    (!namespace.is_empty()).then_some(namespace)
}

/// Decides whether this operator serves a channel.
#[derive(Debug)]
pub struct Ownership {
    namespace: String,
    /// The namespace of the default operator, if known.
    default_operator: Mutex<Option<String>>,
}

impl Ownership {
    /// For the operator in a namespace. There is no default operator until it is set.
    pub fn new(namespace: String) -> Self {
        Self { namespace, default_operator: Mutex::default() }
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Sets the default operator, and returns whether it changed.
    pub fn set_default_operator(&self, namespace: Option<String>) -> bool {
        let mut known = self.default_operator.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *known != namespace;
        *known = namespace;
        is_news
    }

    /// Whether this operator serves a channel.
    pub fn is_ours<'a>(&self, channel: impl Into<Claims<'a>>) -> bool {
        let default_operator = self.default_operator.lock().unwrap_or_else(PoisonError::into_inner);
        owner(channel.into(), default_operator.as_deref()) == Some(&*self.namespace)
    }

    /// Whether this operator's finalizer is on an object.
    pub fn is_held(&self, metadata: &ObjectMeta) -> bool {
        finalizer::is_on(metadata, &self.namespace)
    }

    /// Whether this operator may program a channel: it serves the channel, and has its finalizer on it, without which
    /// it could miss the deletion.
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
    fn the_owner_is_the_named_namespace_then_the_finalizer_s_then_the_status_s_then_the_default() {
        let (free, held) = (ObjectMeta::default(), held_by(&["held"]));
        let owner = |named, metadata, broker, default| owner(Claims { named, metadata, broker }, default);
        assert_eq!(owner(Some("named"), &held, Some("reported/main"), Some("default")), Some("named"));
        assert_eq!(owner(None, &held, Some("reported/main"), Some("default")), Some("held"));
        assert_eq!(owner(None, &free, Some("reported/main"), Some("default")), Some("reported"));
        assert_eq!(owner(None, &free, None, Some("default")), Some("default"));
        assert_eq!(owner(None, &free, Some(""), Some("default")), Some("default"));
        assert_eq!(owner(None, &free, None, None), None);
    }

    #[test]
    fn the_broker_follows_from_the_finalizer_or_else_from_the_status() {
        let channel = |finalizers: &[&str], status: serde_json::Value| -> MessageChannel {
            serde_json::from_value(serde_json::json!({
                "apiVersion": "restante.dev/v1alpha1",
                "kind": "MessageChannel",
                "metadata": { "name": "orders", "namespace": "acme", "finalizers": finalizers },
                "spec": { "brokerRef": { "name": "main" }, "access": { "anonymous": true } },
                "status": status,
            }))
            .unwrap()
        };
        let reported = serde_json::json!({ "broker": "old/main" });
        let broker = |channel: MessageChannel| broker_of(&channel, "mq");
        assert_eq!(broker(channel(&["restante.dev/mq"], reported.clone())).as_deref(), Some("mq/main"));
        assert_eq!(broker(channel(&[], reported)).as_deref(), Some("old/main"));
        assert_eq!(broker(channel(&[], serde_json::json!({}))), None);
    }

    #[test]
    fn the_first_of_two_finalizers_decides_the_owner() {
        let held = held_by(&["one", "other"]);
        assert_eq!(owner(Claims::of_metadata(&held), Some("other")), Some("one"));
    }

    #[test]
    fn a_new_default_operator_takes_no_programmed_channel() {
        let ownership = Ownership::new("mq".into());
        let (free, held) = (ObjectMeta::default(), held_by(&["mq"]));
        let ours = |metadata| ownership.is_ours(Claims::of_metadata(metadata));
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
