//! Runs a Kubernetes cluster of one node until its standard input closes or a signal arrives. When the cluster is
//! ready, the program prints one line of JSON with its addresses and files; see `ClusterInfo`.

use std::{
    io::{self, Write},
    process,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use nix::unistd::Uid;
use restante_tests::{
    cluster::{Cluster, folder::Folder, info::ClusterInfo, network},
    config::Config,
    images::{self, Image},
    isolation::isolate,
    leftovers,
    tools::Tools,
};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// Interval of the check that all components run.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Run a Kubernetes cluster of one node in a network namespace until its standard input closes
#[derive(Debug, Parser)]
struct Arguments {
    /// Build Restante's images from this working tree and import them into the node
    #[arg(long)]
    images: bool,
}

fn main() -> Result<()> {
    let Arguments { images } = Arguments::parse();
    ensure!(Uid::effective().is_root(), "a network namespace and a node need root; run this program as root");
    let resources_exist = Arc::new(Mutex::new(false));
    let is_closed = watch_standard_input(Arc::clone(&resources_exist));
    leftovers::clear()?;
    let tools = Tools::find(&Config::from_environment())?;
    let pause = images::pause()?;
    let ours = if images { images::restante()?.to_vec() } else { Vec::new() };

    *resources_exist.lock().map_err(|_| anyhow!("the watch of the standard input panicked"))? = true;
    let namespace = network::create("cluster")?;
    let folder = Arc::new(Folder::create("cluster")?);
    let (end, ended) = mpsc::channel();
    let (ready, is_ready) = oneshot::channel();
    let node = {
        let (name, folder) = (namespace.name().to_owned(), Arc::clone(&folder));
        // A separate thread, which moves into the cluster's namespaces. It lives until the end, because its children
        // die with it.
        thread::spawn(move || run(&name, folder, tools, &pause, &ours, ready, &ended))
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_until_stopped(is_ready, is_closed))?;
    // Fails if the cluster has ended by itself; its thread then returns the reason.
    let _ = end.send(());
    let cluster = node.join().ok().context("the thread of the cluster panicked")?;
    // Cleans up after a failed start or stop, while the namespace and the folder still exist.
    leftovers::end_all_in(namespace.name())?;
    leftovers::remove_cgroups(folder.path())?;
    cluster
}

/// Sends a message when the standard input closes. Before `resources_exist`, there is nothing to clean up, and a closed
/// input exits the program at once: it may otherwise build Kubernetes for a quarter of an hour without a user.
fn watch_standard_input(resources_exist: Arc<Mutex<bool>>) -> oneshot::Receiver<()> {
    let (closed, is_closed) = oneshot::channel();
    thread::spawn(move || {
        // Any end of the copy means that the other end is closed.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let resources_exist = resources_exist.lock().unwrap_or_else(PoisonError::into_inner);
        if !*resources_exist {
            process::exit(0);
        }
        let _ = closed.send(());
    });
    is_closed
}

/// Prints the cluster's information when it is ready, then waits for the end of the standard input, a signal, or the
/// end of the cluster.
async fn run_until_stopped(
    is_ready: oneshot::Receiver<(ClusterInfo, oneshot::Receiver<()>)>,
    is_closed: oneshot::Receiver<()>,
) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let running = async {
        if let Ok((info, over)) = is_ready.await {
            writeln!(io::stdout(), "{}", serde_json::to_string(&info)?)?;
            // The sender is dropped when the cluster ends by itself.
            let _ = over.await;
        }
        Ok(())
    };
    tokio::select! {
        result = running => result,
        _ = is_closed => Ok(()),
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

/// The cluster's thread.
fn run(
    name: &str,
    folder: Arc<Folder>,
    tools: Tools,
    pause: &Image,
    ours: &[Image],
    ready: oneshot::Sender<(ClusterInfo, oneshot::Receiver<()>)>,
    end: &mpsc::Receiver<()>,
) -> Result<()> {
    isolate(name, folder.path())?;
    let mut cluster = Cluster::start(name, tools, folder, pause)?;
    let info = cluster.info();
    for image in ours {
        image.import(&info.tools, &info.containerd_socket)?;
    }
    let (_over, is_over) = oneshot::channel();
    // Fails if the program was stopped before the cluster was ready.
    let _ = ready.send((info, is_over));
    while let Err(mpsc::RecvTimeoutError::Timeout) = end.recv_timeout(CHECK_EVERY) {
        cluster.check_running()?;
    }
    cluster.stop()
}
