//! Durable single push ÷ a push to other brokers: 64 producers, each with its own connection and waiting for its
//! acknowledgement.

use std::path::Path;

use anyhow::Result;

use super::push::ours;
use crate::{
    arguments::Arguments,
    broker::Options,
    load::{self, Turn, Work},
    peers::{Peers, beanstalkd, nats, rabbitmq, redis},
    report::row::{Goal, Row},
    rounds::{Contestant, of, play},
    server::Server,
};

/// Producers.
const CLIENTS: usize = 64;

/// Another broker with its settings.
struct Peer {
    name: &'static str,
    /// Its name with the settings, which decide whether an acknowledged message is on disk.
    setting: &'static str,
    goal: Goal,
}

/// Runs a turn; `None` if the broker is not installed.
type Turns<'a> = Option<Box<dyn FnMut() -> Result<Turn> + 'a>>;

pub(super) fn run(arguments: &Arguments, peers: &Peers) -> Result<Vec<Row>> {
    let (peers, turns): (Vec<Peer>, Vec<Turns<'_>>) = others(arguments, peers).into_iter().unzip();
    let installed: Vec<bool> = turns.iter().map(Option::is_some).collect();
    let mut contestants = vec![Contestant::new("ours", || ours(arguments, &Options::default(), CLIENTS))];
    contestants.extend(peers.iter().zip(turns).filter_map(|(peer, turn)| {
        let name = peer.setting.to_owned();
        Some(Contestant { name, turn: turn? })
    }));
    let mut played = play("durable push ÷ other brokers", arguments.rounds, &mut contestants)?.into_iter();
    let ours = played.next().unwrap_or_default();
    let rows = peers.iter().zip(installed).map(|(peer, installed)| {
        let theirs = if installed { played.next() } else { None };
        row(peer, &ours, theirs)
    });
    Ok(rows.collect())
}

fn row(Peer { name, setting, goal }: &Peer, ours: &[Turn], theirs: Option<Vec<Turn>>) -> Row {
    let row = format!("durable push ÷ {setting}, {CLIENTS} producers");
    let Some(theirs) = theirs else { return Row::missing(row, *goal, name) };
    let rates = ours.iter().zip(&theirs).map(|(ours, theirs)| (ours.rate, theirs.rate));
    Row::compared(row, *goal, "pushes/s", rates)
        .with("ours: CPU µs per push", of(ours, |turn| turn.server_cpu_us))
        .with(format!("{name}: CPU µs per push"), of(&theirs, |turn| turn.server_cpu_us))
        .with("ours: p50 µs", of(ours, |turn| turn.p50_us))
        .with(format!("{name}: p50 µs"), of(&theirs, |turn| turn.p50_us))
        .with(format!("{name}: load's share of its core"), of(&theirs, |turn| turn.load_busy))
}

fn others<'a>(arguments: &'a Arguments, peers: &'a Peers) -> Vec<(Peer, Turns<'a>)> {
    let nats = |setting, goal, sync| {
        let turns = turns(arguments, peers.nats.as_deref(), move |program, folder| {
            let server = nats::start(program, folder, sync)?;
            Ok((nats::work::Push { server: server.address }, server))
        });
        (Peer { name: "NATS", setting, goal }, turns)
    };
    let redis = turns(arguments, peers.redis.as_deref(), |program, folder| {
        let server = redis::start(program, folder)?;
        Ok((redis::Push::to(server.address), server))
    });
    let rabbitmq = turns(arguments, peers.rabbitmq.as_deref(), |program, folder| {
        let server = rabbitmq::start(program, folder)?;
        Ok((rabbitmq::Push { server: server.address }, server))
    });
    let beanstalkd = turns(arguments, peers.beanstalkd.as_deref(), |program, folder| {
        let server = beanstalkd::start(program, folder)?;
        Ok((beanstalkd::Push::to(server.address), server))
    });
    let peer = |name, setting, goal| Peer { name, setting, goal };
    vec![
        nats("NATS JetStream, sync always", Goal::at_least(15.0, 23.0), nats::Sync::Always),
        (peer("Redis", "Redis stream, appendfsync always", Goal::at_least(1.5, 1.9)), redis),
        (peer("RabbitMQ", "RabbitMQ quorum queue, publisher confirms", Goal::at_least(6.0, 8.0)), rabbitmq),
        nats("NATS JetStream, unsynced", Goal::at_least(1.2, 1.5), nats::Sync::Default),
        (peer("beanstalkd", "beanstalkd -f0", Goal::none(false)), beanstalkd),
    ]
}

/// Turns of an installed broker, each with an empty data folder.
fn turns<'a, W: Work>(
    arguments: &'a Arguments,
    program: Option<&'a Path>,
    start: impl Fn(&Path, &Path) -> Result<(W, Server)> + 'a,
) -> Turns<'a> {
    let program = program?;
    Some(Box::new(move || {
        let folder = tempfile::tempdir_in(&arguments.output)?;
        let (work, mut server) = start(program, folder.path())?;
        server.keep(folder);
        load::run(work, server.id(), CLIENTS, arguments.window())
    }))
}
