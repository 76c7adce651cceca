//! A frame of an answer that tracks how much of it the connection has written.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::{line::Line, progress::Progress, undelivered::SendGuards};

/// The bytes of a frame, with the guards that are sent with them.
pub(super) struct Piece {
    bytes: Bytes,
    guards: SendGuards,
    line: Arc<Line>,
    progress: Option<Arc<Progress>>,
}

impl Piece {
    pub(super) fn new(
        bytes: Bytes,
        guards: SendGuards,
        line: &Arc<Line>,
        progress: Option<Arc<Progress>>,
    ) -> Self {
        let piece = Self { bytes, guards, line: line.clone(), progress };
        if piece.bytes.is_empty() { piece.emptied() } else { piece }
    }

    fn emptied(mut self) -> Self {
        self.leave();
        self
    }

    fn leave(&mut self) {
        if !self.guards.is_empty() {
            self.line.undelivered.written(std::mem::take(&mut self.guards));
        }
        // The bytes may keep a large buffer alive.
        self.bytes = Bytes::new();
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(progress) = &self.progress {
            progress.record_progress(count);
        }
        if self.bytes.is_empty() {
            self.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use super::{
        super::undelivered::{SendGuard, collect, hold},
        *,
    };
    use crate::{clock::Clock, drain::Drain};

    #[derive(Clone, Default)]
    struct Outcomes {
        sent: Arc<AtomicUsize>,
        undone: Arc<AtomicUsize>,
    }

    struct Counted(Option<Outcomes>);

    impl SendGuard for Counted {
        fn sent(mut self: Box<Self>) {
            self.0.take().unwrap().sent.fetch_add(1, Relaxed);
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.take().inspect(|outcomes| _ = outcomes.undone.fetch_add(1, Relaxed));
        }
    }

    fn line() -> Arc<Line> {
        Line::new(Ipv4Addr::LOCALHOST.into(), &Drain::new(), &Clock::of_test())
    }

    impl Outcomes {
        fn piece(&self, line: &Arc<Line>) -> Piece {
            let ((), guards) = collect(|| hold(Box::new(Counted(Some(self.clone())))));
            Piece::new(Bytes::from_static(b"seven"), guards, line, None)
        }

        fn counts(&self) -> (usize, usize) {
            (self.sent.load(Relaxed), self.undone.load(Relaxed))
        }
    }

    #[test]
    fn a_fully_written_piece_counts_as_sent_after_the_next_flush() {
        let (outcomes, line) = (Outcomes::default(), line());
        let mut piece = outcomes.piece(&line);
        piece.advance(5);
        assert_eq!(outcomes.counts(), (0, 0));
        line.undelivered.flushed();
        assert_eq!(outcomes.counts(), (1, 0));
    }

    #[test]
    fn a_partly_written_piece_does_not_count_as_sent_after_a_flush() {
        let (outcomes, line) = (Outcomes::default(), line());
        let mut piece = outcomes.piece(&line);
        piece.advance(4);
        line.undelivered.flushed();
        drop(piece);
        assert_eq!(outcomes.counts(), (0, 1));
    }

    #[test]
    fn a_written_piece_that_was_not_flushed_before_the_connection_ends_is_undelivered() {
        let (outcomes, line) = (Outcomes::default(), line());
        outcomes.piece(&line).advance(5);
        line.undelivered.lost();
        assert_eq!(outcomes.counts(), (0, 1));
    }

    #[test]
    fn without_a_connection_a_piece_counts_as_sent() {
        let outcomes = Outcomes::default();
        hold(Box::new(Counted(Some(outcomes.clone()))));
        assert_eq!(outcomes.counts(), (1, 0));
    }
}
