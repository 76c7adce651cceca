//! A Kubernetes cluster of one node: etcd, API server, controllers, containerd, kubelet and kube-proxy in one network
//! namespace, ready in ten seconds.
//!
//! [`Cluster::start`] runs on a thread that [`isolate`](crate::isolation::isolate) has moved into the cluster's
//! namespaces. Tests do not call it. They start the program `control-plane` through
//! [`cluster_process`](crate::cluster_process), which stops the cluster when they end.

pub mod api_server;
pub mod containerd;
pub mod context;
pub mod controllers;
pub mod etcd;
pub mod folder;
pub mod info;
pub mod kube_proxy;
pub mod kubeconfig;
pub mod kubelet;
pub mod network;
pub mod volumes;

use std::{sync::Arc, time::Duration};

use anyhow::Result;

use self::{context::Context, folder::Folder, info::ClusterInfo};
use crate::{
    certificates::{Authority, Subject},
    images,
    kubectl::Kubectl,
    process::Process,
    tools::Tools,
    wait,
};

/// Time limit. On two idle cores, the node takes 3 s.
const NODE_READY_WITHIN: Duration = Duration::from_secs(90);

/// Time for a component from SIGTERM to SIGKILL. Its state is discarded, so a graceful shutdown does not matter.
const STOP_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Cluster {
    /// In the order of their shutdown.
    components: Vec<Process>,
    context: Context,
}

impl Cluster {
    /// Starts everything and waits until pods can run.
    pub fn start(name: &str, tools: Tools, folder: Arc<Folder>, pause: &images::Image) -> Result<Self> {
        network::forward()?;
        let (node, api) = (network::NODE.to_string(), network::API_SERVICE.to_string());
        let names = ["127.0.0.1", "localhost", &node, &api, network::NODE_NAME, "kubernetes.default.svc"];
        let authority = Authority::create(folder.path(), &names)?;
        let admin = Subject { user: "admin", group: Some("system:masters") };
        let kubeconfig = kubeconfig::write(&folder, &authority, "admin", admin)?;
        let kubectl = Kubectl::here(&tools, kubeconfig);
        let context = Context { tools, folder, authority, kubectl, name: name.to_owned() };
        let mut cluster = Self { components: Vec::new(), context };
        // If a component fails to start, dropping the cluster stops the others.
        cluster.start_components(pause)?;
        Ok(cluster)
    }

    fn start_components(&mut self, pause: &images::Image) -> Result<()> {
        let Self { components, context } = self;
        components.insert(0, etcd::start(context)?);
        components.insert(0, api_server::start(context)?);
        components.insert(0, controllers::start_controller_manager(context)?);
        components.insert(0, controllers::start_scheduler(context)?);
        components.insert(0, containerd::start(context)?);
        pause.import(&context.tools, &containerd::socket(context))?;
        components.insert(0, kubelet::start(context)?);
        components.insert(0, kube_proxy::start(context)?);
        volumes::create(context)?;
        wait::until("the node to be ready", NODE_READY_WITHIN, || {
            components.iter_mut().try_for_each(Process::check_running)?;
            context.kubectl.run(&[
                "wait",
                "--for=condition=Ready",
                "--timeout=1s",
                "node",
                network::NODE_NAME,
            ])?;
            // Pods are refused until their namespace has a ServiceAccount.
            context.kubectl.run(&["get", "serviceaccount", "default"])
        })
        .map(drop)
    }

    /// Information to use the cluster from outside.
    pub fn info(&self) -> ClusterInfo {
        let Context { tools, folder, name, .. } = &self.context;
        ClusterInfo {
            network_namespace: name.clone(),
            kubeconfig: folder.path().join("admin.kubeconfig"),
            tools: tools.clone(),
            containerd_socket: containerd::socket(&self.context),
            folder: folder.path().to_owned(),
        }
    }

    /// Returns an error if a component has ended.
    pub fn check_running(&mut self) -> Result<()> {
        self.components.iter_mut().try_for_each(Process::check_running)
    }

    /// Stops the cluster: first the components that start pods, then the pods, then the rest. The API server stops
    /// before etcd, without which it would not end.
    pub fn stop(&mut self) -> Result<()> {
        let mut first = Ok(());
        for mut component in self.components.drain(..) {
            if component.is("containerd") {
                first = first.and(containerd::end_all(&self.context));
            }
            first = first.and(component.terminate(STOP_WITHIN).map(drop));
        }
        first
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.components.is_empty() {
            // An error cannot be reported here; the next run removes the rest.
            let _ = self.stop();
        }
    }
}
