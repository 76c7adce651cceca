//! Invalid values of users: they are refused with the error, its place, and what to do.

use anyhow::{Context, Result, ensure};
use restante_tests::wait;
use serde_json::json;

use super::{
    objects::channel,
    process::{Operator, SOON},
};
use crate::shared;

#[test]
fn a_channel_whose_largest_message_exceeds_its_bytes_is_refused_with_the_fields_to_set() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let (kubectl, namespace) = (cluster.kubectl(), "never-fits");
    kubectl.run(&["create", "namespace", namespace])?;
    let apply = |limits: &str| {
        kubectl.apply(&channel(
            namespace,
            "orders",
            (namespace, "mine"),
            &format!("  limits: {{{limits}}}\n"),
        ))
    };
    for beyond in ["bytes: 512Ki", "bytes: 1M, messageBytes: 1Mi", "bytes: 1, messageBytes: 2"] {
        let refusal = apply(beyond).map(drop).expect_err(beyond).to_string();
        ensure!(refusal.contains("must be at most limits.bytes") && refusal.contains("lower"), "{refusal}");
    }
    for fits in ["bytes: 512Ki, messageBytes: 524288", "bytes: 1Mi"] {
        apply(fits).context(fits)?;
    }
    Ok(())
}

#[test]
fn an_invalid_token_is_reported_and_a_removed_one_is_generated_again() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "edited-token", &[])?;
    operator.apply_broker("mine", "")?;
    let secret = ["-n", "edited-token", "get", "secret", "restante-mine-control"];
    let kubectl = operator.kubectl();
    let token = || -> Result<String> {
        let secret = kubectl.json(&secret)?;
        Ok(secret["data"]["token"].as_str().context("there is no token")?.to_owned())
    };
    let first = wait::until("the token to be generated", SOON, token)?;
    let patch = |patch: &str| {
        let words = ["-n", "edited-token", "patch", "secret", "restante-mine-control", "--type=merge"];
        kubectl.run(&[&words[..], &["-p", patch]].concat()).map(drop)
    };
    patch(r#"{"stringData": {"token": "guess-me"}}"#)?;
    let message = operator.until_condition("mine", "Ready", "False", "CredentialInvalid")?;
    ensure!(message.contains("Secret restante-mine-control has fewer than 32 characters"), "{message}");
    ensure!(!message.contains("guess-me"), "the token is shown: {message}");
    ensure!(!operator.log().contains("guess-me"), "the token is shown");
    patch(r#"{"data": {"token": null}}"#)?;
    wait::until("another token to be generated", SOON, || {
        let token = token()?;
        ensure!(token.len() == first.len() && token != first, "the token is not a new one");
        Ok(())
    })
}

#[test]
fn an_immutable_secret_without_a_token_is_reported_with_the_command_that_repairs_it() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "immutable", &[])?;
    operator.broker_becomes_ready("mine", "")?;
    let secret = "secret/restante-mine-control";
    operator.patch(secret, &json!({"immutable": true}))?;
    operator
        .broker_becomes_ready("mine", "  keepAliveSeconds: 700\n")
        .context("a broker with its token should be served")?;
    let empty = json!({
        "apiVersion": "v1", "kind": "Secret", "immutable": true,
        "metadata": {
            "name": "restante-other-control",
            "labels": {"app.kubernetes.io/managed-by": "restante-operator", "restante.dev/broker": "other"},
        },
    });
    operator.apply(&empty)?;
    operator.apply_broker("other", "")?;
    let message = operator.until_condition("other", "Ready", "False", "CredentialInvalid")?;
    let command = "kubectl -n immutable delete secret restante-other-control";
    ensure!(message.contains(&format!("Delete it with `{command}`")), "{message}");
    let words: Vec<_> = command.split(' ').skip(1).collect();
    operator.kubectl().run(&words)?;
    operator.until_ready("other")
}
