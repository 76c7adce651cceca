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

/// Limit of waits for operations that take seconds on two idle cores.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// Values of a further release in a cluster: it installs no definitions, and is not the default operator.
pub(crate) const BESIDE_OTHERS: &str = "crds: {install: false}\noperator: {default: false}\n";

/// A cluster without a release and definitions, with the images on its node. `None` without root.
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

/// A release, identified by its name and namespace. It need not be installed.
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

    /// Runs `helm` with these arguments in the release's namespace.
    pub(crate) fn helm(&self, words: &[&str]) -> Result<String> {
        self.helm.run(&[words, &["--namespace", &self.namespace]].concat())
    }

    /// Installs the release, waits for its operator, and returns Helm's notes.
    pub(crate) fn install(&self, values: &str) -> Result<String> {
        self.with_values("install", values, &["--create-namespace", "--wait", "--timeout=3m"])
    }

    /// Installs the release without waiting.
    pub(crate) fn install_without_waiting(&self, values: &str) -> Result<String> {
        self.with_values("install", values, &["--create-namespace"])
    }

    /// Upgrades the release to exactly these values, waits for its operator, and returns Helm's notes.
    pub(crate) fn upgrade(&self, values: &str) -> Result<String> {
        self.with_values("upgrade", values, &["--reset-values", "--wait", "--timeout=3m"])
    }

    /// Upgrades the release to exactly these values without waiting.
    pub(crate) fn upgrade_without_waiting(&self, values: &str) -> Result<String> {
        self.with_values("upgrade", values, &["--reset-values"])
    }

    fn with_values(&self, verb: &str, values: &str, flags: &[&str]) -> Result<String> {
        let file = self.cluster.folder.join(format!("values-{}-{}.yaml", self.namespace, self.name));
        fs::write(&file, values)?;
        let (chart, file) = (chart(), file.display().to_string());
        self.helm(&[&[verb, &self.name, &chart, "--values", &file], flags].concat())
    }

    /// Rolls the release back to an earlier revision.
    pub(crate) fn roll_back(&self, revision: u32) -> Result<()> {
        self.helm(&["rollback", &self.name, &revision.to_string(), "--wait", "--timeout=3m"]).map(drop)
    }

    /// Uninstalls the release, and waits until its objects are deleted.
    pub(crate) fn uninstall(&self) -> Result<String> {
        self.helm(&["uninstall", &self.name, "--wait", "--timeout=2m"])
    }

    /// An object in the release's namespace.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Result<Value> {
        self.kubectl().json(&["-n", &self.namespace, "get", kind, name])
    }

    /// Waits with `kubectl wait` until a MessageBroker is Ready.
    pub(crate) fn broker_becomes_ready(&self, name: &str) -> Result<()> {
        let broker = format!("messagebroker/{name}");
        self.kubectl().wait_for("create", SOON, &["-n", &self.namespace, &broker])?;
        self.kubectl().wait_for("condition=Ready", SOON, &["-n", &self.namespace, &broker])
    }

    /// The objects in the cluster that Helm created for this release, by kind, namespace and name.
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

/// Creates a namespace for channels.
pub(crate) fn create_namespace(kubectl: &Kubectl, name: &str) -> Result<()> {
    kubectl.run(&["create", "namespace", name]).map(drop)
}
