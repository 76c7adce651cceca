//! Batch push: many messages in few requests, encoded as frames and split by the limits of one request. Only messages
//! that may still be stored are sent again.

use std::{ops::Range, time::Duration};

use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use restante_wire::{
    batch::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX, FRAMES_CONTENT_TYPE, PushResult, PushResults, encode_frame},
    header, path,
};
use tokio::time::Instant;

use super::{Receipt, SendError, SendOptions, Sender};
use crate::{
    answer::Answer,
    client::Call,
    error::{Refusal, RequestError},
    message::Message,
    rounds::until_all_answered,
};

/// A message and its encoding in a batch.
struct Framed {
    message: Message,
    key: String,
    frame: Vec<u8>,
}

impl Framed {
    fn new(message: Message) -> Self {
        let key = message.key();
        let mut frame = Vec::with_capacity(message.body().len() + 256);
        encode_frame(&message.item_head(&key), message.body(), &mut frame);
        Self { message, key, frame }
    }
}

impl Sender {
    /// Transmits messages in as few requests as possible (up to 1000 messages and 8 MiB each), until each is stored or
    /// permanently refused, or the deadline passes. Returns one result per message, in the same order; a failed message
    /// does not affect the others.
    ///
    /// Each message keeps its idempotency key through all tries, so a repeat is not stored twice. Only messages that
    /// were not stored and may still be are sent again. They are then stored after messages that followed them in the
    /// batch. If order matters more than speed, [`send`](Self::send) them one after the other.
    pub async fn send_batch(
        &self,
        messages: Vec<Message>,
        deadline: Option<Duration>,
    ) -> Vec<Result<Receipt, SendError>> {
        let until = deadline.map(|within| Instant::now() + within);
        let framed: Vec<Framed> = messages.into_iter().map(Framed::new).collect();
        let mut results = Vec::with_capacity(framed.len());
        for range in cut(framed.iter().map(|framed| framed.frame.len() as u64)) {
            match &framed[range] {
                // Too large for a batch: the largest message is larger than the largest batch.
                [alone] if alone.frame.len() as u64 > BATCH_BYTES_MAX => {
                    results.push(self.alone(alone, until).await);
                }
                together => results.extend(self.together(together, until).await),
            }
        }
        results
    }

    async fn alone(&self, framed: &Framed, until: Option<Instant>) -> Result<Receipt, SendError> {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let options = SendOptions { deadline: left, ..SendOptions::default() };
        self.send_under(&framed.key, &framed.message, options).await
    }

    async fn together(&self, framed: &[Framed], until: Option<Instant>) -> Vec<Result<Receipt, SendError>> {
        let once = |left: Vec<usize>| {
            let body = left.iter().flat_map(|item| &framed[*item].frame).copied().collect();
            self.transmit_batch(body, left.len())
        };
        let results = until_all_answered(
            self.client.retry(),
            until,
            framed.len(),
            |error, delay| self.report_retry(error, delay),
            once,
        );
        let keys = framed.iter().map(|framed| framed.key.clone());
        let results = results.await.into_iter().zip(keys);
        results.map(|(result, key)| result.map_err(|failure| SendError::new(failure, key))).collect()
    }

    async fn transmit_batch(
        &self,
        body: Vec<u8>,
        count: usize,
    ) -> Result<Vec<Result<Receipt, RequestError>>, RequestError> {
        let path = format!("{}{}", path::BATCHES, self.destination);
        let mut call = Call { body: body.into(), ..Call::new(Method::POST, path) };
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static(FRAMES_CONTENT_TYPE));
        let answer = self.client.call(call).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.refused());
        }
        let PushResults { results } = answer.json("the results of a batch")?;
        if results.len() != count {
            return Err(answer.not_a_broker(format!("it has {} results for {count} messages", results.len())));
        }
        Ok(results.into_iter().map(|result| receipt(&answer, result)).collect())
    }
}

/// Reads the result of one message.
fn receipt(answer: &Answer, result: PushResult) -> Result<Receipt, RequestError> {
    let PushResult { status, id, replayed, problem } = result;
    let malformed =
        || answer.not_a_broker(format!("the result {status} of a message has no valid id or status"));
    let status = StatusCode::from_u16(status).map_err(|_| malformed())?;
    if status == StatusCode::CREATED {
        let message_id = id.and_then(|id| id.parse().ok()).ok_or_else(malformed)?;
        let durability = answer.text(header::MESSAGE_DURABILITY).unwrap_or_default().to_owned();
        return Ok(Receipt { message_id, durability, replayed });
    }
    let refusal = Box::new(Refusal { status, problem, retry_after: None });
    Err(RequestError::Refused { url: answer.url.clone(), refusal })
}

/// Splits messages into requests by the sizes of their frames in bytes, in order, each with at most the number and
/// bytes of one request.
fn cut(sizes: impl Iterator<Item = u64>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (item, size) in sizes.enumerate() {
        match ranges.last_mut() {
            Some(last) if last.len() < BATCH_ITEMS_MAX && bytes + size <= BATCH_BYTES_MAX => {
                last.end = item + 1;
                bytes += size;
            }
            _ => {
                ranges.push(item..item + 1);
                bytes = size;
            }
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_split_by_its_number_of_items_and_by_its_bytes() {
        assert_eq!(cut([].into_iter()), []);
        assert_eq!(cut([1; 2001].into_iter()), [0..1000, 1000..2000, 2000..2001]);
        let half = BATCH_BYTES_MAX / 2;
        assert_eq!(cut([half, half, 1].into_iter()), [0..2, 2..3]);
        assert_eq!(cut([half, half + 1].into_iter()), [0..1, 1..2]);
        // Too large for a batch: alone.
        assert_eq!(cut([1, BATCH_BYTES_MAX + 1, 1].into_iter()), [0..1, 1..2, 2..3]);
    }
}
