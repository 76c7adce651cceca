//! Lease operations: settle, release, reject and renew, one at a time or many with one sync.

use super::Service;
use crate::{
    channel::Claim,
    clock::Millis,
    log::{ChannelId, Log},
    shard::{Release, Renewed, SettleRefusal, Shard, ShardGone, Ticket},
};

/// The lease of a token: its channel, and what the token claims.
pub type Lease = (ChannelId, Claim);

/// What a receiver decides about a leased message.
#[derive(Debug, Clone)]
pub enum Verdict {
    Settle,
    Release(Release),
    /// With the reason, if there is one.
    Reject(Option<String>),
    /// For this many seconds, or for the channel's default.
    Renew(Option<u32>),
}

/// Outcome of a lease operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The lease has ended.
    Ended,
    /// The lease continues.
    Renewed {
        /// Its duration from now.
        lease: Millis,
        ends_at: Millis,
    },
}

impl Service {
    /// The lease of a token; `None` if this broker did not seal the token.
    pub fn lease(&self, token: &str) -> Option<Lease> {
        self.sealer.open(token)
    }

    /// Applies a verdict. It is on disk when this returns.
    pub async fn settle(&self, (channel, claim): Lease, verdict: &Verdict) -> Result<Settled, SettleRefusal> {
        let applied =
            self.router.ask(channel, verdict, move |shard, verdict| apply(shard, (channel, claim), verdict));
        let (ticket, settled) = applied.await??;
        self.router.wait_until_committed(channel, ticket).await?;
        Ok(settled)
    }

    /// Applies verdicts in their order, with one sync. They are on disk when this returns.
    pub async fn settle_all(
        &self,
        verdicts: Vec<(Lease, Verdict)>,
    ) -> Result<Vec<Result<Settled, SettleRefusal>>, SettleRefusal> {
        let of_each = verdicts.into_iter().map(|(lease, verdict)| (lease.0, (lease, verdict)));
        let applied = self.apply_all(of_each.collect()).await?;
        let mut settled = Vec::with_capacity(applied.len());
        let mut tickets = Vec::with_capacity(applied.len());
        for applied in applied {
            settled.push(applied.map(|(channel, ticket, settled)| {
                tickets.push((channel, ticket));
                settled
            }));
        }
        for (channel, ticket) in tickets {
            self.router.wait_until_committed(channel, ticket).await?;
        }
        Ok(settled)
    }

    /// Applies verdicts in their order; the caller waits for the tickets.
    pub(super) async fn apply_all(
        &self,
        verdicts: Vec<(ChannelId, (Lease, Verdict))>,
    ) -> Result<Vec<Result<(ChannelId, Ticket, Settled), SettleRefusal>>, ShardGone> {
        let each = self.router.each(verdicts, |shard, channel, (lease, verdict)| {
            apply(shard, lease, &verdict).map(|(ticket, settled)| (channel, ticket, settled))
        });
        each.await
    }
}

fn apply<L: Log>(
    shard: &mut Shard<L>,
    (channel, claim): Lease,
    verdict: &Verdict,
) -> Result<(Ticket, Settled), SettleRefusal> {
    let ticket = match verdict {
        Verdict::Settle => shard.settle(channel, claim)?,
        Verdict::Release(release) => shard.release(channel, claim, *release)?,
        Verdict::Reject(reason) => shard.reject(channel, claim, reason.as_deref())?,
        Verdict::Renew(seconds) => {
            let Renewed { granted, lease, ticket } = shard.renew(channel, claim, *seconds)?;
            return Ok((ticket, Settled::Renewed { lease, ends_at: granted.ends_at }));
        }
    };
    Ok((ticket, Settled::Ended))
}
