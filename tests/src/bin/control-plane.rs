//! Runs a Kubernetes of one node until its standard input closes or a signal comes. When it is ready it prints one line
//! of JSON that says how it is reached; see `ClusterInfo`.

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

/// How often the components are looked at while nothing else happens.
const LOOK: Duration = Duration::from_secs(1);

/// Runs a Kubernetes of one node in a network namespace until its standard input closes.
#[derive(Debug, Parser)]
struct Arguments {
    /// Build Restante's images from this working tree and give them to the node.
    #[arg(long)]
    images: bool,
}

fn main() -> Result<()> {
    let Arguments { images } = Arguments::parse();
    ensure!(Uid::effective().is_root(), "a network namespace and a node need root: run this as root");
    let made = Arc::new(Mutex::new(false));
    let is_closed = watch_standard_input(Arc::clone(&made));
    leftovers::clear()?;
    let tools = Tools::find(&Config::from_environment())?;
    let pause = images::pause()?;
    let ours = if images { images::restante()?.to_vec() } else { Vec::new() };

    *made.lock().map_err(|_| anyhow!("the watch of the standard input panicked"))? = true;
    let namespace = network::create("cluster")?;
    let folder = Arc::new(Folder::create("cluster")?);
    let (end, ended) = mpsc::channel();
    let (ready, is_ready) = oneshot::channel();
    let node = {
        let (name, folder) = (namespace.name().to_owned(), Arc::clone(&folder));
        // A thread of its own: it moves into the cluster's namespaces, and stays, because its children die with it.
        thread::spawn(move || run(&name, folder, tools, &pause, &ours, ready, &ended))
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(until_told_to_end(is_ready, is_closed))?;
    // Fails when the cluster has ended by itself; it then says why.
    let _ = end.send(());
    let cluster = node.join().ok().context("the thread of the cluster panicked")?;
    // What is left if its end, or already its start, has failed half-way. While it is here to be found.
    leftovers::end_all_in(namespace.name())?;
    leftovers::remove_cgroups(folder.path())?;
    cluster
}

/// Tells when the standard input closes. Until something is `made` that has to be cleared, that ends the program: what
/// comes before may build Kubernetes for a quarter of an hour, and nobody would be there to use it.
fn watch_standard_input(made: Arc<Mutex<bool>>) -> oneshot::Receiver<()> {
    let (closed, is_closed) = oneshot::channel();
    thread::spawn(move || {
        // However reading ends, there is nobody at the other end any more.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let made = made.lock().unwrap_or_else(PoisonError::into_inner);
        if !*made {
            process::exit(0);
        }
        let _ = closed.send(());
    });
    is_closed
}

/// Tells when the cluster is ready, then waits: for the end of the standard input, a signal, or the cluster's own end.
async fn until_told_to_end(
    is_ready: oneshot::Receiver<(ClusterInfo, oneshot::Receiver<()>)>,
    is_closed: oneshot::Receiver<()>,
) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let running = async {
        if let Ok((info, over)) = is_ready.await {
            writeln!(io::stdout(), "{}", serde_json::to_string(&info)?)?;
            // Dropped when the cluster ends by itself.
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

/// The thread of the cluster, from its start to its end.
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
    // Fails when the end was asked for before the cluster was ready.
    let _ = ready.send((info, is_over));
    while let Err(mpsc::RecvTimeoutError::Timeout) = end.recv_timeout(LOOK) {
        cluster.check_running()?;
    }
    cluster.stop()
}
