//! Senders of the mixed load. Each has one request in flight.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use anyhow::{Result, ensure};
use reqwest::RequestBuilder;
use restante_tests::ledger::{
    self,
    account::{Account, Event, Terms},
};
use restante_wire::batch::{Content, HeaderValues, Item, ItemHead, PushBatch, PushResults};

use super::{
    channels::{Destination, Habits},
    random::Random,
};
use crate::{
    api::{Answer, Api, id},
    broker::DEADLINE,
    content,
};

pub(super) const CONTENT_BYTES_MAX: usize = 4000;
/// A kept header, which counts towards the bytes of the channel.
pub(super) const KEPT: &str = "meta-sender";
/// Limit of earlier pushes that a sender may repeat.
const REMEMBERED_MAX: usize = 100;
const BATCH_MAX: u64 = 8;

pub(super) struct Sender {
    api: Arc<Api>,
    name: &'static str,
    accounts: Vec<Account>,
    habits: Habits,
    number: u32,
    count: u32,
    random: Random,
    /// Answered pushes with a key.
    answered: Vec<Message>,
}

#[derive(Debug, Clone, Copy)]
struct Message {
    key: u64,
    group: Option<u32>,
    delay_seconds: Option<u32>,
    ttl_seconds: Option<u32>,
}

impl Sender {
    pub(super) fn new(api: &Arc<Api>, to: &Destination, number: u32, random: Random) -> Self {
        let Destination { name, accounts, habits } = to;
        let (accounts, answered) = (accounts.clone(), Vec::new());
        Self { api: api.clone(), name, accounts, habits: *habits, number, count: 0, random, answered }
    }

    /// Sends until `goes_on` is false.
    pub(super) async fn run(mut self, goes_on: Arc<AtomicBool>) -> Result<()> {
        while goes_on.load(Relaxed) {
            if self.habits.batches && self.random.percent(70) {
                self.push_batch().await?;
            } else if self.random.percent(15) {
                self.push_without_key().await?;
            } else {
                self.push().await?;
            }
            if self.random.percent(20) {
                self.repeat().await?;
            }
        }
        Ok(())
    }

    /// Sends messages without group, delay and time to live.
    pub(super) async fn push_many(mut self, count: u32) -> Result<()> {
        self.habits = Habits::default();
        for _ in 0..count {
            self.push().await?;
        }
        Ok(())
    }

    fn next(&mut self) -> Message {
        self.count += 1;
        let delayed = self.habits.delays && self.random.percent(5);
        let groups = u64::from(self.habits.groups);
        let group = (groups > 0).then(|| self.number * 100 + self.random.below(groups.max(1)) as u32);
        Message {
            key: ledger::key(self.number, self.count),
            // A strict channel is one group, but the order among several senders is unknown. So each sender has its own
            // groups.
            group,
            delay_seconds: delayed.then_some(1),
            ttl_seconds: self.habits.short_lived.then(|| 1 + self.random.below(2) as u32),
        }
    }

    fn write(&self, key: u64, event: &Event) {
        self.accounts.iter().for_each(|account| account.write(key, event.clone()));
    }

    fn announce(&self, message: Message) {
        let Message { key, group, delay_seconds, ttl_seconds } = message;
        let kept = 4 + KEPT.len() + self.number.to_string().len();
        let terms = Terms {
            group,
            delayed: delay_seconds.is_some(),
            ttl_ms: ttl_seconds.map(|seconds| u64::from(seconds) * 1000),
            bytes: (content::of(key, CONTENT_BYTES_MAX).len() + kept) as u64,
        };
        self.write(key, &Event::Sent(terms));
    }

    fn request(&self, message: Message, content: Vec<u8>, keyed: bool) -> RequestBuilder {
        let Message { key, group, delay_seconds, ttl_seconds } = message;
        let path = format!("/v1/messages/acme/{}", self.name);
        let mut request = self.api.post(&path).header(KEPT, self.number).header("prefer", "wait=1");
        if keyed {
            request = request.header("idempotency-key", idempotency_key(key));
        }
        if let Some(group) = group {
            request = request.header("message-group", group.to_string());
        }
        if let Some(seconds) = delay_seconds {
            request = request.header("message-delay", seconds.to_string());
        }
        if let Some(seconds) = ttl_seconds {
            request = request.header("message-ttl", seconds.to_string());
        }
        request.body(content)
    }

    fn stored(&self, key: u64, answer: &Answer) -> Result<()> {
        ensure!(answer.status == 201, "a push of {key:#x} was answered {}", answer.text());
        self.write(key, &Event::Stored(id(answer.header("message-id")?)?));
        Ok(())
    }

    /// Pushes until there is an answer. The broker recognises a repeat by its key.
    async fn push(&mut self) -> Result<()> {
        let message = self.next();
        self.announce(message);
        let content = content::of(message.key, CONTENT_BYTES_MAX);
        let answer = self.api.until_answered(|| self.request(message, content.clone(), true)).await?;
        self.stored(message.key, &answer)?;
        self.remember(message);
        Ok(())
    }

    /// Pushes once. If the request is cut off, the outcome is unknown.
    async fn push_without_key(&mut self) -> Result<()> {
        let message = self.next();
        let content = content::of(message.key, CONTENT_BYTES_MAX);
        self.announce(message);
        match self.api.once(self.request(message, content, false)).await {
            // Refused, and not stored.
            Some(answer) if matches!(answer.status, 429 | 503) => Ok(()),
            Some(answer) => self.stored(message.key, &answer),
            None => Ok(()),
        }
    }

    async fn push_batch(&mut self) -> Result<()> {
        let count = 1 + self.random.below(BATCH_MAX);
        let mut left: Vec<Message> = (0..count).map(|_| self.next()).collect();
        left.iter().for_each(|message| self.announce(*message));
        let began = Instant::now();
        while !left.is_empty() {
            ensure!(began.elapsed() < DEADLINE, "{} has no room for {} messages", self.name, left.len());
            let messages = left.iter().map(|message| self.item(*message)).collect();
            let body = serde_json::to_vec(&PushBatch { messages })?;
            let path = format!("/v1/batches/acme/{}", self.name);
            let request =
                || self.api.post(&path).header("content-type", "application/json").body(body.clone());
            let answer = self.api.until_answered(request).await?;
            ensure!(answer.status == 200, "a batch was answered {}", answer.text());
            let results = answer.json::<PushResults>()?.results;
            ensure!(results.len() == left.len(), "{} items, {} results", left.len(), results.len());
            let mut full = Vec::new();
            for (message, result) in left.iter().zip(results) {
                match (result.status, &result.id) {
                    (201, Some(text)) => {
                        self.write(message.key, &Event::Stored(id(text)?));
                        self.answered.push(*message);
                    }
                    (429, _) => full.push(*message),
                    _ => self.accounts[0].unexpected(format!("an item of a batch got {result:?}")),
                }
            }
            left = full;
        }
        Ok(())
    }

    fn item(&self, message: Message) -> Item {
        let Message { key, group, delay_seconds, ttl_seconds } = message;
        let sender = HeaderValues::One(self.number.to_string());
        let head = ItemHead {
            idempotency_key: Some(idempotency_key(key)),
            group: group.map(|group| group.to_string()),
            delay_seconds,
            ttl_seconds,
            headers: [(KEPT.to_owned(), sender)].into(),
            ..ItemHead::default()
        };
        Item { content: Content(content::of(key, CONTENT_BYTES_MAX)), head }
    }

    fn remember(&mut self, message: Message) {
        self.answered.push(message);
        let many = self.answered.len().saturating_sub(REMEMBERED_MAX);
        self.answered.drain(..many);
    }

    /// Repeats an answered push, or pushes another content with its key.
    async fn repeat(&mut self) -> Result<()> {
        if self.answered.is_empty() {
            return Ok(());
        }
        let message = self.answered[self.random.below(self.answered.len() as u64) as usize];
        let other = self.random.percent(30);
        let mut content = content::of(message.key, CONTENT_BYTES_MAX);
        if other {
            content.push(0);
        }
        let answer = self.api.until_answered(|| self.request(message, content.clone(), true)).await?;
        let replayed = answer.headers.contains_key("idempotency-replayed");
        match (other, answer.status) {
            (true, 422) => Ok(()),
            (false, 201) if replayed => self.stored(message.key, &answer),
            _ => {
                let what = if other { "another content with the key" } else { "a repeat" };
                self.accounts[0].unexpected(format!("{what} of {:#x} got {}", message.key, answer.text()));
                Ok(())
            }
        }
    }
}

fn idempotency_key(key: u64) -> String {
    format!("key-{key:x}")
}
