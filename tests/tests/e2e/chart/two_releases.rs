//! Two releases in one cluster divide its channels, and neither writes to objects of the other.

use anyhow::{Context, Result, bail, ensure};
use restante_tests::{kubectl::Kubectl, wait};
use serde_json::Value;

use super::{
    messages::Channel,
    release::{BESIDE_OTHERS, Release, SOON, create_namespace, empty_cluster},
};

/// Number of edits of each channel that change only an annotation.
const TOUCHES: usize = 10;

/// The metrics of a release's operator.
struct Operator<'a>(&'a Release);

impl Operator<'_> {
    /// The sum of the samples of a metric with this label value.
    fn metric(&self, name: &str, label: &str) -> Result<f64> {
        let pods = self.0.kubectl().run(&[
            "-n",
            &self.0.namespace,
            "get",
            "pods",
            "-l",
            "app.kubernetes.io/component=operator",
            "-o",
            "jsonpath={.items[*].metadata.name}",
        ])?;
        let path = format!("/api/v1/namespaces/{}/pods/{pods}:8081/proxy/metrics", self.0.namespace);
        let page = self.0.kubectl().run(&["get", "--raw", &path])?;
        let samples = page.lines().filter(|line| line.starts_with(name) && line.contains(label));
        samples.map(|line| Ok(line.rsplit(' ').next().context("a sample has a value")?.parse::<f64>()?)).sum()
    }

    fn reconciles(&self) -> Result<f64> {
        self.metric("restante_operator_reconcile_total", "MessageChannel")
    }

    fn writes(&self) -> Result<f64> {
        self.metric("restante_operator_status_writes_total", "MessageChannel")
    }
}

fn status(kubectl: &Kubectl, name: &str) -> Result<Value> {
    Ok(kubectl.json(&["-n", "acme", "get", "mc", name])?["status"].clone())
}

fn finalizers(kubectl: &Kubectl, name: &str) -> Result<Value> {
    let channel = kubectl.json(&["-n", "acme", "get", "mc", name])?;
    Ok(channel["metadata"].get("finalizers").cloned().unwrap_or_default())
}

fn is_refused(result: Result<String>, says: &str) -> Result<()> {
    match result {
        Ok(said) => bail!("the install succeeded: {said}"),
        Err(error) => {
            let said = format!("{error:#}");
            ensure!(said.contains(says), "helm's message lacks {says}: {said}");
            Ok(())
        }
    }
}

#[test]
fn two_releases_divide_the_channels_and_neither_writes_to_channels_of_the_other() -> Result<()> {
    let Some(cluster) = empty_cluster()? else { return Ok(()) };
    let (one, two) = (Release::new(&cluster.info, "one"), Release::new(&cluster.info, "two"));
    let kubectl = one.kubectl();
    one.install("")?;
    let default = two.install_without_waiting("crds: {install: false}");
    is_refused(default, "restante-default-operator").context("a second default operator")?;
    let second = Release::named(&cluster.info, "one", "second").install_without_waiting(BESIDE_OTHERS);
    // Helm names any of the first release's objects, because it checks them in its own order.
    is_refused(second, "must equal \"second\"").context("a second release in a namespace")?;
    let notes = two.install(BESIDE_OTHERS)?;
    ensure!(notes.contains("not the default operator"), "{notes}");
    for release in [&one, &two] {
        release.broker_becomes_ready("default")?;
    }

    create_namespace(&kubectl, "acme")?;
    let orders = Channel::full(&one, "default", ("acme", "orders"), "{name: default}")?;
    let broker_ref = "{name: default, namespace: two}";
    let parcels = Channel::full(&two, "default", ("acme", "parcels"), broker_ref)?;
    ensure!(finalizers(&kubectl, "orders")? == serde_json::json!(["restante.dev/one"]));
    ensure!(finalizers(&kubectl, "parcels")? == serde_json::json!(["restante.dev/two"]));
    no_status_is_written_if_nothing_changes(&one, &two)?;

    two.uninstall()?;
    ensure!(finalizers(&kubectl, "parcels")?.is_null(), "parcels still has a finalizer");
    let reported = status(&kubectl, "parcels")?.to_string();
    ensure!(reported.contains("OperatorUninstalled"), "the status does not report the uninstall: {reported}");
    ensure!(finalizers(&kubectl, "orders")? == serde_json::json!(["restante.dev/one"]));
    orders.becomes_ready()?;
    orders.is_full()?;
    two.install(BESIDE_OTHERS)?;
    two.broker_becomes_ready("default")?;
    parcels.becomes_ready()?;
    parcels.becomes_full()?;

    one.uninstall()?;
    ensure!(finalizers(&kubectl, "orders")?.is_null(), "orders still has a finalizer");
    ensure!(finalizers(&kubectl, "parcels")? == serde_json::json!(["restante.dev/two"]));
    parcels.becomes_ready()?;
    parcels.delivers_all_messages()?;
    one.install("")?;
    one.broker_becomes_ready("default")?;
    orders.becomes_ready()?;
    orders.becomes_full()?;
    orders.delivers_all_messages()
}

/// Edits annotations of both channels. Both operators get each event, and each reconciles its own channel.
fn no_status_is_written_if_nothing_changes(one: &Release, two: &Release) -> Result<()> {
    let (kubectl, operators) = (one.kubectl(), [Operator(one), Operator(two)]);
    // The operator writes the backlog of the full channels within a minute.
    let settled = ["orders", "parcels"].map(|name| {
        let words = ["-n", "acme", "get", "mc", name];
        kubectl.until("the backlog to be shown", SOON, &words, |channel| {
            let backlog = &channel["status"]["backlog"];
            ensure!(backlog["ready"] == super::messages::FULL, "it is {backlog}");
            Ok(channel["status"].clone())
        })
    });
    let [orders, parcels] = settled;
    let before = (orders?, parcels?);
    let mut counts = Vec::new();
    for operator in &operators {
        counts.push((operator.reconciles()?, operator.writes()?));
    }
    for touch in 0..TOUCHES {
        let annotation = format!("example.com/touched={touch}");
        kubectl.run(&["-n", "acme", "annotate", "mc", "orders", "parcels", "--overwrite", &annotation])?;
        for (operator, (reconciles, _)) in operators.iter().zip(&counts) {
            wait::until("the edit to be reconciled", SOON, || {
                let now = operator.reconciles()?;
                let wanted = reconciles + f64::from(u32::try_from(touch + 1)?);
                ensure!(now >= wanted, "{now} reconciles, of {wanted}");
                Ok::<_, anyhow::Error>(())
            })?;
        }
    }
    for (operator, (_, writes)) in operators.iter().zip(&counts) {
        let now = operator.writes()?;
        ensure!(
            (now - writes).abs() < 0.5,
            "the operator of {} wrote {} times",
            operator.0.namespace,
            now - writes
        );
    }
    let after = (status(&kubectl, "orders")?, status(&kubectl, "parcels")?);
    ensure!(before == after, "{before:?} became {after:?}");
    Ok(())
}
