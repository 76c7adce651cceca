//! The placement of channels in shards, and the relay numbers of shards.

/// Maximum of shards: each has at least four segment files, and beyond 64 more hardly help.
pub const CORES_MAX: usize = 64;

/// A shard's index among all shards of its broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The index, from 0.
    pub core: usize,
    /// The number of shards.
    pub cores: usize,
}

impl Placement {
    /// The only shard.
    pub const ALONE: Self = Self { core: 0, cores: 1 };

    /// The number under which this shard stores parcels. The address store assigns channel numbers from the other end.
    pub(super) fn relay_number(self) -> u32 {
        u32::MAX - self.core as u32
    }

    /// The shard of a channel. It depends only on the channel's number, which is all that records and leases have.
    pub fn core_of(self, channel: u32) -> usize {
        if self.cores == 1 {
            return 0;
        }
        if is_relay_number(channel) {
            return (u32::MAX - channel) as usize % self.cores;
        }
        // Fibonacci hashing: channels created in turn often alternate in kind, such as requests and replies. A plain
        // remainder would put each kind in shards of its own.
        let hash = channel.wrapping_mul(0x9e37_79b1);
        ((u64::from(hash) * self.cores as u64) >> 32) as usize
    }

    /// Whether this shard owns a channel.
    pub fn owns(self, channel: u32) -> bool {
        self.core_of(channel) == self.core
    }
}

/// Whether a number is a shard's relay number instead of a channel's.
pub(super) fn is_relay_number(number: u32) -> bool {
    number > u32::MAX - CORES_MAX as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_a_relay_number_whatever_the_number_of_shards() {
        for cores in [1, 2, 64] {
            for core in 0..cores {
                let here = Placement { core, cores };
                assert!(is_relay_number(here.relay_number()) && here.owns(here.relay_number()));
                assert!(Placement { core: core % 3, cores: 3 }.owns(here.relay_number()));
            }
        }
        assert!(!is_relay_number(u32::MAX - CORES_MAX as u32));
    }

    #[test]
    fn channels_are_spread_evenly_and_so_is_every_second_one() {
        for cores in [1, 2, 3, 4, 7] {
            for step in [1, 2, 3] {
                let mut counts = vec![0_u32; cores];
                (0..3000).for_each(|number| {
                    counts[Placement { core: 0, cores }.core_of(number * step)] += 1;
                });
                let fair = 3000 / cores as u32;
                assert!(
                    counts.iter().all(|count| count.abs_diff(fair) < fair / 5 + 1),
                    "{cores} {step} {counts:?}"
                );
            }
        }
    }
}
