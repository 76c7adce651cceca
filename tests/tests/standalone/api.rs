//! Requests to a broker that ends now and then.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context, Result};
use reqwest::{RequestBuilder, header::HeaderMap};
use restante_tests::wait;

use crate::broker::DEADLINE;

/// The data port, as clients reach it. All of them in one thread: where hyper's connection is of another thread than the task
/// that sends on it, a request that is sent just when the peer closes may hang until it is given up (it is counted in the
/// channel between the two, and not yet in it, when the connection empties that for the last time).
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    answered: AtomicU64,
    cut: AtomicU64,
}

/// An answer that came as a whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header, which must be there.
    pub(crate) fn header(&self, name: &str) -> Result<&str> {
        let value = self.headers.get(name).with_context(|| format!("no {name} in {:?}", self.headers))?;
        Ok(value.to_str()?)
    }

    /// The body, which is JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).with_context(|| String::from_utf8_lossy(&self.body).into_owned())
    }

    /// What it says, in words.
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

    /// How many requests were answered, and how many were cut.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.answered.load(Relaxed), self.cut.load(Relaxed))
    }

    /// The answer; none when the connection was cut, and then the request may have had its effect or not.
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

    /// The same request until it is answered, and not with that it should come again.
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

/// An id as a number.
pub(crate) fn id(text: &str) -> Result<u128> {
    Ok(u128::from_str_radix(&text.replace('-', ""), 16)?)
}
