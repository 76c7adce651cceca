//! The first and the last chapter: a release of the chart is installed and uninstalled.

use std::{net::SocketAddrV4, time::Duration};

use anyhow::{Context, Result, ensure};
use restante_tests::{
    cluster::{info::ClusterInfo, network},
    helm::Helm,
    images,
    kubectl::Kubectl,
    tools::workspace,
};
use serde_json::Value;

/// The namespace of the release.
pub(crate) const SYSTEM: &str = "restante-system";
/// The namespace of the channels.
pub(crate) const USERS: &str = "acme";
/// Limit of waits: a pod starts within seconds, and later on a busy machine with two cores.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// An installed release.
pub(crate) struct Release {
    pub(crate) kubectl: Kubectl,
    helm: Helm,
}

impl Release {
    /// Installs the chart with the images of this working tree.
    pub(crate) fn install(cluster: &ClusterInfo) -> Result<Self> {
        for image in images::restante()? {
            image.import(&cluster.tools, &cluster.containerd_socket)?;
        }
        let release = Self { kubectl: cluster.kubectl(), helm: cluster.helm() };
        let chart = workspace().join("charts/restante").display().to_string();
        let words = ["install", "restante", &chart, "--namespace", SYSTEM, "--create-namespace", "--wait"];
        let notes = release.helm.run(&[&words[..], &["--timeout", "3m"]].concat())?;
        ensure!(notes.matches("curl").count() >= 2, "the notes do not show the two curls: {notes}");
        let kubectl = &release.kubectl;
        kubectl.wait_for("create", SOON, &["-n", SYSTEM, "messagebroker/default"])?;
        kubectl.wait_for("condition=Ready", SOON, &["-n", SYSTEM, "messagebroker/default"])?;
        kubectl.run(&["create", "namespace", USERS])?;
        Ok(release)
    }

    /// Applies a channel with these further lines in its spec, and checks the output of `kubectl get`.
    pub(crate) fn channel_becomes_ready(&self, name: &str, spec: &str) -> Result<()> {
        self.kubectl.apply(&channel(name, spec))?;
        let address = format!("{USERS}/{name}");
        self.kubectl.wait_for("condition=Ready", SOON, &["-n", USERS, &format!("messagechannel/{name}")])?;
        self.kubectl.until(
            "the backlog to be shown",
            SOON,
            &["-n", USERS, "get", "mc", name],
            |channel| {
                ensure!(channel["status"]["backlog"]["ready"] == 0, "its status is {}", channel["status"]);
                Ok(())
            },
        )?;
        let table = self.kubectl.run(&["-n", USERS, "get", "mc", name])?;
        let columns = ["READY", "DESTINATION", "SOURCE", "BACKLOG", "True", &address];
        ensure!(columns.iter().all(|column| table.contains(column)), "columns are missing in\n{table}");
        Ok(())
    }

    /// The address of the broker's Service.
    pub(crate) fn service(&self) -> Result<SocketAddrV4> {
        let service = self.kubectl.json(&["-n", SYSTEM, "get", "service", "restante-default"])?;
        let address = service["spec"]["clusterIP"].as_str().context("the Service has no address")?;
        Ok(SocketAddrV4::new(address.parse()?, 8080))
    }

    /// The API server: another server in the cluster, which clients must not reach.
    pub(crate) fn api_server(&self) -> SocketAddrV4 {
        SocketAddrV4::new(network::NODE, network::API_PORT)
    }

    pub(crate) fn broker_pod(&self) -> Result<Value> {
        self.kubectl.json(&["-n", SYSTEM, "get", "pod", "restante-default-0"])
    }

    /// Waits until the broker's pod has another UID and is ready.
    pub(crate) fn wait_for_successor_of(&self, uid: &Value) -> Result<()> {
        let words = ["-n", SYSTEM, "get", "pod", "restante-default-0"];
        self.kubectl.until("the next broker pod to be ready", SOON, &words, |pod| {
            ensure!(pod["metadata"]["uid"] != *uid && is_ready(pod), "its status is {}", pod["status"]);
            Ok(())
        })
    }

    /// A page of a pod's admin port.
    pub(crate) fn admin(&self, pod: &str, page: &str) -> Result<String> {
        let path = format!("/api/v1/namespaces/{SYSTEM}/pods/{pod}:8081/proxy{page}");
        self.kubectl.run(&["get", "--raw", &path])
    }

    pub(crate) fn operator_pod(&self) -> Result<Value> {
        let selector = "app.kubernetes.io/instance=restante,app.kubernetes.io/name=restante";
        let pods = self.kubectl.json(&["-n", SYSTEM, "get", "pods", "-l", selector])?;
        let alive = |pod: &&Value| pod["metadata"].get("deletionTimestamp").is_none();
        pods["items"]
            .as_array()
            .and_then(|pods| pods.iter().find(alive))
            .cloned()
            .context("there is no operator")
    }

    pub(crate) fn uninstall_leaves_the_definitions_and_the_volume_and_no_namespace_hangs(
        &self,
    ) -> Result<()> {
        self.channel_becomes_ready("left-behind", "")?;
        self.helm.run(&["uninstall", "restante", "--namespace", SYSTEM, "--wait", "--timeout", "3m"])?;
        self.kubectl.run(&["get", "crd", "messagechannels.restante.dev", "messagebrokers.restante.dev"])?;
        let claims = self.kubectl.json(&["-n", SYSTEM, "get", "pvc"])?;
        ensure!(
            claims["items"].as_array().is_some_and(|claims| claims.len() == 1),
            "the volume is gone: {claims}"
        );
        self.kubectl.run(&["-n", USERS, "get", "messagechannel", "left-behind"])?;
        for namespace in [USERS, SYSTEM] {
            self.kubectl.run(&["delete", "namespace", namespace, "--timeout=60s"])?;
        }
        Ok(())
    }
}

/// A channel in the users' namespace.
pub(crate) fn channel(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: restante.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: {name}, namespace: {USERS}}}\n\
         spec:\n  access: {{anonymous: true}}\n{spec}"
    )
}

/// Whether a pod is Ready.
pub(crate) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition["status"] == "True")
}

pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}
