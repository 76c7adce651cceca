//! The name by which clients ask for the broker, which an open broker compares with those that it has.

use anyhow::{Result, ensure};
use reqwest::Method;

use super::{header, installed, through_nginx};
use crate::broker::{Broker, channel};

const NAME: &str = "messages.acme.example";

#[tokio::test]
async fn a_name_that_nginx_passes_on_must_be_one_that_the_broker_lists() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    for flags in [&[][..], &["--allowed-hosts", NAME]] {
        let mut broker = Broker::prepared(&channel("orders", "delivery: {}"), flags)?;
        broker.start()?;
        broker.ready().await?;
        for way in through_nginx(&broker).await? {
            let pulled = way.request(Method::GET, "/v1/messages/acme/orders?wait=0").header("host", NAME);
            let answer = pulled.send().await?;
            let passes = !flags.is_empty() || way.name.contains("as it comes");
            ensure!(answer.status() == if passes { 204 } else { 403 }, "{way} {flags:?}: {answer:?}");
            if !passes {
                ensure!(header(&answer, "content-type")? == "application/problem+json", "{way}: {answer:?}");
                ensure!(answer.text().await?.contains("--allowed-hosts"), "{way}");
            }
        }
    }
    Ok(())
}
