//! Contents that several channels share: a message to a shared destination lies in the log once.

use std::collections::HashMap;

use crate::log::Position;

/// How many channels share a content, of those that more than one does.
#[derive(Debug, Default)]
pub(super) struct SharedPositions(HashMap<Position, u32>);

impl SharedPositions {
    /// A content was stored in so many channels.
    pub(super) fn share(&mut self, position: Position, channels: usize) {
        if channels > 1 {
            self.0.insert(position, channels as u32);
        }
    }

    /// A channel needs the content no longer; true when none does.
    pub(super) fn release(&mut self, position: Position) -> bool {
        let Some(channels) = self.0.get_mut(&position) else { return true };
        *channels -= 1;
        if *channels == 1 {
            // The last one has it as if it had never been shared.
            self.0.remove(&position);
        }
        false
    }

    /// The content was copied to another place of the log.
    pub(super) fn relocate(&mut self, from: Position, to: Position) {
        if let Some(channels) = self.0.remove(&from) {
            self.0.insert(to, channels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_needed_until_the_last_channel_needs_it_no_longer() {
        let mut shared = SharedPositions::default();
        let position = Position::default();
        shared.share(position, 3);
        assert!(!shared.release(position) && !shared.release(position));
        assert!(shared.release(position));
        shared.share(position, 1);
        assert!(shared.release(position), "it was never shared");
    }
}
