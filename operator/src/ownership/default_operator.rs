//! Watches which operator is the default operator: an annotation of a ClusterRole that the chart creates.

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::{api::rbac::v1::ClusterRole, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource,
    api::PartialObjectMeta,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store},
        watcher::{self, Event, watcher},
    },
};
use restante_crds::MessageChannel;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::Metrics,
    ownership::{self, CLUSTER_ROLE, Ownership},
    shared::{triggers::Triggers, watches::watch_failed},
};

/// Follows the ClusterRole until `stop` is cancelled. Each time that it names another operator, the channels that
/// now belong to this operator are reconciled. `known` is called once, when it is known whether there is a default
/// operator.
pub async fn follow(
    client: Client,
    ownership: &Ownership,
    channels: &Store<DeserializeGuard<MessageChannel>>,
    triggers: &Triggers<DeserializeGuard<MessageChannel>>,
    metrics: &Metrics,
    stop: &CancellationToken,
    known: impl FnOnce(),
) {
    let roles: Api<PartialObjectMeta<ClusterRole>> = Api::all(client);
    let config = watcher::Config::default().fields(&format!("metadata.name={CLUSTER_ROLE}"));
    let events = watcher(roles, config).default_backoff().take_until(stop.cancelled());
    tokio::pin!(events);
    let (mut listed, mut known) = (None, Some(known));
    while let Some(event) = events.try_next().await.transpose() {
        let named = match event {
            Ok(event) => named(event, &mut listed),
            Err(error) => {
                watch_failed("ClusterRole", metrics, &error);
                continue;
            }
        };
        let Some(named) = named else { continue };
        if ownership.set_default_operator(named.clone()) {
            tracing::info!(
                default_operator = named,
                namespace = ownership.namespace(),
                "the default operator changed"
            );
            triggers.extend(
                channels
                    .state()
                    .iter()
                    .filter(|channel| {
                        ownership.is_ours(channel.as_ref()) && !ownership.is_held(channel.meta())
                    })
                    .map(|channel| ObjectRef::from_obj(channel.as_ref())),
            );
        }
        if let Some(known) = known.take() {
            known();
        }
    }
}

/// The operator that the ClusterRole names after an event; `None` while a list is incomplete. `listed` is the role that
/// an incomplete list contained so far.
fn named(
    event: Event<PartialObjectMeta<ClusterRole>>,
    listed: &mut Option<ObjectMeta>,
) -> Option<Option<String>> {
    let role = match event {
        Event::Init => {
            *listed = None;
            return None;
        }
        Event::InitApply(role) => {
            *listed = Some(role.metadata);
            return None;
        }
        Event::InitDone => listed.take(),
        Event::Apply(role) => Some(role.metadata),
        Event::Delete(_) => None,
    };
    Some(role.as_ref().and_then(ownership::default_operator).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(operator: &str) -> PartialObjectMeta<ClusterRole> {
        let annotations = Some([(ownership::ANNOTATION.to_owned(), operator.to_owned())].into());
        PartialObjectMeta {
            metadata: ObjectMeta { annotations, ..ObjectMeta::default() },
            ..PartialObjectMeta::default()
        }
    }

    #[test]
    fn an_absent_role_names_no_operator_once_the_list_is_complete() {
        let mut listed = None;
        assert_eq!(named(Event::Init, &mut listed), None);
        assert_eq!(named(Event::InitDone, &mut listed), Some(None));
        assert_eq!(named(Event::Apply(role("mq/restante")), &mut listed), Some(Some("mq".into())));
        assert_eq!(named(Event::Delete(role("mq/restante")), &mut listed), Some(None));
    }

    #[test]
    fn a_restarted_list_names_no_operator_until_it_is_complete() {
        let mut listed = None;
        assert_eq!(named(Event::InitApply(role("mq/restante")), &mut listed), None);
        assert_eq!(named(Event::Init, &mut listed), None);
        assert_eq!(named(Event::InitApply(role("other/restante")), &mut listed), None);
        assert_eq!(named(Event::InitDone, &mut listed), Some(Some("other".into())));
    }
}
