//! Probes and metrics.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use reqwest::{Method, StatusCode};

use crate::broker::{Broker, ORDERS};

#[tokio::test]
async fn a_broker_without_channels_is_live_and_not_ready() {
    let mut broker = Broker::prepared(&[]);
    broker.start();
    assert_eq!(broker.admin("/livez").await.0, StatusCode::OK);
    let (status, reason) = broker.admin("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reason.contains("not programmed"), "{reason}");
    let response = broker.push("acme/orders", "x").send().await.unwrap();
    crate::broker::assert_problem(response, 503, restante_wire::ProblemType::NotProgrammed).await;
}

#[tokio::test]
async fn metrics_count_pushes_deliveries_settles_and_releases() {
    let broker = Broker::serving(ORDERS);
    for _ in 0..3 {
        broker.pushed("acme/orders", "12345").await;
    }
    let (_, lease) = broker.pulled("acme/orders").await;
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    let (_, lease) = broker.pulled("acme/orders").await;
    broker.request(Method::POST, &format!("{lease}/release?delay=0")).send().await.unwrap();
    let _leased = broker.pulled("acme/orders").await;
    for (series, value) in [
        ("restante_messages_pushed_total", 3.0),
        ("restante_messages_delivered_total", 3.0),
        ("restante_messages_redelivered_total", 1.0),
        ("restante_messages_settled_total", 1.0),
        ("restante_messages_released_total", 1.0),
        ("restante_message_size_bytes_sum", 15.0),
        ("restante_message_residence_seconds_count", 1.0),
        ("restante_relay_messages", 0.0),
        ("restante_address_channels", 1.0),
        ("restante_channel_messages{namespace=\"acme\",channel=\"orders\",state=\"ready\"}", 1.0),
        ("restante_channel_messages{namespace=\"acme\",channel=\"orders\",state=\"leased\"}", 1.0),
        ("restante_channel_bytes{namespace=\"acme\",channel=\"orders\"}", 10.0),
        ("restante_channel_pushed_total{namespace=\"acme\",channel=\"orders\"}", 3.0),
    ] {
        assert_eq!(broker.metric(series).await, value, "{series}");
    }
    let pushes = "restante_http_request_duration_seconds_count{code=\"201\",method=\"POST\",route=\"/v1/messages/{*address}\"}";
    assert_eq!(broker.metric(pushes).await, 3.0);
}

#[tokio::test]
async fn the_series_of_a_removed_channel_are_removed() {
    let mut broker = Broker::serving(ORDERS);
    broker.write_manifests("");
    broker.signal(rustix::process::Signal::HUP);
    broker.wait_for_log("applied the manifests");
    assert!(!broker.admin("/metrics/channels").await.1.contains("acme"));
    assert_eq!(broker.metric("restante_orphan_channels").await, 1.0);
}

/// promtool is in Debian's package prometheus; without it only this test is skipped.
#[expect(
    clippy::disallowed_methods,
    reason = "CI, where no test may be skipped, is marked in the environment"
)]
#[tokio::test]
async fn promtool_reports_no_problem_with_the_metrics() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    for path in ["/metrics", "/metrics/channels"] {
        let (_, text) = broker.admin(path).await;
        let promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut promtool = match promtool {
            Ok(child) => child,
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "promtool must be there: {error}");
                eprintln!("skipped: promtool is not installed");
                return;
            }
        };
        promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && printed.is_empty(), "{path}: {printed}");
    }
}
