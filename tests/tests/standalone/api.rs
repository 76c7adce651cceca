//! HTTP requests to a broker that may be killed at any time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context, Result};
use reqwest::{RequestBuilder, header::HeaderMap};
use restante_tests::wait;

use crate::broker::DEADLINE;

/// Client of the data port. All clients run in one thread. If hyper's connection runs in another thread than the task
/// that sends on it, a request that is sent just when the peer closes may hang until its time-out: when the connection
/// drains its queue for the last time, the request is counted in the queue but not in it yet.
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    answered: AtomicU64,
    cut: AtomicU64,
}

/// A completely received answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Result<&str> {
        let value = self.headers.get(name).with_context(|| format!("no {name} in {:?}", self.headers))?;
        Ok(value.to_str()?)
    }

    /// The body, parsed as JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).with_context(|| String::from_utf8_lossy(&self.body).into_owned())
    }

    /// Status and body, for error messages.
    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl Api {
    pub(crate) fn new(http: reqwest::Client, base: String) -> Self {
        Self { http, base, answered: AtomicU64::new(0), cut: AtomicU64::new(0) }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.base))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.base))
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.http.delete(format!("{}{path}", self.base))
    }

    /// The numbers of answered requests and of requests without an answer.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.answered.load(Relaxed), self.cut.load(Relaxed))
    }

    /// Sends a request once. `None` if the connection failed: the request may or may not have had an effect.
    pub(crate) async fn once(&self, request: RequestBuilder) -> Option<Answer> {
        let whole = async {
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = response.bytes().await?.to_vec();
            Ok::<_, reqwest::Error>(Answer { status, headers, body })
        };
        let answer = whole.await.ok();
        let counter = if answer.is_some() { &self.answered } else { &self.cut };
        counter.fetch_add(1, Relaxed);
        answer
    }

    /// Repeats a request until its answer is neither 429 nor 503.
    pub(crate) async fn until_answered(&self, request: impl Fn() -> RequestBuilder) -> Result<Answer> {
        wait::until_async("an answer", DEADLINE, || async {
            match self.once(request()).await {
                Some(answer) if matches!(answer.status, 429 | 503) => Err(answer.text()),
                Some(answer) => Ok(answer),
                None => Err("cut".into()),
            }
        })
        .await
    }
}

/// A UUID as a number.
pub(crate) fn id(text: &str) -> Result<u128> {
    Ok(u128::from_str_radix(&text.replace('-', ""), 16)?)
}
