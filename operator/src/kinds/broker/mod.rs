//! MessageBroker: its ServiceAccount, credential, Services, StatefulSet and claim.

pub mod apply;
pub mod build;
pub mod default_broker;
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

use std::time::Duration;

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ObjectReference, PersistentVolumeClaim},
    },
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{Resource, ResourceExt, core::error_boundary::InvalidObject, runtime::controller::Action};
use restante_crds::{MessageBroker, MessageBrokerStatus, condition::kind};

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
    fleet::{BrokerFacts, View},
    names::BROKER_LABEL,
    reconcile::{
        kind::Kind,
        unreadable::{self, Unreadable},
    },
    shared::{error::Error, stalled::Remedy},
};

/// The retry interval while a child's name is taken, because no watch reports when it becomes free. A retry is six
/// small reads.
const NAME_TAKEN_RETRY: Duration = Duration::from_secs(5);
/// The retry interval while Kubernetes creates no pod. The event with the reason comes a moment later.
const NO_POD_RETRY: Duration = Duration::from_secs(10);

impl Kind for MessageBroker {
    const KIND: &'static str = "MessageBroker";
    const CONDITIONS: &'static [&'static str] = kind::OF_MESSAGE_BROKER;

    fn conditions(status: &mut MessageBrokerStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    /// Applies the children of a MessageBroker, and then its status.
    async fn reconcile(&self, context: &Context) -> Result<Action, Error> {
        reconcile(self, context).await
    }

    async fn reconcile_unreadable(invalid: &InvalidObject, context: &Context) -> Result<Action, Error> {
        let unreadable = Unreadable { invalid, fails: &[kind::READY] };
        unreadable::report::<Self>(context, unreadable, |_| true).await?;
        if invalid.metadata.deletion_timestamp.is_none() {
            let why = "Unreadable: this version of the operator cannot read the resource".to_owned();
            context.fleet.withdraw(invalid.metadata.name.as_deref().unwrap_or_default(), why);
        }
        Ok(Action::await_change())
    }
}

async fn reconcile(broker: &MessageBroker, context: &Context) -> Result<Action, Error> {
    if broker.metadata.deletion_timestamp.is_some() {
        // Kubernetes deletes the children by their owner references, and the sweep of deleted brokers triggers the
        // channels.
        orphaned_children::note_policy(context, &broker.metadata);
        return match status::report(context, broker, Observation::deleting(broker)).await {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(Action::await_change()),
        };
    }
    let report = |observation: Observation| status::report(context, broker, observation);
    let valid = match validate::validate(broker, &context.args) {
        Ok(valid) => valid,
        Err(rejection) => {
            let stopped = Observation::not_ready(rejection.reason, rejection.message);
            context.fleet.withdraw(&broker.name_any(), stopped.cause());
            report(stopped).await?;
            return Ok(Action::await_change());
        }
    };
    let result = match dereference::found(context, &valid.name).await {
        Ok(found) => serve(context, broker, &valid, &found).await,
        Err(error) => Err(error),
    };
    match result {
        Ok((found_out, next)) => {
            let after = report(found_out).await?;
            let next = next.into_iter().chain(after).min();
            Ok(next.map_or_else(Action::await_change, Action::requeue))
        }
        // Retried in any case, because no watch reports a changed quota or permission.
        Err(error) => {
            let uid = broker.uid().unwrap_or_default();
            let may_pass = error.is_server_error() && !context.backoffs.is_failing(&uid);
            if let Some(words) = error.refusal().filter(|_| !may_pass) {
                let about = error.about();
                let is_default = default_broker::is_from_values(&broker.metadata, &context.args);
                let refusal = Refusal {
                    words: &words,
                    is_field_error: error.is_field_error(),
                    about: about.as_ref(),
                    broker: (&valid.namespace, &valid.name),
                    is_default,
                };
                let (message, remedy) = (refusal.message(), refusal.remedy());
                let stopped = Observation { remedy, about, ..Observation::not_ready("ApplyFailed", message) };
                context.fleet.mark_unserved(&valid.name, stopped.cause());
                report(stopped).await?;
            }
            Err(error)
        }
    }
}

/// Applies the children as far as possible, and observes the result.
async fn serve(
    context: &Context,
    broker: &MessageBroker,
    valid: &Broker,
    found: &Found,
) -> Result<(Observation, Option<Duration>), Error> {
    let owners = Owners::of(found, valid.parent());
    // Never use the token of a foreign Secret.
    let kept = found.credential.as_ref().filter(|_| owners.credential.is_ours());
    let kept = match kept.map_or(Ok(None), dereference::credential) {
        Ok(kept) => kept,
        Err(error) => {
            // The Secret is watched: an edit triggers another reconcile.
            let secret = found.credential.as_ref();
            let is_fixed = secret.is_some_and(|secret| secret.immutable == Some(true));
            let message =
                dereference::invalid_token_message((&valid.namespace, &valid.name), &error, is_fixed);
            let about = secret.map(|secret| ObjectReference {
                // A new version makes it a new event: the next edit may be invalid for another reason.
                resource_version: secret.resource_version(),
                ..secret.object_ref(&())
            });
            let observation = Observation {
                remedy: Remedy::OtherResource,
                about,
                ..Observation::not_ready("CredentialInvalid", message)
            };
            context.fleet.withdraw(&valid.name, observation.cause());
            return Ok((observation, None));
        }
    };
    let credential = kept.as_ref().filter(|_| owners.workload.is_ours());
    let is_served = credential.is_some();
    if let Some(credential) = credential {
        // Program its channels even while a child cannot be applied.
        serve_channels(context, broker, valid, credential);
    }
    if let Some(NameConflict { reason, message, about }) = owners.conflict() {
        let remedy = if reason == "NameTaken" { Remedy::OtherResource } else { Remedy::Time };
        let observation =
            Observation { remedy, about: Some(about), ..Observation::not_ready(reason, message) };
        if !is_served && remedy == Remedy::OtherResource {
            context.fleet.withdraw(&valid.name, observation.cause());
        }
        return Ok((observation, Some(NAME_TAKEN_RETRY)));
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
            let message = "the storage was changed before a volume was bound: the claim is being recreated";
            // Both deletions are watched and trigger another reconcile.
            return Ok((Observation::not_ready("RolloutUnderWay", message), Some(NO_POD_RETRY)));
        }
    }
    let credential = kept.map_or_else(dereference::generate, Ok)?;
    let children = build::children(valid, &credential, templates);
    let workload = writer.children(&children, found, &owners).await?;
    let view = serve_channels(context, broker, valid, &credential);
    let (observation, next) = observe(context, valid, &workload, claim.as_ref()).await;
    let observation =
        Observation { differences: Some(differences), url: Some(valid.url.clone()), view, ..observation };
    Ok((observation, Some(next)))
}

/// Serves the channels of the broker, and returns the state of its pods' stores.
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

/// Observes the StatefulSet, its pods and its claim. Returns the observation, and the time until the next one.
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
        creation_error: None,
        unbound: unbound.as_deref().filter(|_| claim.is_some()),
    };
    let creation_error =
        if snapshot.lacks_pods() { dereference::pod_creation_error(context, workload).await } else { None };
    snapshot.creation_error = creation_error.as_deref();
    let waits = snapshot.lacks_pods() || unbound.is_some();
    let next = if waits { NO_POD_RETRY } else { context.steady() };
    let (ready, ready_pods, trouble) = (snapshot.assertion(), snapshot.ready_pods(), snapshot.trouble());
    let trouble = trouble.filter(|_| !ready.holds);
    let observation = Observation {
        ready,
        ready_pods: Some(ready_pods),
        trouble,
        unbound,
        ..Observation::not_ready("PodsNotReady", "")
    };
    (observation, next)
}
