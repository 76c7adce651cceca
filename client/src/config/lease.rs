//! Arguments of `restante settle`, `release`, `reject` and `renew`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct LeaseArgs {
    /// Lease token: the part after /v1/leases/ in the Location header of a pull, or the output of `pull --no-settle`
    pub(crate) lease: String,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// Lease token, as for settle
    pub(crate) lease: String,
    /// Delay before the next delivery, instead of the channel's back-off
    #[arg(long, value_name = "SECONDS")]
    pub(crate) delay: Option<u32>,
    /// Do not count this delivery
    #[arg(long)]
    pub(crate) uncounted: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RejectArgs {
    /// Lease token, as for settle
    pub(crate) lease: String,
    /// Reason to store with the dead letter, at most 255 characters
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    /// Lease token, as for settle
    pub(crate) lease: String,
    /// Lease duration from now; the channel's default if not given
    #[arg(long, short = 'l', value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: Option<u32>,
}
