//! The chart as others apply it: `helm template` into `kubectl apply`, and by kustomize. They know no hooks.

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

/// That the operator runs, its broker is Ready, a channel of it too, and no job ever was.
fn serves(release: &Release, kubectl: &Kubectl) -> Result<()> {
    let namespace = release.namespace.as_str();
    kubectl.run(&["-n", namespace, "rollout", "status", "deployment/restante-operator", "--timeout=120s"])?;
    release.broker_becomes_ready("default")?;
    kubectl.apply(&CHANNEL.replace("NAMESPACE", namespace))?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", namespace, "messagechannel/orders"])?;
    let jobs = kubectl.run(&["-n", namespace, "get", "jobs", "-o", "name"])?;
    ensure!(jobs.is_empty(), "{jobs}");
    let deployment = release.get("deployment", "restante-operator")?;
    ensure!(deployment["spec"]["replicas"] == 1, "{deployment}");
    // No operator is left that would let go of it.
    kubectl.run(&["-n", namespace, "delete", "mc", "orders", "--timeout=60s"])?;
    kubectl.run(&["delete", "namespace", namespace, "--timeout=120s"]).map(drop)
}

/// What `helm template` renders, definitions included, for nobody's default operator.
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
    // And again, as a pipeline would.
    kubectl.apply(&rendered)?;
    serves(&release, &kubectl)
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
    serves(&release, &kubectl)
}
