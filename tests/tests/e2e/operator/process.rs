//! An operator as a process on the node.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use restante_tests::{
    cluster::info::ClusterInfo, command::run, in_namespace, kubectl::Kubectl, netns, process::Process,
    programs, wait,
};

use super::{namespace::ServedNamespace, objects};

/// Limit of waits for operations that take a second on two idle cores.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// The metric that counts status writes of channels.
pub(crate) const CHANNEL_WRITES: &str = "restante_operator_status_writes_total{kind=\"MessageChannel\"}";

/// The operator's program, built once: for each test, cargo would check every file again.
fn program() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| {
        let programs = programs::build().map_err(|error| format!("{error:#}"))?;
        Ok(programs.join("restante-operator"))
    });
    built.as_deref().map_err(|error| anyhow!("{error}"))
}

/// An operator, and the namespace that it serves.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) cluster: &'static ClusterInfo,
    /// The namespace of the operator and its MessageBrokers.
    pub(crate) namespace: String,
    process: Process,
    port: u16,
    /// Dropped after the process, which would make the pods again.
    _served: Arc<ServedNamespace>,
}

impl Operator {
    /// Starts an operator with these further flags in a new namespace.
    pub(crate) fn start(cluster: &'static ClusterInfo, namespace: &str, flags: &[&str]) -> Result<Self> {
        cluster.kubectl().run(&["create", "namespace", namespace])?;
        Self::start_again(cluster, namespace, flags)
    }

    /// Starts an operator with these further flags in an existing namespace.
    pub(crate) fn start_again(
        cluster: &'static ClusterInfo,
        namespace: &str,
        flags: &[&str],
    ) -> Result<Self> {
        // All operators share one network namespace, in which no other program uses these ports.
        static PORTS: AtomicU16 = AtomicU16::new(19_000);
        let port = PORTS.fetch_add(1, Ordering::Relaxed);
        let mut command = netns::command_in(&cluster.network_namespace, program()?);
        command.args(["run", "--namespace", namespace, "--metrics-listen", &format!("127.0.0.1:{port}")]);
        command.args(flags).env("KUBECONFIG", &cluster.kubeconfig);
        let log = cluster.folder.join("log");
        fs::create_dir_all(&log)?;
        let log = log.join(format!("operator-{namespace}.log"));
        let process = Process::start(&format!("the operator of {namespace}"), &command, &log)?;
        let served = ServedNamespace::share(cluster, namespace);
        let mut operator = Self { cluster, namespace: namespace.to_owned(), process, port, _served: served };
        wait::until("the operator to be ready", SOON, || {
            operator.process.check_running()?;
            operator.page("/readyz")
        })?;
        Ok(operator)
    }

    /// `kubectl` as the cluster's administrator.
    pub(crate) fn kubectl(&self) -> Kubectl {
        self.cluster.kubectl()
    }

    /// The log of the operator so far.
    pub(crate) fn log(&self) -> String {
        self.process.log_text()
    }

    /// Stops the operator with SIGTERM, like Kubernetes.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let status = self.process.terminate(SOON)?;
        ensure!(status.success(), "the operator ended with {status}");
        Ok(())
    }

    /// Runs `release-finalizers` like the hook of `helm uninstall`, but without a Deployment to wait for.
    pub(crate) fn release_finalizers(&self) -> Result<()> {
        let mut command = netns::command_in(&self.cluster.network_namespace, program()?);
        command.args(["release-finalizers", "--namespace", &self.namespace]);
        run(command.env("KUBECONFIG", &self.cluster.kubeconfig)).map(drop)
    }

    /// Runs `release-finalizers`, and returns its log.
    pub(crate) fn release_finalizers_log(&self) -> Result<String> {
        let mut command = netns::command_in(&self.cluster.network_namespace, program()?);
        command.args(["release-finalizers", "--namespace", &self.namespace]);
        let output = command.env("KUBECONFIG", &self.cluster.kubeconfig).output()?;
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "it ended with {}: {log}", output.status);
        Ok(log)
    }

    /// Does the work, which must trigger a reconcile, and waits for one.
    pub(crate) fn reconciles_after(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        const RECONCILES: &str = "restante_operator_reconcile_total";
        let before = self.metric(RECONCILES)?;
        work()?;
        wait::until("another reconcile", SOON, || {
            let now = self.metric(RECONCILES)?;
            ensure!(now > before, "there were {now}; its log is\n{}", self.log());
            Ok(())
        })
    }

    /// The sum of the samples of a metric, over all labels unless the name includes some.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let page = self.page("/metrics")?;
        let samples = page
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        samples.map(|line| Ok(line.rsplit(' ').next().context("a sample has a value")?.parse::<f64>()?)).sum()
    }

    fn page(&self, path: &str) -> Result<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        in_namespace::run(&self.cluster.network_namespace, move || async move {
            // reqwest needs a TLS provider although this client does not use TLS. The call fails if it is installed
            // already.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let http = reqwest::Client::builder().no_proxy().timeout(SOON).build()?;
            Ok::<_, anyhow::Error>(http.get(url).send().await?.error_for_status()?.text().await?)
        })?
    }

    /// Applies a MessageBroker with these further lines in its spec, in the operator's namespace.
    pub(crate) fn apply_broker(&self, name: &str, spec: &str) -> Result<()> {
        self.kubectl().apply(&objects::broker(&self.namespace, name, spec)).map(drop)
    }

    /// Applies a MessageBroker, and waits until it is Ready.
    pub(crate) fn broker_becomes_ready(&self, name: &str, spec: &str) -> Result<()> {
        self.apply_broker(name, spec)?;
        let broker = format!("messagebroker/{name}");
        self.kubectl().wait_for("condition=Ready", SOON, &["-n", &self.namespace, &broker])
    }

    /// Applies a channel of this operator's broker with these further lines in its spec, and waits until it is Ready.
    pub(crate) fn channel_becomes_ready(
        &self,
        namespace: &str,
        name: &str,
        broker: &str,
        spec: &str,
    ) -> Result<()> {
        self.kubectl().apply(&objects::channel(namespace, name, (&self.namespace, broker), spec))?;
        let channel = format!("messagechannel/{name}");
        self.kubectl().wait_for("condition=Ready", SOON, &["-n", namespace, &channel])
    }
}
