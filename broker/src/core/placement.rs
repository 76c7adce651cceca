//! Which core has which channel, and the numbers of what cores have for one another.

/// The most cores of a broker: each has four segment files at least, and one more hardly helps by then.
pub const CORES_MAX: usize = 64;

/// A core among those of its broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Here {
    /// Which one it is, from 0.
    pub core: usize,
    /// How many there are.
    pub cores: usize,
}

impl Here {
    /// The only core.
    pub const ALONE: Self = Self { core: 0, cores: 1 };

    /// The number under which this core has messages for others: the address store gives numbers from the other end.
    pub(super) fn outbox(self) -> u32 {
        u32::MAX - self.core as u32
    }

    /// The core of a channel, by the channel's number: that is what records and leases know of it.
    pub fn core_of(self, channel: u32) -> usize {
        if self.cores == 1 {
            return 0;
        }
        if is_outbox(channel) {
            return (u32::MAX - channel) as usize % self.cores;
        }
        // Fibonacci hashing, because numbers are given in turn, and what is made in turn belongs together: requests and
        // replies, say, which would each have cores of their own.
        let hash = channel.wrapping_mul(0x9e37_79b1);
        ((u64::from(hash) * self.cores as u64) >> 32) as usize
    }

    /// Whether a channel is this core's.
    pub fn has(self, channel: u32) -> bool {
        self.core_of(channel) == self.core
    }
}

/// Whether a number is that of a core's outbox, and of no channel.
pub(super) fn is_outbox(number: u32) -> bool {
    number > u32::MAX - CORES_MAX as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_core_has_an_outbox_and_another_number_of_cores_has_the_same() {
        for cores in [1, 2, 64] {
            for core in 0..cores {
                let here = Here { core, cores };
                assert!(is_outbox(here.outbox()) && here.has(here.outbox()));
                assert!(Here { core: core % 3, cores: 3 }.has(here.outbox()));
            }
        }
        assert!(!is_outbox(u32::MAX - CORES_MAX as u32));
    }

    #[test]
    fn channels_are_spread_evenly_and_so_is_every_second_of_them() {
        for cores in [1, 2, 3, 4, 7] {
            for step in [1, 2, 3] {
                let mut counts = vec![0_u32; cores];
                (0..3000).for_each(|number| {
                    counts[Here { core: 0, cores }.core_of(number * step)] += 1;
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
