//! The host name of a request, which the broker compares with `--allowed-hosts`.

use anyhow::{Result, ensure};
use reqwest::Method;

use super::{header, installed, nginx_routes};
use crate::broker::{Broker, channel};

const NAME: &str = "messages.acme.example";

#[tokio::test]
async fn the_broker_must_list_a_host_name_that_nginx_passes_on() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    for flags in [&[][..], &["--allowed-hosts", NAME]] {
        let mut broker = Broker::prepared(&channel("orders", "delivery: {}"), flags)?;
        broker.start()?;
        broker.ready().await?;
        for route in nginx_routes(&broker).await? {
            let pulled = route.request(Method::GET, "/v1/messages/acme/orders?wait=0").header("host", NAME);
            let answer = pulled.send().await?;
            let passes = !flags.is_empty() || route.name.contains("default");
            ensure!(answer.status() == if passes { 204 } else { 403 }, "{route} {flags:?}: {answer:?}");
            if !passes {
                ensure!(
                    header(&answer, "content-type")? == "application/problem+json",
                    "{route}: {answer:?}"
                );
                ensure!(answer.text().await?.contains("--allowed-hosts"), "{route}");
            }
        }
    }
    Ok(())
}
