//! Durable single push ÷ that of other brokers: 64 producers, each with a connection of its own and waiting for its
//! acknowledgement.

use std::path::Path;

use anyhow::Result;

use super::push::ours;
use crate::{
    arguments::Arguments,
    load::{self, Turn, Work},
    peers::{Peers, beanstalkd, nats, rabbitmq, redis},
    report::row::{Goal, Row},
    rounds::{Contestant, of, play},
    server::Server,
};

/// Producers.
const CLIENTS: usize = 64;

/// Another broker as it is set.
struct Peer<'a> {
    name: &'static str,
    /// Whether it has the message on disk when it says so.
    setting: &'static str,
    goal: Goal,
    /// How it has its turn; nothing if it is not there.
    turn: Option<Box<dyn FnMut() -> Result<Turn> + 'a>>,
}

pub(super) fn run(arguments: &Arguments, peers: &Peers) -> Result<Vec<Row>> {
    let mut others = others(arguments, peers);
    let mut contestants = vec![Contestant::new("ours", || ours(arguments, CLIENTS))];
    for peer in &mut others {
        if let Some(turn) = peer.turn.take() {
            contestants.push(Contestant { name: peer.setting.to_owned(), turn });
        }
    }
    let mut turns = play("durable push ÷ other brokers", arguments.rounds, &mut contestants)?;
    let played: Vec<String> = contestants.into_iter().map(|contestant| contestant.name).collect();
    let ours = turns.remove(0);
    Ok(others
        .iter()
        .map(|peer| {
            let place = played.iter().skip(1).position(|name| name == peer.setting);
            row(peer, &ours, place.map(|place| &turns[place][..]))
        })
        .collect())
}

fn row(Peer { name, setting, goal, .. }: &Peer<'_>, ours: &[Turn], theirs: Option<&[Turn]>) -> Row {
    let row = format!("durable push ÷ {setting}, {CLIENTS} producers");
    let Some(theirs) = theirs else { return Row::missing(row, *goal, name) };
    let rates = ours.iter().zip(theirs).map(|(ours, theirs)| (ours.rate, theirs.rate));
    Row::compared(row, *goal, "pushes/s", rates)
        .with("ours: CPU µs per push", of(ours, |turn| turn.server_cpu_us))
        .with(format!("{name}: CPU µs per push"), of(theirs, |turn| turn.server_cpu_us))
        .with(format!("{name}: p50 µs"), of(theirs, |turn| turn.p50_us))
        .with(format!("{name}: part of its core that the load takes"), of(theirs, |turn| turn.load_busy))
}

fn others<'a>(arguments: &'a Arguments, peers: &'a Peers) -> Vec<Peer<'a>> {
    let nats = |setting, goal, sync| Peer {
        name: "NATS",
        setting,
        goal,
        turn: turns(arguments, peers.nats.as_deref(), move |program, folder| {
            let server = nats::start(program, folder, sync)?;
            Ok((nats::work::Push { server: server.address }, server))
        }),
    };
    vec![
        nats("NATS JetStream, sync always", Goal::at_least(15.0, 23.0), nats::Sync::Always),
        Peer {
            name: "Redis",
            setting: "Redis stream, appendfsync always",
            goal: Goal::at_least(1.5, 1.9),
            turn: turns(arguments, peers.redis.as_deref(), |program, folder| {
                let server = redis::start(program, folder)?;
                Ok((redis::Push::to(server.address), server))
            }),
        },
        Peer {
            name: "RabbitMQ",
            setting: "RabbitMQ quorum queue, publisher confirms",
            goal: Goal::at_least(6.0, 8.0),
            turn: turns(arguments, peers.rabbitmq.as_deref(), |program, folder| {
                let server = rabbitmq::start(program, folder)?;
                Ok((rabbitmq::Push { server: server.address }, server))
            }),
        },
        nats("NATS JetStream, unsynced", Goal::at_least(1.2, 1.5), nats::Sync::Default),
        Peer {
            name: "beanstalkd",
            setting: "beanstalkd -f0",
            goal: Goal::none(false),
            turn: turns(arguments, peers.beanstalkd.as_deref(), |program, folder| {
                let server = beanstalkd::start(program, folder)?;
                Ok((beanstalkd::Push::to(server.address), server))
            }),
        },
    ]
}

/// Turns of a broker that is there, each on an empty disk.
fn turns<'a, W: Work>(
    arguments: &'a Arguments,
    program: Option<&'a Path>,
    start: impl Fn(&Path, &Path) -> Result<(W, Server)> + 'a,
) -> Option<Box<dyn FnMut() -> Result<Turn> + 'a>> {
    let program = program?;
    Some(Box::new(move || {
        let folder = tempfile::tempdir_in(&arguments.output)?;
        let (work, mut server) = start(program, folder.path())?;
        server.keep(folder);
        load::run(work, server.id(), CLIENTS, arguments.window())
    }))
}
