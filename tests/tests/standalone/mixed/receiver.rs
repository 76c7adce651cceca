//! Receivers of the mixed load: they settle most messages, and use every other operation on the rest.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use anyhow::{Result, bail, ensure};
use restante_tests::ledger::account::{Account, Delivery, End, Event, now_ms};
use restante_wire::batch::{
    LeaseResult, PulledBatch, Reject, Release, Renew, SettlementResults, Settlements,
};
use tokio::sync::RwLock;

use super::{
    channels::{Habits, LEASE_SECONDS, Load},
    random::Random,
    sender::CONTENT_BYTES_MAX,
};
use crate::{
    api::{Answer, Api, id},
    content,
};

pub(super) struct Receiver {
    pub(super) api: Arc<Api>,
    name: &'static str,
    pub(super) account: Account,
    habits: Habits,
    dead_letters: bool,
    random: Random,
    /// Rejections hold it for reading and redrives for writing, so that a redrive knows all dead letters.
    redrives: Arc<RwLock<()>>,
    /// Messages that the next pull acknowledges.
    acknowledged: Vec<Message>,
}

/// A leased message.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) key: u64,
    pub(super) lease: String,
    until_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Settle,
    Acknowledge,
    RenewAndSettle,
    Release { delay: Option<u32>, counted: bool },
    Reject,
    Abandon,
}

impl Receiver {
    pub(super) fn new(api: &Arc<Api>, of: &Load, redrives: &Arc<RwLock<()>>, random: Random) -> Self {
        let Load { name, account, habits, dead_letters, .. } = of;
        Self {
            api: api.clone(),
            name,
            account: account.clone(),
            habits: *habits,
            dead_letters: *dead_letters,
            random,
            redrives: redrives.clone(),
            acknowledged: Vec::new(),
        }
    }

    /// Receives until `goes_on` is false.
    pub(super) async fn run(mut self, goes_on: Arc<AtomicBool>) -> Result<()> {
        while goes_on.load(Relaxed) {
            if self.habits.batches && self.random.percent(60) {
                let batch = self.pull_batch().await?;
                self.settle_many(batch).await?;
            } else if let Some(message) = self.pull("wait=1", LEASE_SECONDS).await? {
                let action = self.action();
                self.apply(message, action).await?;
            }
        }
        for message in std::mem::take(&mut self.acknowledged) {
            self.send_settle(&message).await?;
        }
        Ok(())
    }

    fn action(&mut self) -> Action {
        match self.random.below(100) {
            0..10 => Action::Acknowledge,
            10..18 => Action::RenewAndSettle,
            18..24 => Action::Release { delay: None, counted: true },
            24..27 => Action::Release { delay: Some(1), counted: true },
            27..31 => Action::Release { delay: None, counted: false },
            31..33 if self.habits.rejects => Action::Reject,
            33..36 => Action::Abandon,
            _ => Action::Settle,
        }
    }

    /// Pulls a message, and acknowledges earlier ones in the same request.
    pub(super) async fn pull(&mut self, query: &str, lease_seconds: u32) -> Result<Option<Message>> {
        let (asked, asked_ms) = (self.account.now(), now_ms());
        // With `ack=auto` there is no lease.
        let how = if self.habits.auto { "ack=auto".to_owned() } else { format!("lease={lease_seconds}") };
        let path = format!("acme/{}?{query}&{how}", self.name);
        let mut request = if self.random.percent(80) {
            self.api.get(&format!("/v1/messages/{path}"))
        } else {
            self.api.post(&format!("/v1/receive/{path}"))
        };
        if self.habits.auto {
            request = request.header("restante-settle", "yes");
        }
        if !self.acknowledged.is_empty() {
            let leases: Vec<_> = self.acknowledged.iter().map(|message| message.lease.as_str()).collect();
            request = request.header("acknowledge", leases.join(", "));
        }
        let Some(answer) = self.api.once(request).await else {
            if self.habits.auto {
                self.account.write(0, Event::MaybeTaken);
            }
            return Ok(None);
        };
        match answer.status {
            503 => return Ok(None),
            200 | 204 => self.record_acknowledgements(&answer),
            _ => bail!("a pull was answered {}", answer.text()),
        }
        if answer.status == 204 {
            return Ok(None);
        }
        let Some(key) = content::key_of(&answer.body, CONTENT_BYTES_MAX) else {
            self.account.unexpected(format!("{} brought {} bytes", self.name, answer.body.len()));
            return Ok(None);
        };
        let until_ms = if self.habits.auto { 0 } else { asked_ms + u64::from(lease_seconds) * 1000 };
        let delivery = Delivery {
            id: id(answer.header("message-id")?)?,
            deliveries: answer.header("message-deliveries")?.parse()?,
            asked,
            until_ms,
            moved: self.dead_letters,
        };
        ensure!(answer.headers.contains_key("message-dead-letter-cause") == self.dead_letters, "{answer:?}");
        self.account.write(key, Event::Delivered(delivery));
        if self.habits.auto {
            self.account.write(key, Event::Ended(End::Settle));
            return Ok(None);
        }
        Ok(Some(Message { key, lease: answer.header("location")?.to_owned(), until_ms }))
    }

    fn record_acknowledgements(&mut self, answer: &Answer) {
        let failed = answer.headers.get("acknowledge-failed").and_then(|failed| failed.to_str().ok());
        for message in std::mem::take(&mut self.acknowledged) {
            let refused = failed.is_some_and(|failed| failed.contains(&message.lease));
            self.ended(&message, End::Settle, !refused);
        }
    }

    /// Writes the answer to a settle or rejection into the account.
    fn ended(&self, message: &Message, end: End, done: bool) {
        let event = match done {
            true if self.habits.moves && message.until_ms <= now_ms() => Event::MaybeEnded,
            true => Event::Ended(end),
            false => Event::Refused,
        };
        self.account.write(message.key, event);
    }

    async fn apply(&mut self, message: Message, action: Action) -> Result<()> {
        match action {
            Action::Abandon => Ok(()),
            Action::Settle => self.settle(&message).await,
            Action::Acknowledge => {
                self.account.write(message.key, Event::Ending(End::Settle));
                self.acknowledged.push(message);
                Ok(())
            }
            Action::RenewAndSettle => {
                let message = self.renew(message).await?;
                self.settle(&message).await
            }
            Action::Release { delay, counted } => self.release(&message, delay, counted).await,
            Action::Reject => self.reject(&message).await,
        }
    }

    pub(super) async fn settle(&self, message: &Message) -> Result<()> {
        self.account.write(message.key, Event::Ending(End::Settle));
        self.send_settle(message).await
    }

    async fn send_settle(&self, message: &Message) -> Result<()> {
        let answer = self.api.until_answered(|| self.api.delete(&message.lease)).await?;
        self.ended(message, End::Settle, is_done(&answer)?);
        Ok(())
    }

    pub(super) async fn reject(&self, message: &Message) -> Result<()> {
        let _no_redrives = self.redrives.read().await;
        self.account.write(message.key, Event::Ending(End::Reject));
        let path = format!("{}/reject?reason=no+such+part", message.lease);
        let answer = self.api.until_answered(|| self.api.post(&path)).await?;
        self.rejected(message, is_done(&answer)?);
        Ok(())
    }

    fn rejected(&self, message: &Message, done: bool) {
        // A message that was rejected in `fragile` moves to `fragile-dead`.
        if !self.habits.moves {
            self.ended(message, End::Reject, done);
        }
    }

    pub(super) async fn release(&self, message: &Message, delay: Option<u32>, counted: bool) -> Result<()> {
        self.account.write(message.key, Event::Releasing { counted });
        let delayed = delay.map_or(String::new(), |seconds| format!("delay={seconds}&"));
        let path = format!("{}/release?{delayed}uncounted={}", message.lease, !counted);
        let answer = self.api.until_answered(|| self.api.post(&path)).await?;
        if is_done(&answer)? {
            self.account.write(message.key, returned(delay));
        }
        Ok(())
    }

    async fn renew(&self, message: Message) -> Result<Message> {
        let asked_ms = now_ms();
        let path = format!("{}/renew?lease={LEASE_SECONDS}", message.lease);
        let answer = self.api.until_answered(|| self.api.post(&path)).await?;
        match answer.status {
            200 => Ok(self.renewed(message, asked_ms)),
            410 => Ok(message),
            _ => bail!("a renewal was answered {}", answer.text()),
        }
    }

    fn renewed(&self, message: Message, asked_ms: u64) -> Message {
        let until_ms = asked_ms + u64::from(LEASE_SECONDS) * 1000;
        self.account.write(message.key, Event::Renewed { until_ms });
        Message { until_ms, ..message }
    }

    async fn pull_batch(&mut self) -> Result<Vec<Message>> {
        let (asked, asked_ms) = (self.account.now(), now_ms());
        let query = format!("max=6&linger_ms=20&wait=1&lease={LEASE_SECONDS}");
        let path = format!("/v1/batches/acme/{}?{query}", self.name);
        let Some(answer) = self.api.once(self.api.get(&path)).await else { return Ok(Vec::new()) };
        match answer.status {
            200 => {}
            204 | 503 => return Ok(Vec::new()),
            _ => bail!("a batch was answered {}", answer.text()),
        }
        let mut batch = Vec::new();
        let until_ms = asked_ms + u64::from(LEASE_SECONDS) * 1000;
        for item in answer.json::<PulledBatch>()?.messages {
            let Some(key) = content::key_of(&item.content.0, CONTENT_BYTES_MAX) else {
                self.account.unexpected(format!("a batch brought {} bytes", item.content.0.len()));
                continue;
            };
            let (id, deliveries) = (id(&item.id)?, item.deliveries);
            self.account
                .write(key, Event::Delivered(Delivery { id, deliveries, asked, until_ms, moved: false }));
            batch.push(Message { key, lease: item.head.lease.unwrap_or_default(), until_ms });
        }
        Ok(batch)
    }

    /// Chooses an action for each message of a batch, and sends all actions in one request.
    async fn settle_many(&mut self, batch: Vec<Message>) -> Result<()> {
        let (mut ack, mut release, mut reject, mut renew) = (vec![], vec![], vec![], vec![]);
        for message in batch {
            match self.action() {
                Action::Settle | Action::Acknowledge => ack.push(message),
                Action::RenewAndSettle => renew.push(message),
                Action::Release { delay, counted } => release.push((message, delay, counted)),
                Action::Reject => reject.push(message),
                Action::Abandon => {}
            }
        }
        let _no_redrives = self.redrives.read().await;
        let lease = |message: &Message| message.lease.clone();
        ack.iter().for_each(|message| self.account.write(message.key, Event::Ending(End::Settle)));
        reject.iter().for_each(|message| self.account.write(message.key, Event::Ending(End::Reject)));
        for (message, _, counted) in &release {
            self.account.write(message.key, Event::Releasing { counted: *counted });
        }
        let all = Settlements {
            ack: ack.iter().map(lease).collect(),
            release: release
                .iter()
                .map(|(message, delay, counted)| Release {
                    lease: lease(message),
                    delay: *delay,
                    uncounted: !counted,
                })
                .collect(),
            reject: reject
                .iter()
                .map(|message| Reject { lease: lease(message), reason: Some("no such part".into()) })
                .collect(),
            renew: renew
                .iter()
                .map(|message| Renew { lease: lease(message), seconds: Some(LEASE_SECONDS) })
                .collect(),
        };
        let (asked_ms, body) = (now_ms(), serde_json::to_vec(&all)?);
        let request = || {
            let post = self.api.post("/v1/settlements").header("content-type", "application/json");
            post.body(body.clone())
        };
        let answer = self.api.until_answered(request).await?;
        ensure!(answer.status == 200, "settlements were answered {}", answer.text());
        let results: SettlementResults = answer.json()?;
        for (message, result) in ack.iter().zip(&results.ack) {
            self.ended(message, End::Settle, is_success(result, 204)?);
        }
        for (message, result) in reject.iter().zip(&results.reject) {
            self.rejected(message, is_success(result, 204)?);
        }
        for ((message, delay, _), result) in release.iter().zip(&results.release) {
            if is_success(result, 204)? {
                self.account.write(message.key, returned(*delay));
            }
        }
        for (message, result) in renew.into_iter().zip(&results.renew) {
            if is_success(result, 200)? {
                self.renewed(message, asked_ms);
            }
        }
        Ok(())
    }
}

/// The event of a release. `due_ms` is computed after the answer, so it is slightly later than in the broker.
fn returned(delay: Option<u32>) -> Event {
    Event::Released { due_ms: delay.map_or(0, |seconds| now_ms() + u64::from(seconds) * 1000) }
}

/// Whether the operation was done (204), or refused because the lease is no longer valid (410).
fn is_done(answer: &Answer) -> Result<bool> {
    match answer.status {
        204 => Ok(true),
        410 => Ok(false),
        _ => bail!("a lease was answered {}", answer.text()),
    }
}

fn is_success(result: &LeaseResult, good: u16) -> Result<bool> {
    match result.status {
        status if status == good => Ok(true),
        410 => Ok(false),
        _ => bail!("a lease in a settlement was answered {result:?}"),
    }
}
