//! The placement of channels and parcels in shards.
use crate::log::{ChannelId, ParcelId};

/// Maximum of shards: each has at least four segment files, and beyond 64 more hardly help.
pub const SHARDS_MAX: usize = 64;

/// A shard's index among all shards of its broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The index, from 0.
    pub shard: usize,
    /// The number of shards.
    pub shards: usize,
}

impl Placement {
    /// The only shard.
    pub const ALONE: Self = Self { shard: 0, shards: 1 };

    /// The shard of a channel. It depends only on the channel's id, which is all that records and leases have.
    pub fn shard_of(self, channel: ChannelId) -> usize {
        // Fibonacci hashing. The address store's ids are spread already; ids in tests ascend.
        let hash = channel.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((u128::from(hash) * self.shards as u128) >> 64) as usize
    }

    /// Whether this shard owns a channel.
    pub fn owns(self, channel: ChannelId) -> bool {
        self.shard_of(channel) == self.shard
    }

    /// Whether this shard sends a parcel: the shard that stored it may not exist any more.
    pub(super) fn sends(self, parcel: ParcelId) -> bool {
        parcel.shard as usize % self.shards == self.shard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::ParcelNumber;

    #[test]
    fn each_parcel_has_one_sender_whatever_the_number_of_shards() {
        for shards in [1, 2, 3, 64] {
            for origin in 0..64 {
                let parcel = ParcelId { shard: origin, number: ParcelNumber { epoch: 1, count: 7 } };
                let sends = |shard| Placement { shard, shards }.sends(parcel);
                assert_eq!((0..shards).filter(|shard| sends(*shard)).count(), 1);
                assert!(origin as usize >= shards || sends(origin as usize), "its own");
            }
        }
    }

    #[test]
    fn channels_are_spread_evenly_and_so_is_every_second_one() {
        for shards in [1, 2, 3, 4, 7] {
            for step in [1, 2, 3] {
                let mut counts = vec![0_u32; shards];
                (0..3000).for_each(|id| {
                    counts[Placement { shard: 0, shards }.shard_of(ChannelId(id * step))] += 1;
                });
                let fair = 3000 / shards as u32;
                assert!(
                    counts.iter().all(|count| count.abs_diff(fair) < fair / 5 + 1),
                    "{shards} {step} {counts:?}"
                );
            }
        }
    }
}
