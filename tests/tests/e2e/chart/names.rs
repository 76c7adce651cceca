//! Names that cannot collide: of the objects of two releases, and of a release and any MessageBroker.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    release::{BESIDE_OTHERS, Release},
    rendering::{Rendering, objects},
};
use crate::shared;

/// Kinds of the children of a MessageBroker, whose names are `restante-<its name>`, with or without a suffix.
const CHILDREN: [&str; 4] = ["ServiceAccount", "Secret", "Service", "StatefulSet"];

#[test]
fn no_object_of_a_release_has_a_name_that_a_message_broker_could_use() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    let overrides =
        ["", "fullnameOverride: restante-x", "nameOverride: control", "serviceAccount: {name: restante}"];
    for release in ["restante", "restante-x", "x", "a-restante", "operator"] {
        for values in overrides {
            let values = format!("uninstallHook: {{enabled: true}}\n{values}\n");
            for object in objects(&helm.template_as("mq", release, &values)?)? {
                let (kind, name) = (&object["kind"], object["metadata"]["name"].as_str().unwrap_or_default());
                let could_be_a_child =
                    CHILDREN.iter().any(|child| kind == child) && name.starts_with("restante-");
                ensure!(!could_be_a_child, "{kind} {name} of release {release} with {values}");
            }
        }
    }
    helm.refuses("serviceAccount: {name: restante-operator}", "choose a name without the prefix restante-")
}

#[test]
fn a_second_release_in_a_namespace_collides_with_the_role_of_the_first() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    let named = |release: &str| -> Result<Vec<String>> {
        let objects = objects(&helm.template_as("mq", release, "operator: {default: false}")?)?;
        Ok(objects.iter().map(name).collect())
    };
    let (one, other) = (named("one")?, named("other")?);
    ensure!(one.contains(&"Role mq/restante-operator".to_owned()), "{one:?}");
    ensure!(other.contains(&"Role mq/restante-operator".to_owned()), "{other:?}");
    Ok(())
}

#[test]
fn releases_in_two_namespaces_share_only_the_names_of_the_definitions_and_the_default_operator() -> Result<()>
{
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    // Namespace and release joined by a hyphen are the same: a-b-restante.
    let one = helm.names_in("a", "b-restante")?;
    let other = helm.names_in("a-b", "restante")?;
    let shared: Vec<&String> = one.iter().filter(|name| other.contains(name)).collect();
    let expected = [
        "CustomResourceDefinition /messagebrokers.restante.dev",
        "CustomResourceDefinition /messagechannels.restante.dev",
        "ClusterRole /restante-default-operator",
    ];
    ensure!(
        shared.len() == expected.len()
            && expected.iter().all(|name| shared.iter().any(|shared| shared == name)),
        "{shared:?}"
    );
    Ok(())
}

impl Rendering {
    /// The names of a release whose dashboard is in a namespace that it shares with another release.
    fn names_in(&self, namespace: &str, release: &str) -> Result<Vec<String>> {
        let values = "{uninstallHook: {enabled: true}, dashboard: {namespace: monitoring}}";
        let objects = objects(&self.template_as(namespace, release, values)?)?;
        Ok(objects.iter().map(name).collect())
    }
}

fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!(
        "{} {}/{}",
        text(&object["kind"]),
        text(&object["metadata"]["namespace"]),
        text(&object["metadata"]["name"])
    )
}

#[test]
fn a_message_broker_of_any_name_collides_with_no_object_of_the_release() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let release = Release::new(cluster, "names");
    let kubectl = release.kubectl();
    release.install(&format!("{BESIDE_OTHERS}broker: {{enabled: false}}\n"))?;
    let before = release.objects()?;
    let account = release.get("serviceaccount", "operator-restante")?;
    // The names of the release's own objects, with and without the prefix of the children of MessageBrokers.
    let names = ["restante", "operator", "operator-restante", "default", "default-broker"];
    for name in names {
        kubectl.apply(&format!(
            "apiVersion: restante.dev/v1alpha1\nkind: MessageBroker\nmetadata: {{name: {name}, namespace: names}}\nspec: {{}}\n"
        ))?;
    }
    for name in names {
        release.broker_becomes_ready(name)?;
    }
    ensure!(release.objects()? == before, "{before:?} became {:?}", release.objects()?);
    ensure!(
        release.get("serviceaccount", "operator-restante")? == account,
        "the operator's ServiceAccount was changed"
    );
    for name in names {
        kubectl.run(&["-n", "names", "delete", "messagebroker", name, "--timeout=60s"])?;
    }
    ensure!(release.objects()? == before, "{before:?} became {:?}", release.objects()?);
    // The operator still works: it serves a new MessageBroker.
    kubectl.apply("apiVersion: restante.dev/v1alpha1\nkind: MessageBroker\nmetadata: {name: operator, namespace: names}\nspec: {}\n")?;
    release.broker_becomes_ready("operator")?;
    release.uninstall()?;
    ensure!(release.objects()?.is_empty(), "left behind: {:?}", release.objects()?);
    kubectl.run(&["delete", "namespace", "names", "--timeout=60s"]).map(drop)
}
