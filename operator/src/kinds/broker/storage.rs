//! Compares the storage in the spec with the existing claim, and plans the next step. Pure.
//!
//! The claim templates of a StatefulSet are immutable. A bound claim can only grow. A claim that was never bound has no
//! data, and may be recreated. A claim that may ever have held data is never deleted.

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec},
    apimachinery::pkg::api::resource::Quantity,
};
use restante_crds::{message_broker::Storage, quantity};

use crate::names;

/// The field in the spec.
const FIELD: &str = "spec.engine.embedded.storage";
/// Kubernetes' annotation of a claim that was bound once. It stays even if the volume is deleted.
const BOUND_ONCE: &str = "pv.kubernetes.io/bind-completed";

/// The next step for the claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Change nothing.
    Keep,
    /// Request this size, which is more than the capacity of the volume.
    Grow(Quantity),
    /// Delete and recreate the StatefulSet and its claim, which was never bound or does not exist.
    Recreate,
}

/// The result of the comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub step: Step,
    /// The differences that remain, each with its remedy.
    pub differences: Vec<String>,
}

/// Compares the storage in the spec with the claim. `template` is the claim template of the StatefulSet, if it exists;
/// `claim` is the claim of its pod, if it exists.
pub fn compare(
    spec: &Storage,
    template: Option<&PersistentVolumeClaim>,
    claim: Option<&PersistentVolumeClaim>,
) -> Comparison {
    let template = template.and_then(|template| template.spec.as_ref());
    let keep = |differences| Comparison { step: Step::Keep, differences };
    let claim = claim.filter(|claim| {
        // A claim that is being deleted and never held data counts as absent.
        claim.metadata.deletion_timestamp.is_none() || may_hold_data(claim)
    });
    let Some(claim) = claim else {
        // The StatefulSet will create the next claim from the template.
        let differs = template.is_some_and(|template| !is_template_of(template, spec));
        return Comparison {
            step: if differs { Step::Recreate } else { Step::Keep },
            differences: Vec::new(),
        };
    };
    let Some(found) = claim.spec.as_ref() else { return keep(Vec::new()) };
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    if !may_hold_data(claim) {
        // If the spec names no class, the claim has the cluster's default class. Only the template shows the specified
        // one.
        let matches = match template {
            Some(template) => {
                is_template_of(template, spec)
                    && differences(spec, found, name).is_empty()
                    && has_size(found, spec)
            }
            None => is_template_of(found, spec),
        };
        return Comparison {
            step: if matches { Step::Keep } else { Step::Recreate },
            differences: Vec::new(),
        };
    }
    let mut list = differences(spec, found, name);
    let (Some(has), Ok(wanted)) = (size_of(found), quantity::bytes(&spec.size)) else { return keep(list) };
    match quantity::bytes(has) {
        // An earlier growth failed. Kubernetes accepts a smaller request that still exceeds the capacity.
        Ok(has_bytes) if has_bytes > wanted && capacity(claim).is_some_and(|has| has < wanted) => {
            return Comparison { step: Step::Grow(spec.size.clone()), differences: list };
        }
        Ok(has_bytes) if has_bytes > wanted => list.push(format!(
            "{FIELD}.size is {}, but claim {name} requests {}, and a claim never shrinks: set size to {}",
            spec.size.0, has.0, has.0
        )),
        Ok(has_bytes) if has_bytes < wanted => {
            return Comparison { step: Step::Grow(spec.size.clone()), differences: list };
        }
        Ok(_) => {}
        Err(_) if *has == spec.size => {}
        Err(_) => list.push(format!("{FIELD}.size is {}, but claim {name} requests {}", spec.size.0, has.0)),
    }
    list.extend(growing(claim, wanted));
    keep(list)
}

/// The capacity of the volume, in bytes.
fn capacity(claim: &PersistentVolumeClaim) -> Option<u64> {
    quantity::bytes(claim.status.as_ref()?.capacity.as_ref()?.get("storage")?).ok()
}

/// Describes a growth in progress: the claim requests enough, but the volume has less.
fn growing(claim: &PersistentVolumeClaim, wanted: u64) -> Option<String> {
    if capacity(claim)? >= wanted {
        return None;
    }
    let status = claim.status.as_ref()?;
    let capacity = status.capacity.as_ref()?.get("storage")?;
    let requested = size_of(claim.spec.as_ref()?)?;
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let details = status.conditions.iter().flatten().filter(|condition| condition.status == "True");
    let details: Vec<_> = details
        .filter_map(|condition| Some(format!("{}: {}", condition.type_, condition.message.as_ref()?)))
        .collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join("; ")) };
    Some(format!(
        "claim {name} requests {}, but its volume still has a capacity of {}: it is growing{details}",
        requested.0, capacity.0
    ))
}

/// Describes a claim without a volume; `event` is the latest failure event of the claim.
pub fn unbound(broker: &str, claim: Option<&PersistentVolumeClaim>, event: Option<&str>) -> Option<String> {
    let name = names::claim(broker);
    let Some(claim) = claim else { return Some(format!("claim {name} does not exist yet")) };
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    if phase.is_some_and(|phase| phase != "Pending") {
        return None;
    }
    let spec = claim.spec.as_ref();
    let size = spec.and_then(size_of).map(|size| size.0.as_str()).unwrap_or_default();
    let class = match spec.and_then(|spec| spec.storage_class_name.as_deref()) {
        None => "no class".to_owned(),
        Some(class) => format!("class {class:?}"),
    };
    let event = event.map(|event| format!(": {event}")).unwrap_or_default();
    Some(format!("claim {name} of {size} and {class} is not bound to a volume yet{event}"))
}

/// Describes a refused growth.
pub fn refused(size: &Quantity, claim: &PersistentVolumeClaim, words: &str) -> String {
    let has = claim.spec.as_ref().and_then(size_of).map(|size| size.0.as_str()).unwrap_or_default();
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    format!(
        "{FIELD}.size is {}, but claim {name} requests {has}, and Kubernetes refuses a larger request: {words}. Set size to \
         {has}, or move the channels to another MessageBroker",
        size.0
    )
}

/// Whether a claim may have data, now or soon: it was bound once, it names its volume, or a person created it for a
/// restore, with a selector or a data source. The operator's own claims have none of these fields.
pub fn may_hold_data(claim: &PersistentVolumeClaim) -> bool {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    let annotations = claim.metadata.annotations.as_ref();
    let is_for_some_volume = claim.spec.as_ref().is_none_or(|spec| {
        spec.volume_name.as_deref().is_some_and(|name| !name.is_empty())
            || spec.selector.is_some()
            || spec.data_source.is_some()
            || spec.data_source_ref.is_some()
    });
    is_for_some_volume
        || matches!(phase, Some("Bound" | "Lost"))
        || annotations.is_some_and(|annotations| annotations.contains_key(BOUND_ONCE))
}

/// The requested size of a claim.
pub(super) fn size_of(found: &PersistentVolumeClaimSpec) -> Option<&Quantity> {
    found.resources.as_ref()?.requests.as_ref()?.get("storage")
}

fn is_template_of(template: &PersistentVolumeClaimSpec, spec: &Storage) -> bool {
    has_size(template, spec)
        && template.storage_class_name == spec.storage_class_name
        && has_mode(template, spec)
}

fn has_size(found: &PersistentVolumeClaimSpec, spec: &Storage) -> bool {
    size_of(found).is_some_and(|size| match (quantity::bytes(size), quantity::bytes(&spec.size)) {
        (Ok(has), Ok(wanted)) => has == wanted,
        _ => *size == spec.size,
    })
}

fn has_mode(found: &PersistentVolumeClaimSpec, spec: &Storage) -> bool {
    found.access_modes.as_deref().is_some_and(|modes| modes == [spec.access_mode.as_str()])
}

/// Differences in immutable fields. A spec without a class accepts any class.
fn differences(spec: &Storage, found: &PersistentVolumeClaimSpec, name: &str) -> Vec<String> {
    let mut list = Vec::new();
    let remedy = "which is immutable: revert the spec, or move the channels to another MessageBroker";
    let class = found.storage_class_name.as_deref().filter(|class| !class.is_empty());
    if let Some(wanted) =
        spec.storage_class_name.as_deref().filter(|wanted| *wanted != class.unwrap_or_default())
    {
        let has = class.map_or_else(|| "has no class".to_owned(), |class| format!("is of class {class}"));
        list.push(format!("{FIELD}.storageClassName is {wanted}, but claim {name} {has}, {remedy}"));
    }
    if !has_mode(found, spec) {
        let modes = found.access_modes.clone().unwrap_or_default().join(",");
        let wanted = spec.access_mode.as_str();
        list.push(format!("{FIELD}.accessMode is {wanted}, but claim {name} is {modes}, {remedy}"));
    }
    list
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(size: &str, class: Option<&str>) -> Storage {
        Storage {
            size: Quantity(size.into()),
            storage_class_name: class.map(str::to_owned),
            ..Storage::default()
        }
    }

    fn claim(size: &str, class: Option<&str>) -> PersistentVolumeClaim {
        let mut claim: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": { "name": "data-restante-main-0", "labels": { "restante.dev/broker": "main" } },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": size } } },
            "status": { "phase": "Pending" },
        }))
        .unwrap();
        claim.spec.as_mut().unwrap().storage_class_name = class.map(str::to_owned);
        claim
    }

    fn bound(size: &str, class: Option<&str>) -> PersistentVolumeClaim {
        let mut claim = claim(size, class);
        claim.spec.as_mut().unwrap().volume_name = Some("volume-1".into());
        let status: Value = json!({ "phase": "Bound", "capacity": { "storage": size } });
        claim.status = Some(serde_json::from_value(status).unwrap());
        claim
    }

    fn step(
        spec: &Storage,
        template: Option<&PersistentVolumeClaim>,
        claim: Option<&PersistentVolumeClaim>,
    ) -> Step {
        compare(spec, template, claim).step
    }

    #[test]
    fn a_claim_as_specified_is_kept() {
        for claim in [None, Some(claim("1Gi", Some("fast"))), Some(bound("1Gi", Some("fast")))] {
            let compared =
                compare(&spec("1024Mi", Some("fast")), Some(&bound("1Gi", Some("fast"))), claim.as_ref());
            assert_eq!(compared, Comparison { step: Step::Keep, differences: vec![] }, "{claim:?}");
        }
    }

    #[test]
    fn a_bound_claim_grows_and_never_shrinks() {
        let made = claim("2Gi", None);
        assert_eq!(
            step(&spec("3Gi", None), Some(&made), Some(&bound("2Gi", Some("x")))),
            Step::Grow(Quantity("3Gi".into()))
        );
        let smaller = compare(&spec("1Gi", None), Some(&made), Some(&bound("2Gi", Some("x"))));
        assert_eq!(smaller.step, Step::Keep);
        let list = &smaller.differences[0];
        assert!(list.contains("size is 1Gi, but claim data-restante-main-0 requests 2Gi, and a claim never shrinks: set size to 2Gi"), "{list}");
    }

    #[test]
    fn a_claim_of_an_earlier_installation_is_kept_and_its_differences_are_reported() {
        // No StatefulSet exists yet: the spec is compared with the retained claim.
        let compared = compare(&spec("1Gi", Some("fast")), None, Some(&bound("2Gi", Some("slow"))));
        assert_eq!((compared.step, compared.differences.len()), (Step::Keep, 2));
        assert_eq!(
            step(&spec("3Gi", None), None, Some(&bound("2Gi", Some("slow")))),
            Step::Grow(Quantity("3Gi".into()))
        );
    }

    #[test]
    fn a_different_class_or_mode_of_a_bound_claim_is_reported_and_kept() {
        let mut wanted = spec("2Gi", Some("fast"));
        wanted.access_mode = restante_crds::message_broker::AccessMode::ReadWriteOncePod;
        let found = bound("2Gi", Some("slow"));
        let compared = compare(&wanted, Some(&found), Some(&found));
        assert_eq!(compared.step, Step::Keep);
        assert!(compared.differences[0].contains("storageClassName is fast"), "{compared:?}");
        assert!(compared.differences[1].contains("accessMode is ReadWriteOncePod"), "{compared:?}");
    }

    #[test]
    fn an_unbound_claim_that_differs_is_recreated() {
        let made = claim("1Gi", Some("fsat"));
        for wanted in [spec("1Gi", Some("fast")), spec("1Gi", None), spec("2Gi", Some("fsat"))] {
            assert_eq!(step(&wanted, Some(&made), Some(&made)), Step::Recreate, "{wanted:?}");
            // The claim is already deleted.
            assert_eq!(step(&wanted, Some(&made), None), Step::Recreate, "{wanted:?}");
        }
        // The StatefulSet is already deleted.
        assert_eq!(step(&spec("1Gi", Some("fast")), None, Some(&made)), Step::Recreate);
        assert_eq!(step(&spec("1Gi", Some("fast")), None, None), Step::Keep);
    }

    #[test]
    fn a_claim_that_may_hold_data_is_never_recreated() {
        let wanted = spec("1Gi", Some("fast"));
        let mut marked = claim("1Gi", Some("slow"));
        marked.metadata.annotations = Some([(BOUND_ONCE.to_owned(), "yes".to_owned())].into());
        let mut lost = claim("1Gi", Some("slow"));
        lost.status.as_mut().unwrap().phase = Some("Lost".into());
        let mut named = claim("1Gi", Some("slow"));
        named.spec.as_mut().unwrap().volume_name = Some("chosen".into());
        let mut going = bound("1Gi", Some("slow"));
        going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let mut restored = claim("1Gi", Some("slow"));
        let selector = json!({ "matchLabels": { "velero.io/dynamic-pv-restore": "x" } });
        restored.spec.as_mut().unwrap().selector = serde_json::from_value(selector).unwrap();
        for claim in [marked, lost, named, going, restored] {
            assert_eq!(step(&wanted, Some(&claim), Some(&claim)), Step::Keep, "{claim:?}");
            assert_eq!(step(&wanted, None, Some(&claim)), Step::Keep, "{claim:?}");
        }
    }

    #[test]
    fn an_unbound_claim_of_the_earlier_class_is_recreated() {
        let left = claim("1Gi", Some("fsat"));
        let current = claim("1Gi", Some("fast"));
        assert_eq!(step(&spec("1Gi", Some("fast")), Some(&current), Some(&left)), Step::Recreate);
        assert_eq!(step(&spec("1Gi", None), None, Some(&left)), Step::Recreate);
        // A spec without a class accepts the cluster's default class.
        let given = claim("1Gi", Some("default"));
        assert_eq!(step(&spec("1Gi", None), Some(&claim("1Gi", None)), Some(&given)), Step::Keep);
    }

    #[test]
    fn an_unbound_claim_is_reported_with_its_class_and_the_event_of_kubernetes() {
        let list = |claim: &PersistentVolumeClaim, event| unbound("main", Some(claim), event);
        assert_eq!(
            list(&claim("100Ti", Some("locla")), Some("class not found")).unwrap(),
            "claim data-restante-main-0 of 100Ti and class \"locla\" is not bound to a volume yet: class not found"
        );
        assert!(list(&claim("1Gi", None), None).unwrap().ends_with("no class is not bound to a volume yet"));
        assert_eq!(list(&bound("1Gi", None), None), None);
        assert!(unbound("main", None, None).unwrap().contains("does not exist yet"));
    }

    #[test]
    fn a_failed_growth_may_be_reduced_to_a_size_above_the_capacity() {
        let mut claim = bound("1Gi", None);
        let requests = claim.spec.as_mut().unwrap().resources.as_mut().unwrap().requests.as_mut().unwrap();
        requests.insert("storage".into(), Quantity("100Ti".into()));
        assert_eq!(step(&spec("2Gi", None), None, Some(&claim)), Step::Grow(Quantity("2Gi".into())));
        let compared = compare(&spec("1Gi", None), None, Some(&claim));
        assert_eq!((compared.step, compared.differences.len()), (Step::Keep, 1));
    }

    #[test]
    fn a_growing_claim_is_reported_until_it_has_grown() {
        let mut claim = bound("2Gi", None);
        let requests = claim.spec.as_mut().unwrap().resources.as_mut().unwrap().requests.as_mut().unwrap();
        requests.insert("storage".into(), Quantity("3Gi".into()));
        let compared = compare(&spec("3Gi", None), None, Some(&claim));
        assert_eq!(
            compared.differences,
            [
                "claim data-restante-main-0 requests 3Gi, but its volume still has a capacity of 2Gi: it is growing"
            ]
        );
    }
}
