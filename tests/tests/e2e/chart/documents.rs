//! Runs the commands of README.md and docs/install.md unchanged in a shell, and checks their effects.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use restante_tests::{
    cluster::info::ClusterInfo,
    command::{command, run},
    config::Config,
    images, netns,
    tools::workspace,
};

use super::release::{Release, SOON, create_namespace, empty_cluster};

/// The repositories that the documents name.
const REGISTRY: &str = "registry.example.com/restante";

/// A shell at the root of the repository.
struct Shell<'a> {
    cluster: &'a ClusterInfo,
}

impl Shell<'_> {
    /// Runs the commands of a section of a document, up to its first subsection.
    fn run(&self, document: &str, heading: &str) -> Result<String> {
        let text = fs::read_to_string(workspace().join(document))?;
        let (_, section) = text
            .split_once(&format!("\n{heading}\n"))
            .with_context(|| format!("{document} has no {heading}"))?;
        let section = section.split("\n## ").next().unwrap_or_default();
        let section = section.split("\n### ").next().unwrap_or_default();
        // Text outside and inside fences alternates, beginning outside. Skip port-forward, which never ends.
        let blocks = section.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
        let commands: Vec<&str> = blocks.filter(|block| !block.contains("port-forward")).collect();
        ensure!(!commands.is_empty(), "{heading} of {document} has no commands");
        let mut shell = netns::command_in(&self.cluster.network_namespace, "bash");
        shell.args(["-euo", "pipefail", "-c", &commands.concat()]).current_dir(self.folder()?);
        let tools = self.cluster.tools.folder().display();
        let path = format!("{tools}:{}", Config::from_environment().path());
        shell.env("PATH", path);
        shell.env("KUBECONFIG", &self.cluster.kubeconfig).env("HOME", self.folder()?);
        shell.env("REGISTRY_USER", "somebody").env("REGISTRY_PASSWORD", "secret");
        run(&mut shell).with_context(|| format!("{heading} of {document}"))
    }

    /// A folder with the charts and examples of the repository, where the commands can write files.
    fn folder(&self) -> Result<std::path::PathBuf> {
        let folder = self.cluster.folder.join("clone");
        if !folder.exists() {
            fs::create_dir_all(&folder)?;
            for name in ["charts", "examples"] {
                std::os::unix::fs::symlink(workspace().join(name), folder.join(name))?;
            }
        }
        Ok(folder)
    }

    /// Tags the images with the names in the documents, as if they came from the registry.
    fn name_images(&self) -> Result<()> {
        for image in images::restante()? {
            let name = image.name.replace("restante.local", REGISTRY);
            let mut ctr: Command = command(
                self.cluster.tools.path("ctr"),
                ["--namespace", "k8s.io", "images", "tag", &image.name, &name],
            );
            run(ctr.env("CONTAINERD_ADDRESS", &self.cluster.containerd_socket))?;
        }
        Ok(())
    }
}

#[test]
fn the_commands_of_the_documents_install_serve_and_remove_everything() -> Result<()> {
    let Some(cluster) = empty_cluster()? else { return Ok(()) };
    let shell = Shell { cluster: &cluster.info };
    shell.name_images()?;
    let release = Release::new(&cluster.info, "restante-system");
    let kubectl = release.kubectl();

    let said = shell.run("README.md", "## Run it on Kubernetes")?;
    ensure!(said.contains("acme/orders"), "{said}");
    shell.run("docs/install.md", "## Images")?;
    let words = ["-n", "restante-system", "get", "pod", "restante-default-0"];
    kubectl.until("the broker's pod to have the secret", SOON, &words, |pod| {
        let secrets = &pod["spec"]["imagePullSecrets"];
        ensure!(secrets[0]["name"] == "registry", "they are {secrets}");
        Ok(())
    })?;
    release.broker_becomes_ready("default")?;
    shell.run("docs/install.md", "## Several releases")?;

    shell.run("docs/install.md", "## Removing a release")?;
    let left = release.objects()?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    kubectl.run(&["-n", "restante-system", "get", "pvc", "data-restante-default-0"])?;
    let broker = ["-n", "acme", "get", "mc", "orders", "-o", "jsonpath={.status.broker}"];
    ensure!(kubectl.run(&broker)? == "restante-system/default");
    shell.run("docs/install.md", "### Handing channels over")?;
    let broker = kubectl.run(&broker)?;
    ensure!(broker.is_empty(), "the status names {broker}");

    // Install the rendered chart, and remove it without an operator that would remove the finalizers.
    kubectl.run(&["delete", "namespace", "restante-system", "--timeout=60s"])?;
    shell.run("docs/install.md", "## Rendered charts: `helm template`, kustomize")?;
    kubectl.run(&[
        "-n",
        "restante-system",
        "rollout",
        "status",
        "deployment/restante-operator",
        "--timeout=120s",
    ])?;
    release.broker_becomes_ready("default")?;
    let channel = ["-n", "acme", "messagechannel/orders"];
    kubectl.wait_for("condition=Ready", SOON, &channel)?;
    shell.run("docs/install.md", "### Removing what was rendered")?;
    // A finalizer of another operator comes first in the list, and begins like ours.
    let theirs = "restante.dev/restante-system-2";
    let patch = format!(r#"[{{"op": "add", "path": "/metadata/finalizers/0", "value": "{theirs}"}}]"#);
    kubectl.run(&["-n", "acme", "patch", "mc", "orders", "--type=json", "-p", &patch])?;
    kubectl.run(&["delete", "namespace", "acme", "--wait=false"])?;
    shell.run("docs/install.md", "### Removing finalizers by hand")?;
    let left = kubectl.json(&["-n", "acme", "get", "mc", "orders"])?["metadata"]["finalizers"].clone();
    ensure!(left == serde_json::json!([theirs]), "the finalizers are {left}");
    let nothing = r#"{"metadata": {"finalizers": null}}"#;
    kubectl.run(&["-n", "acme", "patch", "mc", "orders", "--type=merge", "-p", nothing])?;
    kubectl.wait_for("delete", SOON, &["namespace/acme"])?;
    Ok(())
}

#[test]
fn the_commands_of_the_documents_remove_everything_including_messages() -> Result<()> {
    let Some(cluster) = empty_cluster()? else { return Ok(()) };
    let shell = Shell { cluster: &cluster.info };
    let release = Release::new(&cluster.info, "restante-system");
    let kubectl = release.kubectl();
    release.install("")?;
    release.broker_becomes_ready("default")?;
    create_namespace(&kubectl, "acme")?;
    super::messages::Channel::full(&release, "default", ("acme", "orders"), "{name: default}")?;
    shell.run("docs/install.md", "### Removing everything, messages included")?;
    kubectl.run(&["delete", "namespace", "acme", "--timeout=60s"])?;
    let left = release.objects()?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    for definition in ["messagechannels.restante.dev", "messagebrokers.restante.dev"] {
        ensure!(kubectl.run(&["get", "crd", definition]).is_err(), "{definition} is left");
    }
    Ok(())
}
