//! MessageBroker: its ServiceAccount, credential, Services, StatefulSet and claim.

pub mod apply;
pub mod build;
pub mod deleting;
pub mod dereference;
mod holder;
pub mod mapping;
pub mod orphaned_children;
pub mod ownership;
mod pod;
pub mod readiness;
mod refusal;
pub mod status;
pub mod storage;
pub mod store;
mod uninstalled;
pub mod validate;

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ObjectReference, PersistentVolumeClaim},
};
use kube::{Resource, ResourceExt, core::DeserializeGuard, runtime::controller::Action};
use restante_crds::{MessageBroker, condition::kind};

pub(crate) use self::uninstalled::uninstalled;
use self::{
    apply::Writer,
    dereference::{Credential, Found},
    ownership::{NameConflict, Owners},
    readiness::Snapshot,
    refusal::Refusal,
    status::Observation,
    validate::Broker,
};
use crate::{
    context::Context,
    default_broker,
    error::Error,
    fleet::{BrokerFacts, View},
    names::BROKER_LABEL,
    stalled::Remedy,
    unreadable::{self, Unreadable},
};

/// The kind, in metrics and log lines.
pub const KIND: &str = "MessageBroker";

/// When a name that is another's is looked at again: nobody tells us when it becomes free. Six small reads.
const NAME_TAKEN_RETRY: Duration = Duration::from_secs(5);
/// When a pod that Kubernetes does not make is looked at again: why is told in an event a moment later.
const NO_POD_RETRY: Duration = Duration::from_secs(10);

/// Brings the children of a MessageBroker, and then its status, in line with its spec.
pub async fn reconcile(
    guard: Arc<DeserializeGuard<MessageBroker>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let action = context.measured(KIND, inner(&guard, &context)).await?;
    context.backoffs.clear(&guard.uid().unwrap_or_default());
    Ok(action)
}

async fn inner(guard: &DeserializeGuard<MessageBroker>, context: &Context) -> Result<Action, Error> {
    let broker = match &guard.0 {
        Ok(broker) => broker,
        Err(invalid) => {
            let own = kind::OF_MESSAGE_BROKER;
            let unreadable = Unreadable { invalid, own, fails: &[kind::READY] };
            unreadable::report::<MessageBroker>(context, unreadable, |_| true).await?;
            if invalid.metadata.deletion_timestamp.is_none() {
                let why = "Unreadable: this version of the operator cannot read the resource".to_owned();
                context.fleet.withdraw(&guard.name_any(), why);
            }
            return Ok(Action::await_change());
        }
    };
    if context.last_writes.is_stale(&broker.metadata) {
        return Ok(Action::await_change());
    }
    if broker.metadata.deletion_timestamp.is_some() {
        // Its children go by their owner references, and the channels are told by the watch on brokers.
        orphaned_children::note_policy(context, &broker.metadata);
        return match status::report(context, broker, Observation::deleting(broker)).await {
            Err(error) if !error.is_of_absence() => Err(error),
            _ => Ok(Action::await_change()),
        };
    }
    let told = |told: Observation| status::report(context, broker, told);
    let valid = match validate::validate(broker, &context.args) {
        Ok(valid) => valid,
        Err(rejection) => {
            let stopped = Observation::not_ready(rejection.reason, rejection.message);
            context.fleet.withdraw(&broker.name_any(), stopped.cause());
            told(stopped).await?;
            return Ok(Action::await_change());
        }
    };
    let result = match dereference::found(context, &valid.name).await {
        Ok(found) => serve(context, broker, &valid, &found).await,
        Err(error) => Err(error),
    };
    match result {
        Ok((found_out, next)) => {
            let after = told(found_out).await?;
            let next = next.into_iter().chain(after).min();
            Ok(next.map_or_else(Action::await_change, Action::requeue))
        }
        // Tried again all the same: nobody tells us when a quota or a right has changed.
        Err(error) => {
            let uid = broker.uid().unwrap_or_default();
            let may_pass = error.is_of_the_server() && !context.backoffs.is_failing(&uid);
            if let Some(words) = error.refusal().filter(|_| !may_pass) {
                let about = error.about();
                let is_default = default_broker::is_from_values(&broker.metadata, &context.args);
                let refusal = Refusal {
                    words: &words,
                    is_of_a_field: error.is_of_a_field(),
                    about: about.as_ref(),
                    broker: (&valid.namespace, &valid.name),
                    is_default,
                };
                let (message, remedy) = (refusal.message(), refusal.remedy());
                let stopped = Observation { remedy, about, ..Observation::not_ready("ApplyFailed", message) };
                context.fleet.mark_unserved(&valid.name, stopped.cause());
                told(stopped).await?;
            }
            Err(error)
        }
    }
}

/// Applies what may be applied, and tells what there is then.
async fn serve(
    context: &Context,
    broker: &MessageBroker,
    valid: &Broker,
    found: &Found,
) -> Result<(Observation, Option<Duration>), Error> {
    let owners = Owners::of(found, valid.parent());
    // The token of a stranger's Secret is never used.
    let kept = found.credential.as_ref().filter(|_| owners.credential.is_ours());
    let kept = match kept.map_or(Ok(None), dereference::credential) {
        Ok(kept) => kept,
        Err(error) => {
            // The Secret is watched: an edit of it is a reason to look again.
            let secret = found.credential.as_ref();
            let is_fixed = secret.is_some_and(|secret| secret.immutable == Some(true));
            let message =
                dereference::invalid_token_message((&valid.namespace, &valid.name), &error, is_fixed);
            let about = secret.map(|secret| ObjectReference {
                // Another edit may be wrong otherwise.
                resource_version: secret.resource_version(),
                ..secret.object_ref(&())
            });
            let told = Observation {
                remedy: Remedy::OtherResource,
                about,
                ..Observation::not_ready("CredentialInvalid", message)
            };
            context.fleet.withdraw(&valid.name, told.cause());
            return Ok((told, None));
        }
    };
    let credential = kept.as_ref().filter(|_| owners.workload.is_ours());
    let is_served = credential.is_some();
    if let Some(credential) = credential {
        // Its channels change even while something of the broker cannot be applied.
        serve_channels(context, broker, valid, credential);
    }
    if let Some(NameConflict { reason, message, about }) = owners.conflict() {
        let remedy = if reason == "NameTaken" { Remedy::OtherResource } else { Remedy::Time };
        let told = Observation { remedy, about: Some(about), ..Observation::not_ready(reason, message) };
        if !is_served && remedy == Remedy::OtherResource {
            context.fleet.withdraw(&valid.name, told.cause());
        }
        return Ok((told, Some(NAME_TAKEN_RETRY)));
    }
    let writer = Writer { context, broker };
    let mut claim = found.claim.clone();
    let templates =
        found.workload.as_ref().and_then(|set| set.spec.as_ref()?.volume_claim_templates.as_deref());
    let template = templates.and_then(|templates| templates.first());
    let comparison = storage::compare(&valid.storage, template, claim.as_ref());
    let mut differences = comparison.differences;
    match comparison.step {
        storage::Step::Keep => {}
        storage::Step::Grow(size) => {
            if let Some(has) = &found.claim {
                match writer.grow(has, &size).await {
                    Ok(grown) => {
                        differences = storage::compare(&valid.storage, template, Some(&grown)).differences;
                        claim = Some(grown);
                    }
                    Err(error) => {
                        let words = error.refusal().ok_or(error)?;
                        differences.push(storage::refused(&size, has, &words));
                    }
                }
            }
        }
        storage::Step::Recreate => {
            writer.delete_unbound(found).await?;
            let message = "the storage was changed before any volume was bound: it is made anew";
            // Both deletions are seen, and each is a reason to look again.
            return Ok((Observation::not_ready("RolloutUnderWay", message), Some(NO_POD_RETRY)));
        }
    }
    let credential = kept.map_or_else(dereference::generate, Ok)?;
    let children = build::children(valid, &credential, templates);
    let workload = writer.children(&children, found, &owners).await?;
    let view = serve_channels(context, broker, valid, &credential);
    let (told, next) = observe(context, valid, &workload, claim.as_ref()).await;
    let told = Observation { differences: Some(differences), url: Some(valid.url.clone()), view, ..told };
    Ok((told, Some(next)))
}

/// Has the channels of the broker programmed, and gives what its pods say of themselves.
fn serve_channels(
    context: &Context,
    broker: &MessageBroker,
    valid: &Broker,
    credential: &Credential,
) -> View {
    let facts =
        BrokerFacts { uid: valid.owner.uid.clone(), token: credential.0.clone(), url: valid.url.clone() };
    context.fleet.serve(&valid.name, facts, status::unready_since(broker)).view()
}

/// Looks at what Kubernetes made of it, and says when to look again.
async fn observe(
    context: &Context,
    valid: &Broker,
    workload: &StatefulSet,
    claim: Option<&PersistentVolumeClaim>,
) -> (Observation, Duration) {
    let mut pods = context.pods.state();
    pods.retain(|pod| pod.labels().get(BROKER_LABEL) == Some(&valid.name));
    let mut unbound = storage::unbound(&valid.name, claim, None);
    if let (Some(_), Some(claim)) = (&unbound, claim) {
        let said = dereference::binding_error(context, claim).await;
        unbound = storage::unbound(&valid.name, Some(claim), said.as_deref());
    }
    let mut snapshot = Snapshot {
        broker: &valid.name,
        replicas: valid.replicas,
        workload,
        pods: &pods,
        claim,
        not_made: None,
        unbound: unbound.as_deref().filter(|_| claim.is_some()),
    };
    let not_made =
        if snapshot.lacks_pods() { dereference::pod_creation_error(context, workload).await } else { None };
    snapshot.not_made = not_made.as_deref();
    let waits = snapshot.lacks_pods() || unbound.is_some();
    let next = if waits { NO_POD_RETRY } else { context.steady() };
    let (ready, ready_pods, trouble) = (snapshot.assertion(), snapshot.ready_pods(), snapshot.trouble());
    let trouble = trouble.filter(|_| !ready.holds);
    let told = Observation {
        ready,
        ready_pods: Some(ready_pods),
        trouble,
        unbound,
        ..Observation::not_ready("PodsNotReady", "")
    };
    (told, next)
}
