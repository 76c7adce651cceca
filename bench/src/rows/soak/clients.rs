//! Senders and receivers of the soak, which use every feature of the contract. Counters decide the next operation, so
//! that every run does the same.

use std::{cell::RefCell, net::SocketAddr, time::Instant};

use anyhow::{Context, Result, ensure};
use restante_wire::header;

use super::channels::{DEAD, DESTINATIONS, QUIET, SOURCES};
use crate::{
    broker::{http, operator::NAMESPACE},
    stream::Stream,
};

/// One message in this number has a key, is delayed, or is short-lived.
const KEYED: u64 = 3;
const DELAYED: u64 = 29;
const SHORT_LIVED: u64 = 41;
/// One message in this number is released, rejected, or left until its lease expires.
const RELEASED: u64 = 23;
const REJECTED: u64 = 37;
const FORGOTTEN: u64 = 211;
/// A receiver hangs up while it waits, and reconnects, once in this number of pulls.
const HUNG_UP: u64 = 97;
/// Number of message groups: enough that a group that waits for an expired lease blocks few messages.
const GROUPS: u64 = 5000;

/// Counts of the clients since the last sample.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Time from the first byte of each push to its 201, in microseconds.
    pub(super) pushes: Vec<f64>,
    pub(super) received: u64,
}

/// State that all clients share.
pub(super) struct Clients {
    pub(super) server: SocketAddr,
    pub(super) counts: RefCell<Counts>,
}

/// Size of a message in bytes: half of the messages are short, and one in a hundred is long.
fn size(count: u64) -> usize {
    match count * 7919 % 100 {
        0 => 64 << 10,
        1..10 => 8 << 10,
        10..50 => 1 << 10,
        _ => 100,
    }
}

impl Clients {
    /// Sends messages without end.
    pub(super) async fn send(&self, sender: u64) -> Result<()> {
        let mut stream = Stream::open(self.server).await?;
        let body: Vec<u8> = (0..64 << 10).map(|index| index as u8).collect();
        let destination = DESTINATIONS[(sender % DESTINATIONS.len() as u64) as usize];
        let path = format!("/v1/messages/{NAMESPACE}/{destination}");
        for count in 1.. {
            let request = http::post(&path, &headers(sender, count, destination), &body[..size(count)]);
            loop {
                let began = Instant::now();
                stream.send(&request).await?;
                let answer = http::any_answer(&mut stream).await?;
                if answer.status == 201 {
                    self.counts.borrow_mut().pushes.push(began.elapsed().as_secs_f64() * 1e6);
                    break;
                }
                // The channel stayed full during the wait; the sender repeats the push and waits again.
                ensure!(
                    answer.status == 429,
                    "unexpected answer to a push: {}",
                    String::from_utf8_lossy(&answer.body)
                );
            }
        }
        Ok(())
    }

    /// Receives messages without end, and settles most of them.
    pub(super) async fn receive(&self, receiver: u64) -> Result<()> {
        let source = format!("{NAMESPACE}/{}", SOURCES[(receiver % SOURCES.len() as u64) as usize]);
        let mut stream = Stream::open(self.server).await?;
        let mut settles: Option<String> = None;
        for count in receiver.. {
            stream.send(&http::pull(&source, "?wait=5&lease=2", settles.take().as_deref())).await?;
            if count % HUNG_UP == 0 {
                stream = Stream::open(self.server).await?;
                continue;
            }
            let answer = http::any_answer(&mut stream).await?;
            ensure!(
                matches!(answer.status, 200 | 204),
                "unexpected answer to a pull: {}",
                String::from_utf8_lossy(&answer.body)
            );
            if answer.status == 204 {
                continue;
            }
            self.counts.borrow_mut().received += 1;
            let lease = answer.location.context("a message has no lease")?;
            if count % FORGOTTEN == 0 {
                continue;
            }
            let verdicts = [("release", RELEASED), ("reject?reason=soak", REJECTED)];
            match verdicts.into_iter().find(|(_, one_in)| count % one_in == 0) {
                Some((verdict, _)) => {
                    stream.send(&http::post(&format!("{lease}/{verdict}"), "", &[])).await?;
                    http::status(&mut stream, 204).await?;
                }
                None => settles = Some(lease),
            }
        }
        Ok(())
    }

    /// Receives dead letters in batches that are settled automatically.
    pub(super) async fn receive_dead_letters(&self) -> Result<()> {
        let mut stream = Stream::open(self.server).await?;
        let request = http::get_and_settle(&format!("/v1/batches/{NAMESPACE}/{DEAD}?wait=5&ack=auto&max=50"));
        loop {
            stream.send(&request).await?;
            let answer = http::any_answer(&mut stream).await?;
            ensure!(
                matches!(answer.status, 200 | 204),
                "unexpected answer to a batch pull: {}",
                String::from_utf8_lossy(&answer.body)
            );
        }
    }

    /// Waits on a channel without messages.
    pub(super) async fn wait(&self) -> Result<()> {
        let mut stream = Stream::open(self.server).await?;
        loop {
            stream.send(&http::pull(&format!("{NAMESPACE}/{QUIET}"), "?wait=20", None)).await?;
            http::status(&mut stream, 204).await?;
        }
    }
}

fn headers(sender: u64, count: u64, destination: &str) -> String {
    let mut headers = format!("{}: wait=10\r\n", header::PREFER);
    if count.is_multiple_of(KEYED) {
        headers += &format!("{}: {sender}-{count}\r\n", header::IDEMPOTENCY_KEY);
    }
    if destination == "groups" {
        headers += &format!("{}: g{}\r\n", header::MESSAGE_GROUP, count % GROUPS);
    } else if count.is_multiple_of(DELAYED) {
        headers += &format!("{}: 1\r\n", header::MESSAGE_DELAY);
    } else if count.is_multiple_of(SHORT_LIVED) {
        headers += &format!("{}: 5\r\n", header::MESSAGE_TTL);
    }
    headers
}
