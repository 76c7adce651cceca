//! A release of the chart in a cluster.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use restante_tests::{
    cluster::info::ClusterInfo, cluster_process::ClusterProcess, helm::Helm, images, kubectl::Kubectl,
    requirements,
};
use serde_json::Value;

use super::rendering::chart;
use crate::shared;

/// How long anything may take that takes seconds on two idle cores.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// Beside others in a cluster that has the definitions already: it makes none, and is nobody's default operator.
pub(crate) const BESIDE_OTHERS: &str = "crds: {install: false}\noperator: {default: false}\n";

/// A cluster that nothing is installed in, with the images on its node; none without root.
pub(crate) fn empty_cluster() -> Result<Option<ClusterProcess>> {
    if !requirements::has_root() {
        return Ok(None);
    }
    let cluster = ClusterProcess::start(shared::program())?;
    for image in images::restante()? {
        image.import(&cluster.info.tools, &cluster.info.containerd_socket)?;
    }
    Ok(Some(cluster))
}

/// A release, by its name and namespace, whether it is installed or not.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) cluster: ClusterInfo,
    pub(crate) namespace: String,
    name: String,
    helm: Helm,
}

impl Release {
    /// The release `restante`.
    pub(crate) fn new(cluster: &ClusterInfo, namespace: &str) -> Self {
        Self::named(cluster, namespace, "restante")
    }

    pub(crate) fn named(cluster: &ClusterInfo, namespace: &str, name: &str) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self { cluster: cluster.clone(), namespace, name, helm: cluster.helm() }
    }

    /// `kubectl` as the cluster's administrator.
    pub(crate) fn kubectl(&self) -> Kubectl {
        self.cluster.kubectl()
    }

    /// `helm` with these words, and this release's namespace.
    pub(crate) fn helm(&self, words: &[&str]) -> Result<String> {
        self.helm.run(&[words, &["--namespace", &self.namespace]].concat())
    }

    /// Installs it, and waits for its operator; what the notes say.
    pub(crate) fn install(&self, values: &str) -> Result<String> {
        self.with_values("install", values, &["--create-namespace", "--wait", "--timeout=3m"])
    }

    /// Installs it and waits for nothing.
    pub(crate) fn install_without_waiting(&self, values: &str) -> Result<String> {
        self.with_values("install", values, &["--create-namespace"])
    }

    /// Upgrades it to these values alone, and waits for its operator.
    pub(crate) fn upgrade(&self, values: &str) -> Result<String> {
        self.with_values("upgrade", values, &["--reset-values", "--wait", "--timeout=3m"])
    }

    /// The same, and waits for nothing.
    pub(crate) fn upgrade_without_waiting(&self, values: &str) -> Result<String> {
        self.with_values("upgrade", values, &["--reset-values"])
    }

    fn with_values(&self, verb: &str, values: &str, flags: &[&str]) -> Result<String> {
        let file = self.cluster.folder.join(format!("values-{}-{}.yaml", self.namespace, self.name));
        fs::write(&file, values)?;
        let (chart, file) = (chart(), file.display().to_string());
        self.helm(&[&[verb, &self.name, &chart, "--values", &file], flags].concat())
    }

    /// Back to an earlier revision.
    pub(crate) fn roll_back(&self, revision: u32) -> Result<()> {
        self.helm(&["rollback", &self.name, &revision.to_string(), "--wait", "--timeout=3m"]).map(drop)
    }

    /// Uninstalls it, and waits until everything of it is gone.
    pub(crate) fn uninstall(&self) -> Result<String> {
        self.helm(&["uninstall", &self.name, "--wait", "--timeout=2m"])
    }

    /// An object of the release's namespace.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Result<Value> {
        self.kubectl().json(&["-n", &self.namespace, "get", kind, name])
    }

    /// What `kubectl wait` says of a MessageBroker when it is Ready as its spec is now.
    pub(crate) fn broker_becomes_ready(&self, name: &str) -> Result<()> {
        let broker = format!("messagebroker/{name}");
        self.kubectl().wait_for("create", SOON, &["-n", &self.namespace, &broker])?;
        self.kubectl().wait_for("condition=Ready", SOON, &["-n", &self.namespace, &broker])
    }

    /// All that there is in the cluster that Helm made for this release, by kind, namespace and name.
    pub(crate) fn objects(&self) -> Result<Vec<String>> {
        let kinds =
            "deployments,jobs,serviceaccounts,configmaps,roles,rolebindings,clusterroles,clusterrolebindings";
        let selector = format!("app.kubernetes.io/managed-by=Helm,app.kubernetes.io/instance={}", self.name);
        let list = self.kubectl().json(&["get", kinds, "--all-namespaces", "-l", &selector])?;
        let items = list["items"].as_array().context("a list has items")?;
        let of_this_release = items.iter().filter(|object| {
            let metadata = &object["metadata"];
            let released_in = &metadata["annotations"]["meta.helm.sh/release-namespace"];
            metadata["namespace"] == *self.namespace
                || released_in == &self.namespace
                || metadata["name"]
                    .as_str()
                    .is_some_and(|name| name.ends_with(&format!(":{}", self.namespace)))
        });
        Ok(of_this_release
            .map(|object| {
                let metadata = &object["metadata"];
                format!("{} {} {}", object["kind"], metadata["namespace"], metadata["name"])
            })
            .collect())
    }
}

/// A namespace for channels.
pub(crate) fn create_namespace(kubectl: &Kubectl, name: &str) -> Result<()> {
    kubectl.run(&["create", "namespace", name]).map(drop)
}
