//! The rendered chart, applied by `kubectl apply` and kustomize, which do not run hooks.

use std::fs;

use anyhow::{Result, ensure};
use restante_tests::kubectl::Kubectl;

use super::release::{Release, SOON, create_namespace};
use crate::shared;

const CHANNEL: &str = "
apiVersion: restante.dev/v1alpha1
kind: MessageChannel
metadata: {name: orders, namespace: NAMESPACE}
spec:
  access: {anonymous: true}
  brokerRef: {name: default, namespace: NAMESPACE}
";

/// Checks that the operator runs, that its broker and a channel become Ready, and that no job was created.
fn check_serves(release: &Release, kubectl: &Kubectl) -> Result<()> {
    let namespace = release.namespace.as_str();
    kubectl.run(&["-n", namespace, "rollout", "status", "deployment/restante-operator", "--timeout=120s"])?;
    release.broker_becomes_ready("default")?;
    kubectl.apply(&CHANNEL.replace("NAMESPACE", namespace))?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", namespace, "messagechannel/orders"])?;
    let jobs = kubectl.run(&["-n", namespace, "get", "jobs", "-o", "name"])?;
    ensure!(jobs.is_empty(), "{jobs}");
    let deployment = release.get("deployment", "restante-operator")?;
    ensure!(deployment["spec"]["replicas"] == 1, "{deployment}");
    // Delete the channel while the operator can still remove its finalizer.
    kubectl.run(&["-n", namespace, "delete", "mc", "orders", "--timeout=60s"])?;
    kubectl.run(&["delete", "namespace", namespace, "--timeout=120s"]).map(drop)
}

/// The output of `helm template`, with definitions, for an operator that is not the default one.
fn template(release: &Release) -> Result<String> {
    let chart = super::rendering::chart();
    release.helm(&["template", "restante", &chart, "--set", "operator.default=false"])
}

#[test]
fn kubectl_applies_the_output_of_helm_template() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let release = Release::new(cluster, "rendered");
    let kubectl = release.kubectl();
    create_namespace(&kubectl, "rendered")?;
    let rendered = template(&release)?;
    kubectl.apply(&rendered)?;
    // Apply it again, like a pipeline.
    kubectl.apply(&rendered)?;
    check_serves(&release, &kubectl)
}

#[test]
fn kustomize_applies_the_output_of_helm_template() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let release = Release::new(cluster, "kustomized");
    let kubectl = release.kubectl();
    create_namespace(&kubectl, "kustomized")?;
    let folder = cluster.folder.join("kustomized");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("restante.yaml"), template(&release)?)?;
    fs::write(
        folder.join("kustomization.yaml"),
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [restante.yaml]\n\
         labels: [{pairs: {team: mail}}]\n",
    )?;
    kubectl.run(&["apply", "-k", &folder.display().to_string()])?;
    check_serves(&release, &kubectl)
}
