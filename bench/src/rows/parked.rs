//! Cost of waiting receivers: threads, CPU and memory.

use std::time::Duration;

use anyhow::{Result, ensure};
use restante_tests::{
    usage::{cpu_time, status},
    wait,
};
use tokio::{runtime, time::sleep};

use crate::{
    arguments::Arguments,
    broker::{Broker, Options, work::Receiver},
    report::{
        progress,
        row::{Goal, Row},
        table::abbreviated,
    },
};

/// Number of waiting receivers.
const RECEIVERS: usize = 5000;
/// Time limit until all receivers wait.
const PARKED_WITHIN: Duration = Duration::from_secs(60);

/// Threads and memory of a broker at one moment, and its CPU time over a window.
struct Sample {
    threads: u64,
    resident_kib: u64,
    cpu: Duration,
}

pub(super) fn run(arguments: &Arguments) -> Result<Vec<Row>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let rounds = (0..arguments.rounds)
        .map(|_| runtime.block_on(round(arguments, &Options::default())))
        .collect::<Result<Vec<_>>>()?;
    let of = |value: fn(&(Sample, Sample)) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
    let per_window = format!("ms of CPU in {} s", arguments.seconds);
    Ok(vec![
        Row::measured(
            format!("memory per parked receiver, {} receivers", abbreviated(RECEIVERS)),
            Goal::at_most(8.0, 1.0),
            "KiB",
            of(per_receiver),
        )
        .with("threads, none waiting", of(|(none, _)| none.threads as f64))
        .with("threads, all waiting", of(|(_, all)| all.threads as f64))
        .with(format!("{per_window}, none waiting"), of(|(none, _)| none.cpu.as_secs_f64() * 1e3))
        .with(format!("{per_window}, all waiting"), of(|(_, all)| all.cpu.as_secs_f64() * 1e3)),
    ])
}

/// Memory per waiting receiver, in KiB.
fn per_receiver((none, all): &(Sample, Sample)) -> f64 {
    (all.resident_kib as f64 - none.resident_kib as f64) / RECEIVERS as f64
}

/// Memory per waiting receiver of a broker that starts with these options, in bytes.
pub(super) fn bytes(arguments: &Arguments, options: &Options) -> Result<f64> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(per_receiver(&runtime.block_on(round(arguments, options))?) * 1024.0)
}

async fn round(arguments: &Arguments, options: &Options) -> Result<(Sample, Sample)> {
    let broker = Broker::start(&arguments.output, options)?;
    let none = sample(&broker, arguments.window()).await?;
    let mut waiting = Vec::new();
    for _ in 0..RECEIVERS {
        let mut receiver = Receiver::open(broker.server.address, "").await?;
        receiver.ask().await?;
        waiting.push(receiver);
    }
    wait::until_async("the receivers to wait", PARKED_WITHIN, || async {
        let parked = broker.metric("restante_waiting_receivers").await?;
        ensure!(parked == RECEIVERS as f64, "only {parked} receivers wait");
        Ok(())
    })
    .await?;
    let all = sample(&broker, arguments.window()).await?;
    progress(&format!(
        "memory before and with {RECEIVERS} waiting receivers: {} KiB, {} KiB",
        none.resident_kib, all.resident_kib
    ));
    Ok((none, all))
}

async fn sample(broker: &Broker, window: Duration) -> Result<Sample> {
    let id = broker.server.id();
    let before = cpu_time(id)?;
    sleep(window).await;
    Ok(Sample {
        cpu: cpu_time(id)? - before,
        threads: status(id, "Threads")?,
        resident_kib: status(id, "VmRSS")?,
    })
}
