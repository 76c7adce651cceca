//! The `Date` of an answer (RFC 9110 section 6.6.1), by the broker's clock.
//!
//! hyper can add the date to answers without one. But if the wall clock is set back, hyper's date stands still until
//! the clock has reached its old time again. So hyper's dates are off, and hyper's own answers to invalid request heads
//! have no date.

use std::{cell::RefCell, convert::Infallible, future::ready};

use axum::body::Body;
use http::{HeaderValue, Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

use crate::clock::{Clock, Millis, http_date};

thread_local! {
    /// The last second that was formatted, and its text.
    static PRINTED: RefCell<(Millis, HeaderValue)> = const { RefCell::new((Millis::MAX, HeaderValue::from_static(""))) };
}

/// The date of an answer that is sent now. Each thread formats it once per second.
pub(super) fn date(clock: &Clock) -> HeaderValue {
    let second = clock.wall(clock.now()) / 1000;
    PRINTED.with_borrow_mut(|(printed, value)| {
        if *printed != second {
            let text = http_date(second * 1000);
            (*printed, *value) = (second, HeaderValue::try_from(text).expect("a date is visible ASCII"));
        }
        value.clone()
    })
}

/// Makes hyper read the wall clock on this thread at the start of the broker, when the clock has a valid date. Even
/// with dates off, hyper formats the date when an HTTP/1 connection is active: the first time, and when a second has
/// passed since the last time. It panics if the date is before 1970. If the clock is set back later, no second has
/// passed for hyper.
pub(super) async fn prime_hypers_clock() {
    let nothing = service_fn(|_: Request<Incoming>| ready(Ok::<_, Infallible>(Response::new(Body::empty()))));
    // The connection has no request and ends at once.
    let ended = http1::Builder::new().serve_connection(TokioIo::new(tokio::io::empty()), nothing).await;
    debug_assert!(ended.is_ok(), "{ended:?}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, routing::get};
    use reqwest::Client;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::{
        clock::{Past, TimeSource},
        drain::Drain,
        http::{ConnectionLimits, Places, Server, connection::ConnectionCounts, serve},
    };

    /// 2026-11-30.
    const WALL: i64 = 1_796_000_000_000;
    const YEAR_MS: i64 = 365 * 86_400_000;

    #[tokio::test]
    async fn both_http_versions_date_answers_by_the_brokers_clock_even_after_jumps() {
        let source = TimeSource::of_test(WALL);
        let clock = Clock::start(source.clone(), Past::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let drain = Drain::new();
        let served = tokio::spawn(serve(server(listener, &clock, &drain)));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clients = [Client::new(), Client::builder().http2_prior_knowledge().build().unwrap()];
        for (shows, date) in [
            (WALL, "Mon, 30 Nov 2026 00:53:20 GMT"),
            (WALL + YEAR_MS, "Tue, 30 Nov 2027 00:53:20 GMT"),
            (WALL, "Mon, 30 Nov 2026 00:53:20 GMT"),
            // The last known time continues.
            (5_000, "Mon, 30 Nov 2026 00:53:20 GMT"),
        ] {
            source.set_wall(shows);
            clock.follow();
            for client in &clients {
                let answer = client.get(&url).send().await.unwrap();
                let dates: Vec<_> = answer.headers().get_all("date").iter().collect();
                assert_eq!(dates, [date], "{:?}", answer.version());
            }
        }
        drop(clients);
        drain.begin();
        served.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_generated_by_hyper_has_no_date() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let drain = Drain::new();
        let clock = Clock::start(TimeSource::of_test(WALL), Past::default());
        let served = tokio::spawn(serve(server(listener, &clock, &drain)));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"no request\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("date:"), "{answer}");
        drain.begin();
        served.await.unwrap();
    }

    fn server(listener: TcpListener, clock: &Clock, drain: &Drain) -> Server<Router> {
        Server {
            listener,
            service: Router::new().route("/", get(async || "")),
            limits: ConnectionLimits::default(),
            places: Places::uncounted(8),
            counts: ConnectionCounts::unread(),
            clock: clock.clone(),
            drain: drain.clone(),
            drain_timeout: Duration::from_secs(5),
        }
    }
}
