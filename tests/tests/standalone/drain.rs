//! A broker that drains under load, and its successor on the same data folder: no client that retries or settles fails.

use std::{
    net::SocketAddrV4,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result, ensure};
use restante_client::{Problem, ProblemType};
use restante_tests::{
    ledger::{
        self,
        account::{Account, Delivery, End, Event, Expired, Terms, now_ms},
    },
    wait,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    api::{Answer, Api, id},
    broker::{Broker, DEADLINE, channel, http},
    content,
    forwarder::Forwarder,
};

/// Longer than the test, so that no message returns because its lease expired.
const LEASE_SECONDS: u64 = 60;
const CONTENT_BYTES_MAX: usize = 2000;
/// Messages that a receiver receives before it settles them.
const HELD: usize = 8;
const ANSWERS: u64 = 300;

/// The senders and receivers of the load.
#[derive(Clone)]
struct Clients {
    api: Arc<Api>,
    account: Account,
    sending: Arc<AtomicBool>,
    receiving: Arc<AtomicBool>,
    /// The number of received messages that are not settled yet.
    held: Arc<AtomicU64>,
}

impl Clients {
    fn new(api: &Arc<Api>) -> Self {
        let yes = || Arc::new(AtomicBool::new(true));
        let (account, held) = (Account::default(), Arc::default());
        Self { api: api.clone(), account, sending: yes(), receiving: yes(), held }
    }

    /// Sends messages, and repeats each one that was cut off or refused, with the same key.
    async fn send(self, sender: u32) -> Result<()> {
        let mut count = 0;
        while self.sending.load(Relaxed) {
            count += 1;
            let key = ledger::key(sender, count);
            let content = content::of(key, CONTENT_BYTES_MAX);
            self.account.write(key, Event::Sent(Terms { bytes: content.len() as u64, ..Terms::default() }));
            let push = || {
                let push = self.api.post("/v1/messages/acme/orders").header("prefer", "wait=5");
                push.header("idempotency-key", format!("{key:x}")).body(content.clone())
            };
            let answer = self.api.until_answered(push).await?;
            ensure!(answer.status == 201, "a push was answered {}", answer.text());
            self.account.write(key, Event::Stored(id(answer.header("message-id")?)?));
        }
        Ok(())
    }

    /// Receives up to `HELD` messages, then renews and settles each; earlier if a pull gets no message.
    async fn receive(self) -> Result<()> {
        let mut held: Vec<(u64, String)> = Vec::new();
        while self.receiving.load(Relaxed) || !held.is_empty() {
            let asked = self.account.now();
            let pull = || self.api.get(&format!("/v1/messages/acme/orders?wait=1&lease={LEASE_SECONDS}"));
            let answer = if held.is_empty() {
                self.api.until_answered(pull).await?
            } else {
                first_answer(&self.api, pull).await?
            };
            if answer.status == 200 {
                held.push(self.received(asked, &answer)?);
                self.held.fetch_add(1, Relaxed);
            }
            if held.len() == HELD || answer.status != 200 {
                for (key, lease) in std::mem::take(&mut held) {
                    self.settle(key, &lease).await?;
                }
            }
        }
        Ok(())
    }

    fn received(&self, asked: usize, answer: &Answer) -> Result<(u64, String)> {
        let key = content::key_of(&answer.body, CONTENT_BYTES_MAX).context("an unexpected content")?;
        let (id, deliveries) =
            (id(answer.header("message-id")?)?, answer.header("message-deliveries")?.parse()?);
        let until_ms = now_ms() + LEASE_SECONDS * 900;
        self.account.write(key, Event::Delivered(Delivery { id, deliveries, asked, until_ms, moved: false }));
        Ok((key, answer.header("location")?.to_owned()))
    }

    /// Renews and settles a lease at the old or the new broker: the answers are always 200 and 204.
    async fn settle(&self, key: u64, lease: &str) -> Result<()> {
        let renewed = first_answer(&self.api, || self.api.post(&format!("{lease}/renew?lease=60"))).await?;
        ensure!(renewed.status == 200, "a renewal of {key:#x} was answered {}", renewed.text());
        self.account.write(key, Event::Ending(End::Settle));
        let settled = first_answer(&self.api, || self.api.delete(lease)).await?;
        ensure!(settled.status == 204, "a settle of {key:#x} was answered {}", settled.text());
        self.account.write(key, Event::Ended(End::Settle));
        self.held.fetch_sub(1, Relaxed);
        Ok(())
    }

    async fn until_answers(&self, more: u64) -> Result<()> {
        let enough = self.api.counts().0 + more;
        wait::until_async("answers", DEADLINE, || async {
            let (answered, _) = self.api.counts();
            if answered >= enough { Ok(()) } else { Err(format!("{answered} of {enough}")) }
        })
        .await
    }
}

/// The first answer of any status; only a request whose connection failed is repeated.
async fn first_answer(api: &Api, request: impl Fn() -> reqwest::RequestBuilder) -> Result<Answer> {
    wait::until_async("any answer", DEADLINE, || async { api.once(request()).await.ok_or("cut") }).await
}

/// A push whose body is sent only in part: the broker does not exit while it is open.
struct PartialPush(TcpStream);

impl PartialPush {
    async fn to(broker: SocketAddrV4) -> Result<Self> {
        let mut stream = TcpStream::connect(broker).await?;
        let head =
            format!("POST /v1/messages/acme/quiet HTTP/1.1\r\nhost: {broker}\r\ncontent-length: 8\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(b"half").await?;
        Ok(Self(stream))
    }

    async fn finish(mut self) -> Result<String> {
        self.0.write_all(b"half").await?;
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

fn is_draining(answer: &Answer) -> Result<()> {
    let problem: Problem = answer.json()?;
    ensure!(
        answer.status == 503 && problem.problem_type() == Some(ProblemType::Draining),
        "{}",
        answer.text()
    );
    ensure!(answer.header("retry-after")? == "1", "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn a_drain_under_load_fails_no_client_that_retries_and_none_that_settles() -> Result<()> {
    let manifests = [
        channel("orders", "limits: {messages: 100}"),
        channel("quiet", ""),
        channel("full", "limits: {messages: 1}"),
    ];
    let mut broker = Broker::prepared(&manifests.concat(), &["--lock-wait", "30"])?;
    broker.start()?;
    broker.ready().await?;
    let partial_push = PartialPush::to(broker.data).await?;
    // Half of its eight bytes are counted.
    broker.until_metric("restante_body_memory_bytes", 4.0).await?;

    let forwarder = Forwarder::to(broker.data).await?;
    let api = Arc::new(Api::new(http()?, forwarder.url()));
    let clients = Clients::new(&api);
    let (mut senders, mut receivers) = (JoinSet::new(), JoinSet::new());
    for number in 1..=3 {
        senders.spawn(clients.clone().send(number));
        receivers.spawn(clients.clone().receive());
    }

    // Requests that wait: for a message, for room, for the next event. And a lease that lasts through the drain.
    ensure!(first_answer(&api, || api.post("/v1/messages/acme/full").body("full")).await?.status == 201);
    let held = first_answer(&api, || api.get("/v1/messages/acme/full?wait=5&lease=60")).await?;
    let held = held.header("location")?.to_owned();
    let push = api.post("/v1/messages/acme/full").header("prefer", "wait=20").body("more");
    let pull = api.get("/v1/messages/acme/quiet?wait=20");
    let stream = api.get("/v1/messages/acme/quiet").header("accept", "text/event-stream");
    let waiting = [push, pull, stream].map(|request| {
        let api = api.clone();
        tokio::spawn(async move { api.once(request).await })
    });
    wait::until_async("receivers to wait", DEADLINE, || async {
        let stats = broker.stats("quiet").await?;
        ensure!(stats.waiting_receivers == 2, "{stats:?}");
        ensure!(broker.stats("full").await?.waiting_senders == 1, "no sender waits for room");
        Ok::<(), anyhow::Error>(())
    })
    .await?;
    clients.until_answers(ANSWERS).await?;

    let mut predecessor = broker.replace()?;
    let [push, pull, stream] = waiting;
    is_draining(&push.await?.context("a waiting push was cut off")?)?;
    let pull = pull.await?.context("a waiting pull was cut off")?;
    ensure!(pull.status == 204, "a waiting pull was answered {}", pull.text());
    let stream = stream.await?.context("a stream was cut off instead of ended")?;
    ensure!(stream.status == 200, "{}", stream.text());

    // The drain lasts while the partial push is open: new pushes and pulls are refused, and lease operations are
    // served.
    is_draining(&first_answer(&api, || api.post("/v1/messages/acme/quiet").body("late")).await?)?;
    is_draining(&first_answer(&api, || api.get("/v1/messages/acme/quiet?wait=0")).await?)?;
    ensure!(first_answer(&api, || api.post(&format!("{held}/renew?lease=60"))).await?.status == 200);
    ensure!(first_answer(&api, || api.delete(&held)).await?.status == 204);
    wait::until_async("all messages to be settled during the drain", DEADLINE, || async {
        let held = clients.held.load(Relaxed);
        if held == 0 { Ok(()) } else { Err(format!("{held} are not settled")) }
    })
    .await?;
    predecessor.check_running()?;
    let answer = partial_push.finish().await?;
    ensure!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    ensure!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    ensure!(predecessor.ended(DEADLINE).await?.success());

    broker.ready().await?;
    forwarder.forward_to(broker.data);
    clients.until_answers(ANSWERS).await?;
    for (clients_of, goes_on) in [(&mut senders, &clients.sending), (&mut receivers, &clients.receiving)] {
        goes_on.store(false, Relaxed);
        while let Some(client) = clients_of.join_next().await {
            client??;
        }
    }
    // The receivers may have ended before the channel was empty.
    clients.receiving.store(true, Relaxed);
    let last = tokio::spawn(clients.clone().receive());
    broker.until_empty("orders").await?;
    clients.receiving.store(false, Relaxed);
    last.await??;

    let account = &clients.account;
    assert_eq!(account.violations(), []);
    assert_eq!(account.violations_in(&[], Expired::Drop), []);
    let entries = account.to_vec();
    let times = |which: fn(&Event) -> bool| entries.iter().filter(|entry| which(&entry.event)).count();
    let stored = account.count(|event| matches!(event, Event::Stored(_)));
    // Nothing was delivered twice: no answer was lost, and each message was settled once.
    assert_eq!(times(|event| matches!(event, Event::Delivered(_))), stored);
    assert_eq!(times(|event| matches!(event, Event::Ended(End::Settle))), stored);
    let late = broker.stats("quiet").await?;
    assert_eq!((late.ready, late.messages()), (1, 1), "the message of the partial push is missing");
    assert_eq!(broker.stats("full").await?.messages(), 0);
    Ok(())
}
