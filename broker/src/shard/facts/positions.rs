//! Bodies that several channels share: a message to a shared destination is in the log once.

use std::collections::HashMap;

use crate::log::Position;

/// The number of channels that share a body, if more than one does.
#[derive(Debug, Default)]
pub(in crate::shard) struct SharedPositions(HashMap<Position, u32>);

impl SharedPositions {
    /// A body was stored for this number of channels.
    pub(in crate::shard) fn share(&mut self, position: Position, channels: usize) {
        if channels > 1 {
            self.0.insert(position, channels as u32);
        }
    }

    /// A channel releases a body. True if it was the last one.
    pub(in crate::shard) fn release(&mut self, position: Position) -> bool {
        let Some(channels) = self.0.get_mut(&position) else { return true };
        *channels -= 1;
        if *channels == 1 {
            // The last channel holds it like a body that was never shared.
            self.0.remove(&position);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_body_is_kept_until_the_last_channel_releases_it() {
        let mut shared = SharedPositions::default();
        let position = Position::default();
        shared.share(position, 3);
        assert!(!shared.release(position) && !shared.release(position));
        assert!(shared.release(position));
        shared.share(position, 1);
        assert!(shared.release(position), "it was never shared");
    }
}
