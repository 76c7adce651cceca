//! The date of an answer (RFC 9110 section 6.6.1), by the broker's clock.
//!
//! Hyper dates answers as well, where nobody has: its date stands still after the wall clock was set back, until that has come to
//! where it was. It is left what hyper itself answers to a head that is none.

use std::cell::RefCell;

use http::HeaderValue;

use crate::clock::{Clock, Millis, http_date};

thread_local! {
    /// The second that was last printed.
    static PRINTED: RefCell<(Millis, HeaderValue)> = const { RefCell::new((Millis::MAX, HeaderValue::from_static(""))) };
}

/// The date of an answer that leaves now. A thread prints one in a second.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, routing::get};
    use reqwest::Client;
    use tokio::net::TcpListener;

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
    async fn answers_are_dated_by_the_broker_s_clock_in_both_versions_though_it_jumps_to_and_fro() {
        let source = TimeSource::of_test(WALL);
        let clock = Clock::start(source.clone(), Past::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let drain = Drain::new();
        let served = tokio::spawn(serve(Server {
            listener,
            service: Router::new().route("/", get(async || "")),
            limits: ConnectionLimits::default(),
            places: Places::uncounted(8),
            counts: ConnectionCounts::unread(),
            clock: clock.clone(),
            drain: drain.clone(),
            drain_timeout: Duration::from_secs(5),
        }));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clients = [Client::new(), Client::builder().http2_prior_knowledge().build().unwrap()];
        for (shows, date) in [
            (WALL, "Mon, 30 Nov 2026 00:53:20 GMT"),
            (WALL + YEAR_MS, "Tue, 30 Nov 2027 00:53:20 GMT"),
            (WALL, "Mon, 30 Nov 2026 00:53:20 GMT"),
            // The last that was known goes on.
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
}
