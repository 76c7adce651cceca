//! Edits of the storage: the operator applies what it can, reports the rest, and deletes no claim that has data.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{objects::condition_is, process::Operator};
use crate::shared;

const CLAIM: &str = "pvc/data-restante-main-0";

fn storage(fields: &str) -> String {
    format!("  engine: {{embedded: {{storage: {{{fields}}}}}}}\n")
}

fn size(claim: &Value) -> &Value {
    &claim["spec"]["resources"]["requests"]["storage"]
}

#[test]
fn a_larger_size_grows_the_claim_and_the_pod_keeps_running() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "grows", &[])?;
    operator.broker_becomes_ready("main", &storage("size: 1Gi, storageClassName: local-growing"))?;
    let pod = operator.get("pod/restante-main-0")?;
    operator.apply_broker("main", &storage("size: 2Gi, storageClassName: local-growing"))?;
    operator.until("the claim to request more", CLAIM, |claim| {
        ensure!(size(claim) == "2Gi", "{claim}");
        Ok(())
    })?;
    operator.until_condition("main", "StorageDiffers", "False", "AsSpecified")?;
    operator.until_condition("main", "Ready", "True", "Ready")?;
    ensure!(operator.get("pod/restante-main-0")?["metadata"]["uid"] == pod["metadata"]["uid"]);
    Ok(())
}

#[test]
fn a_class_that_forbids_growth_is_reported_in_kubernetes_words_and_the_rest_applies() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "may-not-grow", &[])?;
    operator.broker_becomes_ready("main", &storage("size: 1Gi"))?;
    operator.apply_broker("main", &format!("{}  keepAliveSeconds: 700\n", storage("size: 2Gi")))?;
    let message = operator.until_condition("main", "StorageDiffers", "True", "NotApplied")?;
    ensure!(message.contains("size is 2Gi") && message.contains("requests 1Gi"), "{message}");
    ensure!(message.ends_with("Set size to 1Gi, or move the channels to another MessageBroker"), "{message}");
    ensure!(message.contains("resize"), "the API server is not quoted: {message}");
    operator.until_event("main", "NotApplied")?;
    operator.until("the rest to be applied", "statefulset/restante-main", |set| {
        let text = set["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
        ensure!(text.contains("--keep-alive=700"), "{text}");
        Ok(())
    })?;
    operator.until_condition("main", "Ready", "True", "Ready")?;
    operator.apply_broker("main", &storage("size: 1Gi"))?;
    operator.until_condition("main", "StorageDiffers", "False", "AsSpecified").map(drop)
}

#[test]
fn a_smaller_size_and_another_class_are_reported_and_the_claim_stays() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "shrinks", &[])?;
    operator.broker_becomes_ready("main", &storage("size: 2Gi"))?;
    let claim = operator.get(CLAIM)?;
    operator
        .apply_broker("main", &storage("size: 1Gi, storageClassName: fast, accessMode: ReadWriteOncePod"))?;
    let message = operator.until_condition("main", "StorageDiffers", "True", "NotApplied")?;
    for word in ["size is 1Gi", "storageClassName is fast", "accessMode is ReadWriteOncePod"] {
        ensure!(message.contains(word), "{word}: {message}");
    }
    operator.until_condition("main", "Ready", "True", "Ready")?;
    ensure!(operator.get(CLAIM)?["metadata"]["uid"] == claim["metadata"]["uid"]);
    Ok(())
}

#[test]
fn each_growth_and_each_difference_of_the_storage_has_an_event_of_its_own() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "storage-events", &[])?;
    operator.broker_becomes_ready("main", &storage("size: 1Gi, storageClassName: local-growing"))?;
    for more in ["2Gi", "3Gi"] {
        operator.apply_broker("main", &storage(&format!("size: {more}, storageClassName: local-growing")))?;
        operator.until("the claim to request more", CLAIM, |claim| {
            ensure!(size(claim) == more, "{claim}");
            Ok(())
        })?;
    }
    operator.until_notes("StorageGrowing", 2)?;
    for different in ["size: 1Gi, storageClassName: local-growing", "size: 3Gi, storageClassName: fast"] {
        operator.apply_broker("main", &storage(different))?;
        operator.until_condition("main", "StorageDiffers", "True", "NotApplied")?;
        operator.apply_broker("main", &storage("size: 3Gi, storageClassName: local-growing"))?;
        operator.until_condition("main", "StorageDiffers", "False", "AsSpecified")?;
    }
    operator.until_notes("NotApplied", 2).map(drop)
}

#[test]
fn a_misspelt_storage_class_is_corrected_by_an_edit() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "misspelt-class", &[])?;
    operator.apply_broker("main", &storage("size: 1Gi, storageClassName: locla"))?;
    operator.until("the claim to wait for its class", CLAIM, |claim| {
        ensure!(claim["status"]["phase"] == "Pending", "{claim}");
        Ok(())
    })?;
    operator.until_condition("main", "Ready", "False", "PodsNotReady")?;
    let said = "claim data-restante-main-0 of 1Gi and class \"locla\" is not bound to a volume yet: ";
    for (kind, reason) in [("StorageDiffers", "NotBound"), ("Ready", "PodsNotReady")] {
        operator.until("the MessageBroker to report the unbound claim", "messagebroker/main", |broker| {
            let message = condition_is(broker, kind, "False", reason)?;
            let class = message.split(said).nth(1);
            ensure!(class.is_some_and(|class| class.contains("\"locla\" not found")), "{kind}: {message}");
            Ok(())
        })?;
    }
    operator.apply_broker("main", &storage("size: 1Gi, storageClassName: local"))?;
    operator.until_condition("main", "Ready", "True", "Ready")?;
    let claim = operator.get(CLAIM)?;
    ensure!(claim["spec"]["storageClassName"] == "local" && claim["status"]["phase"] == "Bound", "{claim}");
    operator.until_event("main", "StorageRecreated").map(drop)
}

#[test]
fn a_retained_claim_is_used_again_with_its_store() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "installs-again", &[])?;
    operator.broker_becomes_ready("main", &storage("size: 2Gi"))?;
    let (claim, broker) = (operator.get(CLAIM)?, operator.get("messagebroker/main")?);
    operator.run(&["delete", "messagebroker", "main", "--timeout=60s"])?;
    operator.broker_becomes_ready("main", &storage("size: 1Gi"))?;
    operator.until_condition("main", "StorageDiffers", "True", "NotApplied")?;
    ensure!(operator.get(CLAIM)?["metadata"]["uid"] == claim["metadata"]["uid"]);
    let again = operator.until("the status to have the store's id", "messagebroker/main", |broker| {
        ensure!(broker["status"]["storeID"].is_string(), "{}", broker["status"]);
        Ok(broker.clone())
    })?;
    condition_is(&again, "StoreReplaced", "False", "SameStore")?;
    ensure!(again["status"]["storeID"] == broker["status"]["storeID"]);
    Ok(())
}

#[test]
fn a_stateful_set_deleted_without_its_pod_is_created_again_with_the_current_size_and_the_pod_keeps_running()
-> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "set-again", &[])?;
    operator.broker_becomes_ready("main", &storage("size: 1Gi, storageClassName: local-growing"))?;
    let pod = operator.get("pod/restante-main-0")?;
    operator.apply_broker("main", &storage("size: 2Gi, storageClassName: local-growing"))?;
    operator.until("the claim to request more", CLAIM, |claim| {
        ensure!(size(claim) == "2Gi", "{claim}");
        Ok(())
    })?;
    let before = operator.get("statefulset/restante-main")?;
    ensure!(
        size(&before["spec"]["volumeClaimTemplates"][0]) == "1Gi",
        "the StatefulSet was changed: {before}"
    );
    operator.run(&["delete", "statefulset", "restante-main", "--cascade=orphan"])?;
    operator.until("the StatefulSet to be created again", "statefulset/restante-main", |set| {
        ensure!(size(&set["spec"]["volumeClaimTemplates"][0]) == "2Gi", "{set}");
        Ok(())
    })?;
    operator.until_condition("main", "Ready", "True", "Ready")?;
    ensure!(operator.get("pod/restante-main-0")?["metadata"]["uid"] == pod["metadata"]["uid"]);
    Ok(())
}
