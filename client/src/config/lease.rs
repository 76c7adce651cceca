//! Arguments of `restante settle`, `release`, `reject` and `renew`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct LeaseArgs {
    /// The lease: what follows /v1/leases/ in the answer's Location, or what `pull --no-settle` printed
    pub(crate) lease: String,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// The lease, as for settle
    pub(crate) lease: String,
    /// Seconds for which nobody gets the message, instead of the channel's back-off
    #[arg(long, value_name = "SECONDS")]
    pub(crate) delay: Option<u32>,
    /// The hand-out does not count as a delivery
    #[arg(long)]
    pub(crate) uncounted: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RejectArgs {
    /// The lease, as for settle
    pub(crate) lease: String,
    /// Why, for whoever looks at the dead letters; at most 255 characters
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    /// The lease, as for settle
    pub(crate) lease: String,
    /// For how long from now; the channel's default without it
    #[arg(long, short = 'l', value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: Option<u32>,
}
