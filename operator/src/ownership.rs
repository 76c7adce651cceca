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

/// What a channel says of whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// `spec.brokerRef.namespace`.
    pub named: Option<&'a str>,
    /// Its finalizers tell who programmed it.
    pub metadata: &'a ObjectMeta,
    /// `status.broker`: who programmed it before its operator was uninstalled.
    pub broker: Option<&'a str>,
}

impl<'a> Claims<'a> {
    /// What one of which no more can be read says.
    pub fn of_metadata(metadata: &'a ObjectMeta) -> Self {
        Self { named: None, metadata, broker: None }
    }

    /// The namespace of the operator that it belongs to, unless that is the default operator.
    ///
    /// A channel without `brokerRef.namespace` stays with the operator that programmed it: neither another default operator
    /// nor an uninstall is a reason to move its messages, which no operator can.
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

/// The namespace of the operator that serves a channel, or `None` when no operator does.
pub fn owner<'a>(claims: Claims<'a>, default_operator: Option<&'a str>) -> Option<&'a str> {
    claims.operator().or(default_operator)
}

/// The MessageBroker that has a channel, as `status.broker` tells it: one of the operator, if its finalizer is on the
/// channel. Otherwise nothing is at a broker but what the status told before.
pub fn broker_of(channel: &MessageChannel, operator: &str) -> Option<String> {
    if finalizer::is_on(&channel.metadata, operator) {
        return Some(format!("{operator}/{}", channel.spec.broker_ref.name));
    }
    channel.status.as_ref()?.broker.clone()
}

/// The namespace in the annotation of the ClusterRole, if there is one.
pub fn default_operator(cluster_role: &ObjectMeta) -> Option<&str> {
    let text = cluster_role.annotations.as_ref()?.get(ANNOTATION)?;
    namespace_of(text)
}

/// The namespace in `<namespace>/<name>`.
fn namespace_of(text: &str) -> Option<&str> {
    let (namespace, _name) = text.split_once('/').unwrap_or((text, ""));
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

    /// Whether this operator serves a channel. Of one that cannot be read its metadata say whose it seems to be.
    pub fn is_ours<'a>(&self, channel: impl Into<Claims<'a>>) -> bool {
        let default_operator = self.default_operator.lock().unwrap_or_else(PoisonError::into_inner);
        owner(channel.into(), default_operator.as_deref()) == Some(&*self.namespace)
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
    fn the_owner_is_the_named_namespace_then_the_finalizer_s_then_the_status_s_then_the_default() {
        let (free, held) = (ObjectMeta::default(), held_by(&["held"]));
        let owner = |named, metadata, broker, default| owner(Claims { named, metadata, broker }, default);
        assert_eq!(owner(Some("named"), &held, Some("told/main"), Some("default")), Some("named"));
        assert_eq!(owner(None, &held, Some("told/main"), Some("default")), Some("held"));
        assert_eq!(owner(None, &free, Some("told/main"), Some("default")), Some("told"));
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
        let told = serde_json::json!({ "broker": "old/main" });
        let broker = |channel: MessageChannel| broker_of(&channel, "mq");
        assert_eq!(broker(channel(&["restante.dev/mq"], told.clone())).as_deref(), Some("mq/main"));
        assert_eq!(broker(channel(&[], told)).as_deref(), Some("old/main"));
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
