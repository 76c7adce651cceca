//! `restante settle`, `release`, `reject` and `renew`: act on a lease of another process.

use std::time::Duration;

use restante_client::{Client, ReleaseOptions};
use tokio::io::stdout;

use super::{failure::Failure, output};
use crate::config::{LeaseArgs, RejectArgs, ReleaseArgs, RenewArgs};
use crate::exit::Exit;

pub(crate) async fn settle(client: &Client, args: LeaseArgs, deadline: Duration) -> Result<Exit, Failure> {
    client.settle(&args.lease, deadline).await?;
    Ok(Exit::Ok)
}

pub(crate) async fn release(client: &Client, args: ReleaseArgs, deadline: Duration) -> Result<Exit, Failure> {
    let ReleaseArgs { lease, delay, uncounted } = args;
    client.release(&lease, ReleaseOptions { delay_seconds: delay, uncounted }, deadline).await?;
    Ok(Exit::Ok)
}

pub(crate) async fn reject(client: &Client, args: RejectArgs, deadline: Duration) -> Result<Exit, Failure> {
    client.reject(&args.lease, args.reason.as_deref(), deadline).await?;
    Ok(Exit::Ok)
}

pub(crate) async fn renew(client: &Client, args: RenewArgs, deadline: Duration) -> Result<Exit, Failure> {
    let granted = client.renew(&args.lease, args.seconds, deadline).await?;
    output::write(&mut stdout(), format!("{}\n", granted.as_secs()).as_bytes(), "standard output").await?;
    Ok(Exit::Ok)
}
