//! A bi-directional link: two channels, one for each direction, and one combined adapter at each end.

use reqwest::{Method, StatusCode};
use restante_wire::ProblemType;

use crate::broker::{Broker, ORDERS, assert_problem};

/// Each end pushes and pulls at one address: the office pulls from `bridge/office` what the factory pushes to
/// `bridge/factory`, and the other way round.
pub(crate) const BRIDGE: &str = "
apiVersion: restante.dev/v1alpha1
kind: MessageChannel
metadata: {name: bridge-to-office, namespace: acme}
spec: {destinations: [bridge/factory], source: bridge/office, access: {anonymous: true}}
---
apiVersion: restante.dev/v1alpha1
kind: MessageChannel
metadata: {name: bridge-to-factory, namespace: acme}
spec: {destinations: [bridge/office], source: bridge/factory, access: {anonymous: true}}
";

#[tokio::test]
async fn two_systems_with_one_address_each_exchange_messages_in_both_directions_concurrently() {
    let broker = Broker::serving(BRIDGE);
    let (factory, office) = ("acme/bridge/factory", "acme/bridge/office");
    let end = async |here: &str, says: &str, hears: &str| {
        for number in 0..50 {
            let (pushed, pulled) =
                tokio::join!(broker.pushed(here, format!("{says} {number}")), broker.pulled(here));
            assert_eq!(pushed.len(), 36);
            assert_eq!(pulled.0, format!("{hears} {number}").into_bytes());
            let settled = broker.request(Method::DELETE, &pulled.1).send().await.unwrap();
            assert_eq!(settled.status(), StatusCode::NO_CONTENT);
        }
    };
    tokio::join!(
        end(factory, "from the factory", "from the office"),
        end(office, "from the office", "from the factory")
    );
    for address in [factory, office] {
        let response = broker.pull(address, "wait=0").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn a_system_with_a_combined_address_does_not_receive_its_own_messages() {
    let broker = Broker::serving(BRIDGE);
    broker.pushed("acme/bridge/factory", "hello, office").await;
    let response = broker.pull("acme/bridge/factory", "wait=0").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(broker.pulled("acme/bridge/office").await.0, b"hello, office");
}

#[tokio::test]
async fn a_destination_only_accepts_pushes_and_a_source_only_pulls() {
    let broker = Broker::serving(&ORDERS.replace("spec:", "spec:\n  destinations: [in]\n  source: out"));
    broker.pushed("acme/in", "x").await;
    assert_problem(broker.push("acme/out", "x").send().await.unwrap(), 404, ProblemType::AddressUnknown)
        .await;
    assert_problem(broker.pull("acme/in", "wait=0").send().await.unwrap(), 404, ProblemType::AddressUnknown)
        .await;
    assert_eq!(broker.pulled("acme/out").await.0, b"x");
}
