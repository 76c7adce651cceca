//! Decides who owns an object that has the name of a child. The operator writes only to its own objects. For a foreign
//! object, the status names the object and the command that hands it over. Pure.

#[cfg(test)]
mod tests;

use std::fmt::{self, Display};

use k8s_openapi::{
    api::core::v1::{ObjectReference, Secret, Service},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use restante_crds::GROUP;

use super::{dereference::Found, holder::holder};
use crate::names::{self, BROKER_LABEL, FIELD_MANAGER, MANAGED_BY_LABEL};

/// The owner of an object that has the name of a child.
#[derive(Debug, Clone, PartialEq)]
pub enum ChildOwner {
    /// The object does not exist: it may be created.
    Absent,
    /// Ours: it may be written.
    Ours,
    /// Ours by its labels, and without a controller, as after a restore that dropped owner references.
    Adopt,
    Taken(Taken),
}

/// A foreign object that has the name of a child.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    kind: &'static str,
    /// The reference for an event.
    reference: Box<ObjectReference>,
    by: String,
    remedy: String,
    /// Whether the object disappears by itself.
    passes: bool,
}

impl Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.reference.name.as_deref().unwrap_or_default();
        write!(f, "{} {name} belongs to {}: {}", self.kind, self.by, self.remedy)
    }
}

/// The MessageBroker of the children.
#[derive(Debug, Clone, Copy)]
pub struct Parent<'a> {
    pub name: &'a str,
    /// The namespace of the MessageBroker and its children.
    pub namespace: &'a str,
    /// The owner reference of the children.
    pub owner: &'a OwnerReference,
}

/// Whether a foreign object can become ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// By our labels.
    ByLabels,
    /// Not at all: a field that we must write is immutable.
    Never,
}

/// Decides who owns an object.
///
/// An object that our MessageBroker controls is ours with any labels: Kubernetes deletes it with the MessageBroker.
pub fn owner_of(
    kind: &'static str,
    found: Option<&ObjectMeta>,
    broker: Parent<'_>,
    handover: Handover,
) -> ChildOwner {
    let Some(found) = found else { return ChildOwner::Absent };
    let name = found.name.as_deref().unwrap_or_default();
    let taken = |by: String, remedy: String| {
        ChildOwner::Taken(Taken { kind, reference: reference(kind, found), by, remedy, passes: false })
    };
    let command = format!("kubectl -n {}", broker.namespace);
    let lower = kind.to_lowercase();
    match controller(found) {
        Some(owner) if owner.uid == broker.owner.uid => ChildOwner::Ours,
        Some(owner) if is_predecessor(owner, broker) => ChildOwner::Taken(Taken {
            kind,
            reference: reference(kind, found),
            by: format!("an earlier MessageBroker {}", broker.name),
            remedy: "Kubernetes is deleting it with that MessageBroker, and then the operator recreates it"
                .into(),
            passes: true,
        }),
        Some(owner) => taken(
            format!("{} {}", owner.kind, owner.name),
            format!(
                "delete it with `{command} delete {lower} {name}`, or give this MessageBroker another name"
            ),
        ),
        None if has_our_labels(found, broker) => ChildOwner::Adopt,
        None if handover == Handover::Never => taken(
            holder(found),
            format!(
                "delete it with `{command} delete {lower} {name}`, or give this MessageBroker another name"
            ),
        ),
        None => taken(
            holder(found),
            format!(
                "hand it over with `{command} label --overwrite {lower} {name} {MANAGED_BY_LABEL}={FIELD_MANAGER} \
                 {BROKER_LABEL}={}`, delete it with `{command} delete {lower} {name}`, or give this MessageBroker another \
                 name",
                broker.name
            ),
        ),
    }
}

/// Whether a claim belongs to the broker of this name. A StatefulSet gives its claims the labels of its pods' selector.
/// Our claims have no owner, because they must outlive the StatefulSet.
pub fn is_claim_of(found: &ObjectMeta, broker: &str) -> bool {
    names::selector(broker).iter().all(|(key, value)| label(found, key) == Some(value))
}

/// Decides who owns the claim. A claim contains data, so the remedy never is to delete it.
fn owner_of_claim(found: Option<&ObjectMeta>, broker: Parent<'_>) -> ChildOwner {
    const KIND: &str = "PersistentVolumeClaim";
    let Some(found) = found else { return ChildOwner::Absent };
    if is_claim_of(found, broker.name) {
        return ChildOwner::Ours;
    }
    let labels: Vec<_> =
        names::selector(broker.name).iter().map(|(key, value)| format!("{key}={value}")).collect();
    let remedy = format!(
        "hand it over, together with the data on its volume, with `kubectl -n {} label --overwrite pvc {} {}`, or give this \
         MessageBroker another name",
        broker.namespace,
        found.name.as_deref().unwrap_or_default(),
        labels.join(" ")
    );
    ChildOwner::Taken(Taken {
        kind: KIND,
        reference: reference(KIND, found),
        by: holder(found),
        remedy,
        passes: false,
    })
}

/// The owner of each child.
#[derive(Debug, Clone, PartialEq)]
pub struct Owners {
    pub service_account: ChildOwner,
    /// The Secret.
    pub credential: ChildOwner,
    /// The headless Service.
    pub headless: ChildOwner,
    /// The clients' Service.
    pub service: ChildOwner,
    /// The StatefulSet.
    pub workload: ChildOwner,
    /// The claim, which the StatefulSet creates.
    pub claim: ChildOwner,
}

/// At least one child's name is taken by a foreign object.
#[derive(Debug, Clone, PartialEq)]
pub struct NameConflict {
    /// The reason of the condition.
    pub reason: &'static str,
    /// The foreign objects, and the remedies.
    pub message: String,
    /// The first foreign object.
    pub about: ObjectReference,
}

impl Owners {
    /// Decides who owns each object found.
    pub fn of(found: &Found, broker: Parent<'_>) -> Self {
        use Handover::{ByLabels, Never};
        let secret = found.credential.as_ref().map(|secret| &secret.metadata);
        let headless = found.headless.as_ref().map(|service| &service.metadata);
        let workload = found.workload.as_ref().map(|workload| &workload.metadata);
        let claim = found.claim.as_ref().map(|claim| &claim.metadata);
        let secret_goes = if found.credential.as_ref().is_some_and(is_fixed) { Never } else { ByLabels };
        let headless_goes = if found.headless.as_ref().is_some_and(has_address) { Never } else { ByLabels };
        Self {
            service_account: owner_of("ServiceAccount", found.service_account.as_ref(), broker, ByLabels),
            credential: owner_of("Secret", secret, broker, secret_goes),
            headless: owner_of("Service", headless, broker, headless_goes),
            service: owner_of("Service", found.service.as_ref(), broker, ByLabels),
            // Its selector is immutable, and decides which pods belong to it.
            workload: owner_of("StatefulSet", workload, broker, Never),
            claim: owner_of_claim(claim, broker),
        }
    }

    /// Why no child may be written, or `None` if all may. A single foreign object blocks them all: otherwise pods would
    /// run with a foreign identity, credential or name.
    pub fn conflict(&self) -> Option<NameConflict> {
        let all = [
            &self.service_account,
            &self.credential,
            &self.headless,
            &self.service,
            &self.workload,
            &self.claim,
        ];
        let taken = all.into_iter().filter_map(|whose| match whose {
            ChildOwner::Taken(taken) => Some(taken),
            ChildOwner::Absent | ChildOwner::Ours | ChildOwner::Adopt => None,
        });
        let taken: Vec<_> = taken.collect();
        let reason = if taken.iter().all(|taken| taken.passes) { "RolloutUnderWay" } else { "NameTaken" };
        let message = taken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Some(NameConflict { reason, message, about: (*taken.first()?.reference).clone() })
    }
}

impl ChildOwner {
    /// Whether the object exists and is ours.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Ours | Self::Adopt)
    }
}

/// The reference to an object in an event.
fn reference(kind: &str, found: &ObjectMeta) -> Box<ObjectReference> {
    Box::new(ObjectReference {
        api_version: Some(if kind == "StatefulSet" { "apps/v1" } else { "v1" }.into()),
        kind: Some(kind.into()),
        name: found.name.clone(),
        namespace: found.namespace.clone(),
        uid: found.uid.clone(),
        ..ObjectReference::default()
    })
}

/// Whether a Secret cannot take our token, or has another type, which is immutable.
fn is_fixed(secret: &Secret) -> bool {
    secret.immutable == Some(true) || secret.type_.as_deref().is_some_and(|type_| type_ != "Opaque")
}

/// Whether a Service has a cluster IP, which is immutable.
fn has_address(service: &Service) -> bool {
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
    address.is_some_and(|address| !["", "None"].contains(&address))
}

fn controller(found: &ObjectMeta) -> Option<&OwnerReference> {
    found.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Whether the owner is a MessageBroker of the same name that was deleted before ours was created.
fn is_predecessor(owner: &OwnerReference, broker: Parent<'_>) -> bool {
    owner.kind == broker.owner.kind
        && owner.name == broker.name
        && owner.api_version.split('/').next() == Some(GROUP)
}

pub(super) fn label<'a>(found: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    found.labels.as_ref()?.get(key).map(String::as_str)
}

fn has_our_labels(found: &ObjectMeta, broker: Parent<'_>) -> bool {
    label(found, MANAGED_BY_LABEL) == Some(FIELD_MANAGER) && label(found, BROKER_LABEL) == Some(broker.name)
}
