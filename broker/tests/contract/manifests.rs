//! Standalone: the same YAML as for kubectl.

use rustix::process::Signal;

use crate::broker::{Broker, ORDERS, assert_problem, command, ended};

#[tokio::test]
async fn the_example_manifests_are_served_unchanged() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let mut broker = Broker::prepared(&["--manifests", examples]);
    broker.start();
    broker.pushed("acme/orders", "x").await;
    assert_eq!(broker.pulled("acme/orders").await.0, b"x");
    broker.pushed("acme/bridge/factory", "x").await;
    assert_eq!(broker.pulled("acme/bridge/office").await.0, b"x");
}

#[tokio::test]
async fn an_invalid_manifest_is_reported_with_file_line_and_field() {
    let broker = Broker::prepared(&[]);
    for (text, wanted) in [
        (ORDERS.replace("messages: 100", "messages: many"), ["channels.yaml, line 7,", "messages"]),
        (ORDERS.replace("messages: 100", "paused: true"), ["channels.yaml, line 7,", "paused"]),
        (
            ORDERS.replace("kind: MessageChannel", "kind: Deployment"),
            ["channels.yaml, line 3,", "Deployment"],
        ),
        (ORDERS.replace("name: orders", "name: a.b"), ["channels.yaml, line 4,", "metadata.name"]),
    ] {
        broker.write_manifests(&text);
        let manifests = broker.manifests().display().to_string();
        let output = ended(&mut command(&broker.data_folder(), &["--manifests".into(), manifests]));
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{printed}");
        assert!(wanted.iter().all(|wanted| printed.contains(wanted)), "{wanted:?} in {printed}");
    }
}

#[tokio::test]
async fn sighup_reloads_the_manifests_and_an_invalid_file_keeps_the_old_set() {
    let mut broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "stays").await;
    broker.write_manifests("kind: [");
    broker.signal(Signal::HUP);
    let line = broker.wait_for_log("the channels are unchanged").unwrap();
    assert!(line.contains("channels.yaml"), "{line}");
    broker.pushed("acme/orders", "still served").await;

    let more = format!("{ORDERS}\n---\n{}", ORDERS.replace("name: orders", "name: more"));
    broker.write_manifests(&more);
    broker.signal(Signal::HUP);
    broker.wait_for_log("applied the manifests");
    broker.pushed("acme/more", "new").await;
    assert_eq!(broker.pulled("acme/orders").await.0, b"stays");
}

#[tokio::test]
async fn a_channel_removed_from_the_manifests_keeps_its_messages_and_returns_with_them() {
    let mut broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "stays").await;
    let waiting = tokio::spawn(broker.pull("acme/orders", "wait=20").send());
    waiting.await.unwrap().unwrap();
    broker.write_manifests(&ORDERS.replace("name: orders", "name: other"));
    broker.signal(Signal::HUP);
    broker.wait_for_log("applied the manifests");
    let response = broker.push("acme/orders", "x").send().await.unwrap();
    assert_problem(response, 404, restante_wire::ProblemType::AddressUnknown).await;
    broker.kill();
    broker.write_manifests(ORDERS);
    broker.start();
    broker.wait_for_metric("restante_channel_bytes{namespace=\"acme\",channel=\"orders\"}", 5.0).await;
}

#[tokio::test]
async fn two_channels_with_one_source_are_refused_with_both_names() {
    let broker = Broker::prepared(&[]);
    let second = ORDERS.replace("name: orders", "name: second").replace("spec:", "spec:\n  source: orders");
    broker.write_manifests(&format!("{ORDERS}\n---\n{second}"));
    let manifests = broker.manifests().display().to_string();
    let output = ended(&mut command(&broker.data_folder(), &["--manifests".into(), manifests]));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(printed.contains("acme/orders") && printed.contains("second"), "{printed}");
}
