//! The chart rendered by `helm template` and checked by `helm lint`, without a cluster.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use restante_tests::{
    config::Config,
    helm::Helm,
    requirements,
    tools::{Tools, workspace},
};
use serde_json::Value;

pub(crate) fn chart() -> String {
    workspace().join("charts/restante").display().to_string()
}

/// `helm`, and a folder for its values files.
pub(crate) struct Rendering {
    helm: Helm,
    folder: tempfile::TempDir,
}

impl Rendering {
    /// `None` without root, because then the tools are not built: the test must skip itself.
    pub(crate) fn new() -> Result<Option<Self>> {
        if !requirements::has_root() {
            return Ok(None);
        }
        let tools = Tools::find(&Config::from_environment())?;
        let folder = tempfile::tempdir()?;
        Ok(Some(Self { helm: Helm::without_cluster(&tools, folder.path().join("helm")), folder }))
    }

    fn file(&self, values: &str) -> Result<PathBuf> {
        let path = self.folder.path().join("values.yaml");
        std::fs::write(&path, values)?;
        Ok(path)
    }

    /// The output of `helm template` for the release `restante` in the namespace `mq`.
    pub(crate) fn template(&self, values: &str) -> Result<String> {
        self.template_as("mq", "restante", values)
    }

    /// The output of `helm template` for any release.
    pub(crate) fn template_as(&self, namespace: &str, release: &str, values: &str) -> Result<String> {
        let file = self.file(values)?.display().to_string();
        self.helm.run(&["template", release, &chart(), "--namespace", namespace, "--values", &file])
    }

    /// Checks that `helm lint` and `helm template` accept these values.
    pub(crate) fn accepts(&self, values: &str) -> Result<()> {
        let file = self.file(values)?.display().to_string();
        self.helm
            .run(&["lint", "--strict", &chart(), "--values", &file])
            .with_context(|| values.to_owned())?;
        self.template(values).with_context(|| values.to_owned()).map(drop)
    }

    /// Checks that `helm template` refuses these values with a message that contains `says`.
    pub(crate) fn refuses(&self, values: &str, says: &str) -> Result<()> {
        match self.template(values) {
            Ok(_) => bail!("these values were accepted:\n{values}"),
            Err(error) => {
                let said = format!("{error:#}");
                ensure!(said.contains(says), "the refusal of these values lacks {says:?}:\n{values}\n{said}");
                Ok(())
            }
        }
    }

    /// The objects of the chart rendered with these values.
    pub(crate) fn objects(&self, values: &str) -> Result<Vec<Value>> {
        objects(&self.template(values)?)
    }
}

/// Parses the output of `helm template`.
pub(crate) fn objects(rendered: &str) -> Result<Vec<Value>> {
    let documents = serde_saphyr::from_multiple::<Value>(rendered)?;
    Ok(documents.into_iter().filter(|object| !object.is_null()).collect())
}

/// The object of this kind and name.
pub(crate) fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.with_context(|| format!("there is no {kind} {name}"))
}

/// The MessageBroker that the operator creates from the ConfigMap.
pub(crate) fn default_broker(objects: &[Value]) -> Result<Value> {
    let config_map = object(objects, "ConfigMap", "restante-default-broker")?;
    let text = config_map["data"]["broker.yaml"].as_str().context("the ConfigMap has no broker.yaml")?;
    Ok(serde_saphyr::from_str(text)?)
}
