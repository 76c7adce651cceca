//! One request for a message, and its answer read.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header::LOCATION};
use jiff::Timestamp;
use restante_wire::{Address, channel::WAIT_SECONDS_MAX, header, path};
use tokio::time::Instant;
use uuid::Uuid;

use super::{ReceiverOptions, Shared};
use crate::{answer::Answer, client::Call, error::RequestError, lease::granted};

/// What a request for a message was answered.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Content.
    Message(Box<Taken>),
    /// The time-out response.
    TimedOut,
}

/// A message as it was answered.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) id: Uuid,
    pub(crate) content: Bytes,
    /// The kept headers.
    pub(crate) headers: HeaderMap,
    pub(crate) deliveries: u32,
    pub(crate) enqueued_at: Timestamp,
    pub(crate) lease: String,
    pub(crate) granted: Duration,
    /// Since when the lease runs, by the monotonic clock.
    pub(crate) since: Instant,
}

impl Shared {
    /// Asks once.
    pub(crate) async fn ask(&self) -> Result<Asked, RequestError> {
        let answer = self.client.call(request(&self.source, &self.options)).await?;
        match answer.status {
            StatusCode::OK => read(answer).map(|taken| Asked::Message(Box::new(taken))),
            StatusCode::NO_CONTENT => Ok(Asked::TimedOut),
            _ => Err(answer.refused()),
        }
    }
}

fn request(source: &Address, options: &ReceiverOptions) -> Call {
    let (method, mut target) = match options.ask_by_post {
        false => (Method::GET, path::messages(source)),
        true => (Method::POST, format!("{}{source}", path::RECEIVE)),
    };
    let query = [("wait", options.wait_seconds), ("lease", options.lease_seconds)];
    for (name, value) in query.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(&format!("{name}={value}"));
    }
    // A channel never holds a request for longer than it was asked to, nor for longer than any channel may.
    let hold = options.wait_seconds.unwrap_or(WAIT_SECONDS_MAX).min(WAIT_SECONDS_MAX);
    Call { hold: Duration::from_secs(hold.into()), ..Call::new(method, target) }
}

/// Reads a 200. One without id and lease is not a broker's.
fn read(answer: Answer) -> Result<Taken, RequestError> {
    let lease = answer.text(LOCATION.as_str()).and_then(token).map(str::to_owned);
    Ok(Taken {
        id: answer.required(header::MESSAGE_ID)?,
        lease: lease.ok_or_else(|| answer.foreign("its 200 has no Location with a lease".into()))?,
        granted: granted(&answer)?,
        deliveries: answer.required(header::MESSAGE_DELIVERIES)?,
        enqueued_at: answer.required(header::MESSAGE_ENQUEUED_AT)?,
        since: answer.at,
        headers: kept(answer.headers),
        content: answer.body,
    })
}

/// The lease token at the end of a `Location`, which a gateway may have given another beginning.
fn token(location: &str) -> Option<&str> {
    let (_, token) = location.rsplit_once(path::LEASES)?;
    (!token.is_empty() && !token.contains(['/', '?', '#'])).then_some(token)
}

/// The headers that belong to the message and not to the answer.
fn kept(headers: HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| header::is_kept(name.as_str())) {
        kept.append(name.clone(), value.clone());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_says_what_was_asked_for_and_nothing_else() {
        let source = "acme/orders".parse().unwrap();
        let mut options = ReceiverOptions::default();
        let call = request(&source, &options);
        assert_eq!((call.method, call.path.as_str()), (Method::GET, "/v1/messages/acme/orders"));
        assert_eq!(call.hold.as_secs(), 300);
        options.lease_seconds = Some(60);
        assert_eq!(request(&source, &options).path, "/v1/messages/acme/orders?lease=60");
        options.wait_seconds = Some(5);
        options.ask_by_post = true;
        let call = request(&source, &options);
        assert_eq!(
            (call.method, call.path.as_str()),
            (Method::POST, "/v1/receive/acme/orders?wait=5&lease=60")
        );
        assert_eq!(call.hold.as_secs(), 5);
    }

    #[test]
    fn a_lease_is_found_behind_whatever_a_gateway_puts_before_it() {
        assert_eq!(token("/v1/leases/abc"), Some("abc"));
        assert_eq!(token("https://gate.example/mail/v1/leases/abc"), Some("abc"));
        for bad in ["/v1/leases/", "/v1/leases/a/b", "/v1/leases/a?b", "/login", ""] {
            assert_eq!(token(bad), None, "{bad}");
        }
    }
}
