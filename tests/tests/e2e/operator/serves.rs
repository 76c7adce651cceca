//! An operator serves its namespace while other operators run in the cluster.

use anyhow::{Result, ensure};
use restante_tests::wait;

use super::{
    objects::condition_is,
    process::{Operator, SOON},
};
use crate::shared;

#[test]
fn an_operator_serves_the_brokers_of_its_namespace_and_their_channels() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "serves", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("serves", "orders", "main", "")?;
    let channel = operator.kubectl().json(&["-n", "serves", "get", "mc", "orders"])?;
    for kind in ["Accepted", "Programmed", "Ready"] {
        condition_is(&channel, kind, "True", kind)?;
    }
    Ok(())
}

#[test]
fn a_restarted_operator_writes_nothing_if_nothing_changed() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let mut operator = Operator::start(cluster, "starts-again", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("starts-again", "orders", "main", "")?;
    // The operator polls the pods every 15 s.
    let words = ["-n", "starts-again", "get", "messagebroker", "main"];
    operator.kubectl().until("the channel to be counted", SOON, &words, |broker| {
        ensure!(broker["status"]["channels"] == 1, "{}", broker["status"]);
        Ok(())
    })?;
    operator.stop()?;
    let operator = Operator::start_again(cluster, "starts-again", &[])?;
    wait::until("both to be reconciled", SOON, || {
        let reconciles = operator.metric("restante_operator_reconcile_total")?;
        ensure!(
            reconciles >= 2.0,
            "there were {reconciles} reconciles; the operator's log is\n{}",
            operator.log()
        );
        Ok(())
    })?;
    let writes = operator.metric("restante_operator_status_writes_total")?;
    ensure!(writes == 0.0, "{writes} statuses were written");
    Ok(())
}
