//! `restante settle`, `release`, `renew`, `channel` and `completions`.

use restante_client::ProblemType;

use crate::support::{
    broker::{Broker, Seen},
    command::{run, stderr},
    reply::{LEASE, answer, no_content, problem, renewed},
};

const STATS: &str = r#"{"uid":"00000000-0000-0000-0000-000000000001","namespace":"demo","name":"orders","ready":12,
    "leased":1,"bytes":4096,"oldestMessageAgeSeconds":17,"waitingReceivers":3}"#;

#[tokio::test]
async fn a_lease_is_settled_released_rejected_and_renewed_by_its_token() {
    let broker = Broker::start(|seen: &Seen, _| match seen.path.contains("/renew") {
        true => renewed(45),
        false => no_content(),
    })
    .await;
    for (arguments, printed) in [
        (&["settle", LEASE][..], ""),
        (&["release", LEASE], ""),
        (&["release", LEASE, "--delay", "5", "--uncounted"], ""),
        (&["reject", LEASE, "--reason", "no bolts"], ""),
        (&["renew", LEASE, "--seconds", "60"], "45\n"),
        (&["renew", LEASE], "45\n"),
    ] {
        let ended = run(&broker.url, arguments).await;
        assert!(ended.status.success(), "{arguments:?}: {}", stderr(&ended));
        assert_eq!(String::from_utf8_lossy(&ended.stdout), printed);
    }
    let lines: Vec<_> = broker.log().seen.iter().map(Seen::line).collect();
    let lease = |end: &str| format!("/v1/leases/{LEASE}{end}");
    assert_eq!(lines[0], format!("DELETE {}", lease("")));
    assert_eq!(lines[1], format!("POST {}", lease("/release")));
    assert_eq!(lines[2], format!("POST {}", lease("/release?delay=5&uncounted=true")));
    assert_eq!(lines[3], format!("POST {}", lease("/reject?reason=no%20bolts")));
    assert_eq!(lines[4], format!("POST {}", lease("/renew?lease=60")));
    assert_eq!(lines[5], format!("POST {}", lease("/renew")));
}

#[tokio::test]
async fn a_lease_may_be_given_as_its_location_and_its_absolute_url() {
    let broker = Broker::start(|_, _| no_content()).await;
    for lease in
        [format!("/v1/leases/{LEASE}"), format!("https://broker.example.com/prefix/v1/leases/{LEASE}")]
    {
        for command in ["settle", "release", "reject"] {
            let ended = run(&broker.url, &[command, &lease]).await;
            assert!(ended.status.success(), "{command} {lease}: {}", stderr(&ended));
        }
    }
    let all = broker.log().seen.iter().all(|seen| seen.path.starts_with(&format!("/v1/leases/{LEASE}")));
    assert!(all, "{:?}", broker.log().seen.iter().map(Seen::line).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_expired_lease_is_exit_code_4_with_the_reason() {
    let broker = Broker::start(|_, _| problem(410, ProblemType::LeaseSuperseded)).await;
    let ended = run(&broker.url, &["settle", LEASE]).await;
    assert_eq!(ended.status.code(), Some(4));
    assert!(stderr(&ended).contains("another receiver"), "{}", stderr(&ended));
}

#[tokio::test]
async fn statistics_are_printed_as_a_table_json_or_yaml() {
    let broker = Broker::start(|_, _| answer(200, &[("content-type", "application/json")], STATS)).await;
    let shown = async |form: &str| {
        let ended = run(&broker.url, &["channel", "demo/orders", "demo/more", "-o", form]).await;
        assert!(ended.status.success(), "{}", stderr(&ended));
        String::from_utf8(ended.stdout).unwrap()
    };
    let table = shown("table").await;
    assert_eq!(table.lines().count(), 3);
    assert!(table.starts_with("NAMESPACE"), "{table}");
    assert!(!table.contains('\x1b'), "{table}");
    let json: serde_json::Value = serde_json::from_str(&shown("json").await).unwrap();
    assert_eq!(json[1]["waitingReceivers"], 3);
    let yaml: serde_json::Value = serde_saphyr::from_str(&shown("yaml").await).unwrap();
    assert_eq!(yaml, json);
    assert_eq!(broker.log().seen[0].line(), "GET /v1/channels/demo/orders");
    assert_eq!(broker.log().seen[1].line(), "GET /v1/channels/demo/more");
}

#[tokio::test]
async fn an_unknown_channel_is_exit_code_4_with_its_name() {
    let broker = Broker::start(|_, _| problem(404, ProblemType::ChannelUnknown)).await;
    let ended = run(&broker.url, &["channel", "demo/orders"]).await;
    assert_eq!(ended.status.code(), Some(4));
    assert!(stderr(&ended).contains("demo/orders"));
}

#[tokio::test]
async fn completions_need_no_broker() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run("http://127.0.0.1:9", &["completions", shell]).await;
        assert!(ended.status.success());
        assert!(String::from_utf8_lossy(&ended.stdout).contains("restante"));
    }
}
