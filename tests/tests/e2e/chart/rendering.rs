//! The chart as `helm template` and `helm lint` see it: no cluster, and no Kubernetes but the command `helm`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use restante_tests::{
    config::Config,
    helm::Helm,
    requirements,
    tools::{Tools, workspace},
};
use serde_json::Value;

/// The chart's folder.
pub(crate) fn chart() -> String {
    workspace().join("charts/restante").display().to_string()
}

/// `helm` and a folder for the files that it is given.
pub(crate) struct Rendering {
    helm: Helm,
    folder: tempfile::TempDir,
}

impl Rendering {
    /// None without root, for which the tools are not built; the test is told to skip itself.
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

    /// What `helm template` prints for the release `restante` in the namespace `mq`, with these values.
    pub(crate) fn template(&self, values: &str) -> Result<String> {
        self.template_as("mq", "restante", values)
    }

    /// The same for another release.
    pub(crate) fn template_as(&self, namespace: &str, release: &str, values: &str) -> Result<String> {
        let file = self.file(values)?.display().to_string();
        self.helm.run(&["template", release, &chart(), "--namespace", namespace, "--values", &file])
    }

    /// That `helm lint` and `helm template` take these values.
    pub(crate) fn accepts(&self, values: &str) -> Result<()> {
        let file = self.file(values)?.display().to_string();
        self.helm
            .run(&["lint", "--strict", &chart(), "--values", &file])
            .with_context(|| values.to_owned())?;
        self.template(values).with_context(|| values.to_owned()).map(drop)
    }

    /// That `helm template` refuses these values, and says this.
    pub(crate) fn refuses(&self, values: &str, says: &str) -> Result<()> {
        match self.template(values) {
            Ok(_) => bail!("these values were taken:\n{values}"),
            Err(error) => {
                let said = format!("{error:#}");
                ensure!(
                    said.contains(says),
                    "of these values, helm does not say {says:?}:\n{values}\n{said}"
                );
                Ok(())
            }
        }
    }

    /// The objects of a rendered chart.
    pub(crate) fn objects(&self, values: &str) -> Result<Vec<Value>> {
        objects(&self.template(values)?)
    }
}

/// The objects of what `helm template` prints.
pub(crate) fn objects(rendered: &str) -> Result<Vec<Value>> {
    let documents = serde_saphyr::from_multiple::<Value>(rendered)?;
    Ok(documents.into_iter().filter(|object| !object.is_null()).collect())
}

/// The one object of this kind and name.
pub(crate) fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.with_context(|| format!("there is no {kind} {name}"))
}

/// The MessageBroker that the operator is to make.
pub(crate) fn default_broker(objects: &[Value]) -> Result<Value> {
    let config_map = object(objects, "ConfigMap", "restante-default-broker")?;
    let text = config_map["data"]["broker.yaml"].as_str().context("the ConfigMap has no broker.yaml")?;
    Ok(serde_saphyr::from_str(text)?)
}
