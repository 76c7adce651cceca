//! What receivers cost that wait: threads, CPU and memory.

use std::time::Duration;

use anyhow::{Result, ensure};
use restante_tests::{
    usage::{cpu_time, status},
    wait,
};
use tokio::{runtime, time::sleep};

use crate::{
    arguments::Arguments,
    report::{Row, said},
    request::{self, Connection},
    server::{ADDRESS, Server},
    statistics::Spread,
};

/// How many wait at once.
const RECEIVERS: usize = 5000;
/// How long they may take to get there.
const PARKED_WITHIN: Duration = Duration::from_secs(60);

/// The broker at one moment, and over a window.
struct Look {
    threads: u64,
    resident_kib: u64,
    cpu: Duration,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Row> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let rounds =
        (0..arguments.rounds).map(|_| runtime.block_on(round(arguments))).collect::<Result<Vec<_>>>()?;
    let of = |value: fn(&(Look, Look)) -> f64| Spread::of(rounds.iter().map(value));
    let milliseconds = |look: &Look| look.cpu.as_secs_f64() * 1e3;
    let per_window = format!("ms of CPU in {} s", arguments.seconds);
    Ok(Row {
        name: format!("{RECEIVERS} receivers that wait"),
        goal: Some(8.0),
        result: (
            "KiB of the broker's memory per receiver".to_owned(),
            of(|(none, all)| (all.resident_kib - none.resident_kib) as f64 / RECEIVERS as f64),
        ),
        details: vec![
            ("threads, none waiting".to_owned(), of(|(none, _)| none.threads as f64)),
            ("threads, all waiting".to_owned(), of(|(_, all)| all.threads as f64)),
            (
                format!("{per_window}, none waiting"),
                Spread::of(rounds.iter().map(|(none, _)| milliseconds(none))),
            ),
            (
                format!("{per_window}, all waiting"),
                Spread::of(rounds.iter().map(|(_, all)| milliseconds(all))),
            ),
        ],
    })
}

async fn round(arguments: &Arguments) -> Result<(Look, Look)> {
    let server = Server::broker(&arguments.output)?;
    let none = look(&server, arguments.window()).await?;
    let mut waiting = Vec::new();
    for _ in 0..RECEIVERS {
        let mut receiver = Connection::open(server.data).await?;
        receiver.send(&request::get(&format!("/v1/messages/{ADDRESS}"))).await?;
        waiting.push(receiver);
    }
    wait::until_async("the receivers to wait", PARKED_WITHIN, || async {
        let parked = server.metric("restante_waiting_receivers").await?;
        ensure!(parked == RECEIVERS as f64, "{parked} wait");
        Ok(())
    })
    .await?;
    let all = look(&server, arguments.window()).await?;
    said(&format!("{RECEIVERS} receivers wait: {} KiB, then {} KiB", none.resident_kib, all.resident_kib));
    Ok((none, all))
}

async fn look(server: &Server, window: Duration) -> Result<Look> {
    let before = cpu_time(server.id())?;
    sleep(window).await;
    Ok(Look {
        cpu: cpu_time(server.id())? - before,
        threads: status(server.id(), "Threads")?,
        resident_kib: status(server.id(), "VmRSS")?,
    })
}
