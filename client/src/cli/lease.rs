//! `restante settle`, `release` and `renew`: for a lease that another process was given.

use std::time::Duration;

use restante_client::Client;
use tokio::io::stdout;

use super::{exit::Exit, failure::Failure, output};
use crate::config::{LeaseArgs, RenewArgs};

pub(crate) async fn settle(client: &Client, args: LeaseArgs, deadline: Duration) -> Result<Exit, Failure> {
    client.settle(&args.lease, deadline).await?;
    Ok(Exit::Ok)
}

pub(crate) async fn release(client: &Client, args: LeaseArgs, deadline: Duration) -> Result<Exit, Failure> {
    client.release(&args.lease, deadline).await?;
    Ok(Exit::Ok)
}

pub(crate) async fn renew(client: &Client, args: RenewArgs, deadline: Duration) -> Result<Exit, Failure> {
    let granted = client.renew(&args.lease, args.seconds, deadline).await?;
    output::write(&mut stdout(), format!("{}\n", granted.as_secs()).as_bytes(), "standard output").await?;
    Ok(Exit::Ok)
}
