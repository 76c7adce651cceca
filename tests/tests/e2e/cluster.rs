//! The test cluster has the properties that the other tests rely on, and leaves nothing behind.

use std::{fs, net::SocketAddrV4, os::unix::fs::MetadataExt, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use restante_tests::{
    cgroups, client_system,
    cluster::{containerd, info::ClusterInfo, network},
    cluster_process::ClusterProcess,
    command::{command, run},
    images::PAUSE,
    leftovers,
    netns::{self, NetworkNamespace},
    requirements, wait,
};
use serde_json::{Value, json};

use crate::shared;

/// A pod takes two seconds on two idle cores.
const POD_READY_WITHIN: Duration = Duration::from_secs(120);
const API: SocketAddrV4 = SocketAddrV4::new(network::NODE, network::API_PORT);

/// A StatefulSet as restricted as the chart's pods: a user, no capabilities, a read-only root, and a writable volume.
fn restricted_stateful_set(namespace: &str) -> String {
    let container = json!({
        "name": "pause",
        "image": PAUSE,
        "imagePullPolicy": "Never",
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    let pod = json!({
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
    });
    let claim = json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "held", "namespace": namespace},
        "spec": {
            "serviceName": "held",
            "selector": {"matchLabels": {"app": "held"}},
            "template": {"metadata": {"labels": {"app": "held"}}, "spec": pod},
            "volumeClaimTemplates": [claim],
        },
    })
    .to_string()
}

/// Creates a namespace that admits only restricted pods, with the StatefulSet, and waits for its pod.
fn run_pod(cluster: &ClusterInfo, namespace: &str) -> Result<()> {
    let kubectl = cluster.kubectl();
    let restricted = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    });
    kubectl.apply(&restricted.to_string())?;
    kubectl.apply(&restricted_stateful_set(namespace))?;
    let words = ["-n", namespace, "get", "statefulset", "held"];
    kubectl.until("the pod to be ready", POD_READY_WITHIN, &words, |set| {
        ensure!(set["status"]["readyReplicas"] == 1, "its status is {}", set["status"]);
        Ok(())
    })
}

/// Leftovers of a stopped cluster and these containers on the machine.
fn leftovers_of(cluster: &ClusterInfo, containers: &[String]) -> Result<Vec<String>> {
    let folder = cluster.folder.display().to_string();
    let mut left: Vec<String> = Vec::new();
    left.extend(cluster.folder.exists().then(|| folder.clone()));
    let namespace = netns::path(&cluster.network_namespace);
    left.extend(namespace.exists().then(|| namespace.display().to_string()));
    let groups = containers.iter().flat_map(|container| cgroups::of_container(container));
    left.extend(groups.map(|group| group.display().to_string()));
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    left.extend(mounts.lines().filter(|line| line.contains(&folder)).map(str::to_owned));
    for process in fs::read_dir("/proc")?.flatten().map(|entry| entry.path()) {
        // The process may have ended since.
        let read = |name: &str| fs::read(process.join(name)).unwrap_or_default();
        let words = String::from_utf8_lossy(&[read("cmdline"), read("cgroup")].concat()).replace('\0', " ");
        let of_container = containers.iter().any(|container| words.contains(container));
        left.extend((words.contains(&folder) || of_container).then_some(words));
    }
    Ok(left)
}

fn nothing_is_left_of(cluster: &ClusterInfo, containers: &[String]) -> Result<()> {
    wait::until("everything to be gone", Duration::from_secs(20), || {
        match leftovers_of(cluster, containers)? {
            left if left.is_empty() => Ok(()),
            left => Err(anyhow!(left.join("\n"))),
        }
    })
}

#[test]
fn a_restricted_stateful_set_with_a_volume_claim_becomes_ready() -> Result<()> {
    let Some(cluster) = shared::cluster() else { return Ok(()) };
    run_pod(cluster, "held-pod")?;
    let claim = cluster.kubectl().json(&["-n", "held-pod", "get", "pvc", "data-held-0"])?;
    assert_eq!(claim["status"]["phase"], "Bound");
    cluster.kubectl().run(&["delete", "namespace", "held-pod", "--timeout=60s"])?;
    Ok(())
}

#[test]
fn the_api_server_answers_only_in_its_network_namespace() -> Result<()> {
    let Some(cluster) = shared::cluster() else { return Ok(()) };
    assert_eq!(cluster.kubectl().run(&["get", "--raw", "/readyz"])?, "ok");
    assert!(client_system::reaches(&cluster.network_namespace, API)?);
    let bystander = NetworkNamespace::create("bystander")?;
    assert!(!client_system::connects(bystander.name(), API)?);
    // Do not try to connect from the machine's own namespace: the machine may have a network with this address.
    // Instead, check that the cluster's namespace has no id there. The kernel assigns one if two namespaces share a
    // pair of interfaces.
    let namespaces = run(&mut command("ip", ["-json", "netns", "list"]))?;
    let namespaces: Value = serde_json::from_str(&namespaces)?;
    let is_ours = |namespace: &&Value| namespace["name"] == *cluster.network_namespace;
    let ours = namespaces.as_array().and_then(|list| list.iter().find(is_ours));
    let ours = ours.context("ip does not list the cluster's namespace")?;
    assert_eq!(ours.get("id"), None, "an interface of the machine leads into the cluster");
    Ok(())
}

#[test]
fn a_pod_with_the_brokers_user_can_write_to_its_volume() -> Result<()> {
    let Some(cluster) = shared::cluster() else { return Ok(()) };
    for volume in fs::read_dir(cluster.folder.join("volumes"))? {
        let metadata = volume?.metadata()?;
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (65532, 0o700));
    }
    Ok(())
}

#[test]
fn two_clusters_run_at_the_same_time_and_a_stopped_one_leaves_nothing_behind() -> Result<()> {
    let Some(shared) = shared::cluster() else { return Ok(()) };
    let mut other = ClusterProcess::start(shared::program())?;
    let cluster = other.info.clone();
    run_pod(&cluster, "here")?;
    let containers = containerd::containers(&cluster.folder);
    assert_eq!(containers.len(), 2, "the pod and its container");
    assert!(!leftovers_of(&cluster, &containers)?.is_empty(), "no trace of a running cluster was found");
    let namespaces = shared.kubectl().run(&["get", "namespaces", "-o", "name"])?;
    assert!(!namespaces.contains("namespace/here"), "{namespaces}");
    other.stop()?;
    nothing_is_left_of(&cluster, &containers)
}

#[test]
fn the_next_run_removes_the_leftovers_of_a_killed_one() -> Result<()> {
    if !requirements::has_root() {
        return Ok(());
    }
    let killed = ClusterProcess::start(shared::program())?;
    let cluster = killed.info.clone();
    run_pod(&cluster, "here")?;
    let containers = containerd::containers(&cluster.folder);
    assert_eq!(containers.len(), 2, "the pod and its container");
    killed.kill()?;
    assert!(!leftovers_of(&cluster, &containers)?.is_empty());
    leftovers::clear()?;
    nothing_is_left_of(&cluster, &containers)
}
