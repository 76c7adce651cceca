//! Proxies and certificates, for clients behind company firewalls.

use restante_client::{Client, Message, OptionsError, ProxyChoice, RequestError, SendError, Sender};

use crate::support::{
    address,
    authority::authority,
    broker::Broker,
    command::{command, run, stderr, text},
    forwarder::Forwarder,
    options,
    reply::stored,
    soon,
};

#[tokio::test]
async fn a_plain_broker_is_reached_through_a_proxy_by_absolute_url() {
    let broker = Broker::start(|_, _| stored()).await;
    let proxy = Forwarder::start().await;
    let mut options = options(&broker.url);
    options.proxy = ProxyChoice::Url(proxy.url.replace("http://", "http://me:secret@"));
    let sender = Sender::new(&Client::new(options).unwrap(), address());
    soon(sender.send(Message::new("x"))).await.unwrap();
    let heads = proxy.heads();
    assert!(heads[0].starts_with(&format!("POST {}/v1/messages/demo/orders ", broker.url)), "{heads:?}");
    // me:secret, RFC 7617.
    assert!(heads[0].to_lowercase().contains("proxy-authorization: basic bwu6c2vjcmv0"), "{heads:?}");
    assert_eq!(broker.log().seen.len(), 1);
}

#[tokio::test]
async fn a_broker_behind_tls_is_reached_through_a_proxy_by_connect() {
    let (ca, tls) = authority();
    let broker = Broker::start_tls(tls, |_, _| stored()).await;
    let proxy = Forwarder::start().await;
    let mut options = options(&broker.url);
    options.proxy = ProxyChoice::Url(proxy.url.clone());
    options.add_ca_pem(ca.as_bytes()).unwrap();
    let sender = Sender::new(&Client::new(options).unwrap(), address());
    soon(sender.send(Message::new("x"))).await.unwrap();
    let heads = proxy.heads();
    assert!(heads[0].starts_with(&format!("CONNECT localhost:{} ", broker.port)), "{heads:?}");
    assert_eq!(broker.log().seen.len(), 1);
}

#[tokio::test]
async fn a_certificate_is_trusted_with_its_authority_and_refused_without() {
    let (ca, tls) = authority();
    let broker = Broker::start_tls(tls, |_, _| stored()).await;
    let mut trusting = options(&broker.url);
    trusting.add_ca_pem(ca.as_bytes()).unwrap();
    let sender = Sender::new(&Client::new(trusting).unwrap(), address());
    soon(sender.send(Message::new("x"))).await.unwrap();

    let another_authority = authority().0;
    let mut distrusting = options(&broker.url);
    distrusting.add_ca_pem(another_authority.as_bytes()).unwrap();
    let sender = Sender::new(&Client::new(distrusting).unwrap(), address());
    let error = soon(sender.send(Message::new("x"))).await.unwrap_err();
    assert!(matches!(error, SendError::Failed(RequestError::Untrusted { .. })), "{error}");
    assert!(error.to_string().contains("--ca-cert"), "{error}");
    assert_eq!(broker.log().seen.len(), 1);
}

#[tokio::test]
async fn a_machine_without_certificates_reaches_a_plain_broker_and_gets_an_error_for_tls() {
    let broker = Broker::start(|_, _| stored()).await;
    let bare = |url: &str| {
        let mut command = command(url, &["push", "demo/orders"]);
        command.env("SSL_CERT_FILE", "/no/such/file").env("SSL_CERT_DIR", "/no/such/folder");
        command
    };
    let pushed = soon(bare(&broker.url).output()).await.unwrap();
    assert!(pushed.status.success(), "{}", stderr(&pushed));
    let refused = soon(bare("https://localhost:1").output()).await.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("ca-certificates"), "{}", stderr(&refused));
}

#[test]
fn an_unreadable_certificate_file_is_named() {
    let mut options = options("https://localhost");
    let error = options.add_ca_file("/no/such/ca.pem").unwrap_err();
    assert!(matches!(error, OptionsError::CaFile { .. }));
    assert!(error.to_string().contains("/no/such/ca.pem"), "{error}");
}

#[tokio::test]
async fn the_command_reads_authority_and_proxy_from_arguments_or_environment() {
    let (ca, tls) = authority();
    let broker = Broker::start_tls(tls, |_, _| stored()).await;
    let proxy = Forwarder::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca).unwrap();

    let arguments = ["push", "demo/orders", "--ca-cert", text(&file), "--proxy", &proxy.url];
    let pushed = run(&broker.url, &arguments).await;
    assert!(pushed.status.success(), "{}", stderr(&pushed));
    assert_eq!(proxy.heads().len(), 1);

    let mut by_environment = command(&broker.url, &["push", "demo/orders"]);
    by_environment.env("RESTANTE_CA_CERT", &file).env_remove("RESTANTE_PROXY");
    by_environment.env_remove("NO_PROXY").env_remove("no_proxy").env("HTTPS_PROXY", &proxy.url);
    let pushed = soon(by_environment.output()).await.unwrap();
    assert!(pushed.status.success(), "{}", stderr(&pushed));
    assert_eq!(proxy.heads().len(), 2);

    let untrusted = run(&broker.url, &["push", "demo/orders"]).await;
    assert_eq!(untrusted.status.code(), Some(5), "{}", stderr(&untrusted));
    assert_eq!(broker.log().seen.len(), 2);
}
