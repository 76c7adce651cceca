//! The status of a channel shows its backlog while the operator can ask the broker, and none when it cannot.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::process::{Operator, SOON};
use crate::shared;

/// Limit of waits for a backlog to be hidden: the operator hides it after two minutes without an answer and two polls,
/// which are at most 18 s apart.
const HIDDEN_WITHIN: Duration = Duration::from_secs(120 + 2 * 18 + SOON.as_secs());

impl Operator {
    /// Waits until the status of channel `orders` shows this number of messages, or no backlog.
    fn until_backlog(&self, messages: Option<u64>, within: Duration) -> Result<()> {
        let what = format!("the backlog to be {messages:?}");
        let words = ["-n", &self.namespace, "get", "mc", "orders"];
        self.kubectl().until(&what, within, &words, |channel| {
            let backlog = &channel["status"]["backlog"];
            match messages {
                None => ensure!(backlog.is_null(), "the backlog is {backlog}"),
                Some(messages) => ensure!(backlog["messages"] == messages, "the backlog is {backlog}"),
            }
            Ok(())
        })
    }

    /// Checks that the columns of the backlog are empty.
    fn backlog_columns_are_empty(&self) -> Result<()> {
        let words = ["get", "mc", "orders", "--no-headers"];
        let row = self.run(&words)?;
        let columns = row.split_whitespace().count();
        // NAME READY DESTINATION SOURCE AGE: without BACKLOG and OLDEST.
        ensure!(columns == 5, "the row is {row}");
        Ok(())
    }
}

#[test]
fn a_backlog_is_not_shown_while_the_credential_cannot_be_used() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "uncounted", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("uncounted", "orders", "main", "")?;
    operator.until_backlog(Some(0), SOON)?;
    operator.patch("secret/restante-main-control", &json!({"stringData": {"token": "short"}}))?;
    operator.until_condition("main", "Ready", "False", "CredentialInvalid")?;
    for content in ["one", "two"] {
        operator.send("main", "uncounted/orders", content)?;
    }
    operator.until_backlog(None, SOON)?;
    operator.backlog_columns_are_empty()?;
    operator.patch("secret/restante-main-control", &json!({"data": {"token": null}}))?;
    operator.until_backlog(Some(2), SOON)
}

#[test]
fn a_backlog_is_not_shown_after_its_broker_was_away_for_minutes() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "uncounted-away", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("uncounted-away", "orders", "main", "")?;
    operator.send("main", "uncounted-away/orders", "kept")?;
    operator.until_backlog(Some(1), SOON + Duration::from_secs(60))?;
    operator.apply_broker("main", "  template: {nodeSelector: {restante.dev/test-uncounted: 'no'}}\n")?;
    operator.until_pod_is_unschedulable()?;
    operator.until_backlog(None, HIDDEN_WITHIN)?;
    let node: Value = cluster.kubectl().json(&["get", "nodes"])?;
    let node = node["items"][0]["metadata"]["name"].as_str().context("a node has a name")?;
    cluster.kubectl().run(&["label", "--overwrite", "node", node, "restante.dev/test-uncounted=no"])?;
    operator.until_backlog(Some(1), SOON)
}

#[test]
fn a_backlog_is_not_shown_when_the_message_broker_is_gone() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "uncounted-gone", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("uncounted-gone", "orders", "main", "")?;
    operator.until_backlog(Some(0), SOON)?;
    operator.run(&["delete", "messagebroker", "main", "--timeout=60s"])?;
    operator.until_backlog(None, SOON)
}
