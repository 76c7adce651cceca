//! MessageBroker: its ServiceAccount, credential, Services, StatefulSet and claim.

pub mod apply;
pub mod build;
pub mod deleting;
pub mod dereference;
mod holder;
pub mod leftovers;
pub mod mapping;
pub mod ownership;
mod pod;
pub mod readiness;
mod refused;
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
    ownership::{Owners, Stopped},
    readiness::Sight,
    refused::Refused,
    status::Told,
    validate::Broker,
};
use crate::{
    context::Context,
    default_broker,
    error::Error,
    fleet::{BrokerFacts, View},
    names::BROKER_LABEL,
    stalled::Cure,
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
            unreadable::tell::<MessageBroker>(context, unreadable, |_| true).await?;
            if invalid.metadata.deletion_timestamp.is_none() {
                let why = "Unreadable: this version of the operator cannot read the resource".to_owned();
                context.fleet.withdraw(&guard.name_any(), why);
            }
            return Ok(Action::await_change());
        }
    };
    if context.written.is_stale(&broker.metadata) {
        return Ok(Action::await_change());
    }
    if broker.metadata.deletion_timestamp.is_some() {
        // Its children go by their owner references, and the channels are told by the watch on brokers.
        leftovers::notice(context, &broker.metadata);
        return match status::tell(context, broker, Told::deleting(broker)).await {
            Err(error) if !error.is_of_absence() => Err(error),
            _ => Ok(Action::await_change()),
        };
    }
    let told = |told: Told| status::tell(context, broker, told);
    let valid = match validate::validate(broker, &context.args) {
        Ok(valid) => valid,
        Err(rejection) => {
            let stopped = Told::stopped(rejection.reason, rejection.message);
            context.fleet.withdraw(&broker.name_any(), stopped.why());
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
                let is_default = default_broker::is_made_by_values(&broker.metadata, &context.args);
                let refused = Refused {
                    words: &words,
                    is_of_a_field: error.is_of_a_field(),
                    about: about.as_ref(),
                    broker: (&valid.namespace, &valid.name),
                    is_default,
                };
                let (message, cure) = (refused.message(), refused.cure());
                let stopped = Told { cure, about, ..Told::stopped("ApplyFailed", message) };
                context.fleet.hinder(&valid.name, stopped.why());
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
) -> Result<(Told, Option<Duration>), Error> {
    let owners = Owners::of(found, valid.parent());
    // The token of a stranger's Secret is never used.
    let kept = found.credential.as_ref().filter(|_| owners.credential.is_ours());
    let kept = match kept.map_or(Ok(None), dereference::credential) {
        Ok(kept) => kept,
        Err(error) => {
            // The Secret is watched: an edit of it is a reason to look again.
            let secret = found.credential.as_ref();
            let is_fixed = secret.is_some_and(|secret| secret.immutable == Some(true));
            let message = dereference::unusable((&valid.namespace, &valid.name), &error, is_fixed);
            let about = secret.map(|secret| ObjectReference {
                // Another edit may be wrong otherwise.
                resource_version: secret.resource_version(),
                ..secret.object_ref(&())
            });
            let told = Told { cure: Cure::Others, about, ..Told::stopped("CredentialInvalid", message) };
            context.fleet.withdraw(&valid.name, told.why());
            return Ok((told, None));
        }
    };
    let credential = kept.as_ref().filter(|_| owners.workload.is_ours());
    let is_served = credential.is_some();
    if let Some(credential) = credential {
        // Its channels change even while something of the broker cannot be applied.
        serve_channels(context, broker, valid, credential);
    }
    if let Some(Stopped { reason, message, about }) = owners.taken() {
        let cure = if reason == "NameTaken" { Cure::Others } else { Cure::Time };
        let told = Told { cure, about: Some(about), ..Told::stopped(reason, message) };
        if !is_served && cure == Cure::Others {
            context.fleet.withdraw(&valid.name, told.why());
        }
        return Ok((told, Some(NAME_TAKEN_RETRY)));
    }
    let writer = Writer { context, broker };
    let mut claim = found.claim.clone();
    let templates =
        found.workload.as_ref().and_then(|set| set.spec.as_ref()?.volume_claim_templates.as_deref());
    let template = templates.and_then(|templates| templates.first());
    let judged = storage::judge(&valid.storage, template, claim.as_ref());
    let mut differences = judged.differences;
    match judged.step {
        storage::Step::Keep => {}
        storage::Step::Grow(size) => {
            if let Some(has) = &found.claim {
                match writer.grow(has, &size).await {
                    Ok(grown) => {
                        differences = storage::judge(&valid.storage, template, Some(&grown)).differences;
                        claim = Some(grown);
                    }
                    Err(error) => {
                        let words = error.refusal().ok_or(error)?;
                        differences.push(storage::refused(&size, has, &words));
                    }
                }
            }
        }
        storage::Step::Remake => {
            writer.unmake(found).await?;
            let message = "the storage was changed before any volume was bound: it is made anew";
            // Both deletions are seen, and each is a reason to look again.
            return Ok((Told::stopped("RolloutUnderWay", message), Some(NO_POD_RETRY)));
        }
    }
    let credential = kept.map_or_else(dereference::draw, Ok)?;
    let children = build::children(valid, &credential, templates);
    let workload = writer.children(&children, found, &owners).await?;
    let view = serve_channels(context, broker, valid, &credential);
    let (told, next) = look(context, valid, &workload, claim.as_ref()).await;
    let told = Told { differences: Some(differences), url: Some(valid.url.clone()), view, ..told };
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
async fn look(
    context: &Context,
    valid: &Broker,
    workload: &StatefulSet,
    claim: Option<&PersistentVolumeClaim>,
) -> (Told, Duration) {
    let mut pods = context.pods.state();
    pods.retain(|pod| pod.labels().get(BROKER_LABEL) == Some(&valid.name));
    let mut unbound = storage::unbound(&valid.name, claim, None);
    if let (Some(_), Some(claim)) = (&unbound, claim) {
        let said = dereference::not_bound(context, claim).await;
        unbound = storage::unbound(&valid.name, Some(claim), said.as_deref());
    }
    let mut sight = Sight {
        broker: &valid.name,
        replicas: valid.replicas,
        workload,
        pods: &pods,
        claim,
        not_made: None,
        unbound: unbound.as_deref().filter(|_| claim.is_some()),
    };
    let not_made = if sight.lacks_pods() { dereference::not_made(context, workload).await } else { None };
    sight.not_made = not_made.as_deref();
    let waits = sight.lacks_pods() || unbound.is_some();
    let next = if waits { NO_POD_RETRY } else { context.steady() };
    let (ready, ready_pods, trouble) = (sight.assertion(), sight.ready_pods(), sight.trouble());
    let trouble = trouble.filter(|_| !ready.holds);
    let told =
        Told { ready, ready_pods: Some(ready_pods), trouble, unbound, ..Told::stopped("PodsNotReady", "") };
    (told, next)
}
