//! A soak: all client operations for a while on one broker. Memory, disk and the duration of pushes are sampled, and
//! the last quarter of the time is compared with the second. The first quarter does not count, because caches fill and
//! segments are made.

mod channels;
mod clients;

use std::{cell::RefCell, pin::Pin, rc::Rc, time::Duration};

use anyhow::{Context, Result};
use restante_tests::usage::cpu_time;
use tokio::{
    runtime,
    task::{JoinSet, LocalSet},
    time::sleep,
};

use self::clients::{Clients, Counts};
use crate::{
    arguments::Arguments,
    broker::{Broker, Options, operator},
    memory,
    report::{
        progress,
        row::{Goal, Row},
    },
    statistics::{median, percentile},
};

/// Number of samples in a soak of any duration.
const SAMPLES: u32 = 40;
const SENDERS: u64 = 12;
const RECEIVERS: u64 = 24;
const PARKED: u64 = 100;

/// Measurements since the previous sample.
#[derive(Debug, Clone, Copy)]
struct Sample {
    memory_mib: f64,
    disk_mib: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
    pushed: f64,
    received: f64,
}

type Client = Pin<Box<dyn Future<Output = Result<()>>>>;

pub(super) fn run(arguments: &Arguments) -> Result<Vec<Row>> {
    let options = Options { operated: true, ..Options::default() };
    let broker = Broker::start(&arguments.output, &options)?;
    operator::program(&broker, channels::all())?;
    let between = Duration::from_secs(arguments.soak) / SAMPLES;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let samples = LocalSet::new().block_on(&runtime, watch(&broker, between))?;
    let quarter = samples.len() / 4;
    let (second, last) = (&samples[quarter..2 * quarter], &samples[3 * quarter..]);
    let row = |what: &str, goal, unit, of: fn(&Sample) -> f64| {
        let pairs = last.iter().zip(second).map(|(last, second)| (of(last), of(second)));
        let name = format!("soak of {} s: {what}, last quarter ÷ second", arguments.soak);
        Row::compared(name, goal, unit, pairs).with("whole soak", samples.iter().map(of))
    };
    Ok(vec![
        row("memory", Goal::at_most(1.05, 1.02), "MiB", |sample| sample.memory_mib),
        row("disk", Goal::at_most(1.10, 1.02), "MiB", |sample| sample.disk_mib),
        row("push, median", Goal::at_most(1.10, 1.05), "µs", |sample| sample.p50_us),
        row("push, 99th percentile", Goal::at_most(1.25, 1.10), "µs", |sample| sample.p99_us),
        row("CPU", Goal::at_most(1.10, 1.05), "µs of CPU per message pushed", |sample| sample.cpu_us)
            .with("pushed/s", samples.iter().map(|sample| sample.pushed))
            .with("received/s", samples.iter().map(|sample| sample.received)),
    ])
}

/// Runs the clients and takes the samples.
async fn watch(broker: &Broker, between: Duration) -> Result<Vec<Sample>> {
    let clients = Rc::new(Clients { server: broker.server.address, counts: RefCell::default() });
    let mut running = JoinSet::new();
    let mut start = |count: u64, client: fn(Rc<Clients>, u64) -> Client| {
        for number in 0..count {
            running.spawn_local(client(clients.clone(), number));
        }
    };
    start(SENDERS, |clients, number| Box::pin(async move { clients.send(number).await }));
    start(RECEIVERS, |clients, number| Box::pin(async move { clients.receive(number).await }));
    start(1, |clients, _| Box::pin(async move { clients.receive_dead_letters().await }));
    start(PARKED, |clients, _| Box::pin(async move { clients.wait().await }));
    let sampling = async {
        let mut samples = Vec::new();
        for number in 1..=SAMPLES {
            let before = cpu_time(broker.server.id())?;
            sleep(between).await;
            let cpu = cpu_time(broker.server.id())? - before;
            let sample = sample(broker, clients.counts.take(), cpu, between).await?;
            progress(&format!("soak, sample {number} of {SAMPLES}: {sample:.0?}"));
            samples.push(sample);
        }
        Ok(samples)
    };
    tokio::select! {
        samples = sampling => samples,
        ended = running.join_next() => {
            let ended = ended.context("there are no clients")??;
            Err(ended.err().context("a client ended")?)
        }
    }
}

async fn sample(broker: &Broker, counts: Counts, cpu: Duration, over: Duration) -> Result<Sample> {
    let Counts { pushes, received } = counts;
    let pushed = pushes.len() as f64;
    Ok(Sample {
        memory_mib: memory::resident(broker)? / f64::from(1 << 20),
        disk_mib: broker.metric("restante_store_bytes").await? / f64::from(1 << 20),
        p50_us: median(&pushes),
        p99_us: percentile(&pushes, 0.99),
        cpu_us: cpu.as_secs_f64() * 1e6 / pushed,
        pushed: pushed / over.as_secs_f64(),
        received: received as f64 / over.as_secs_f64(),
    })
}
