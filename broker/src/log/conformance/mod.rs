//! The contract tests of every log. A log takes part as a [`Subject`] with [`conform`]; each promise of the contract is
//! a test in [`promises`].

mod owner;
pub(crate) mod promises;
mod subjects;
mod wait;

pub(crate) use wait::{BlockingLog, wait};

use super::Log;

/// A log under test, and the medium below it.
pub(crate) trait Subject: Default {
    type Log: Log;

    /// A subject whose log takes records of at least 17 MiB.
    fn for_long_records() -> Self {
        Self::default()
    }

    /// Opens the log after its previous owner is gone, or for the first time.
    fn open(&mut self) -> Self::Log;

    /// Opens the log while it has an owner; nothing if that is refused as long as the owner exists.
    fn open_beside(&mut self) -> Option<Self::Log>;

    /// Makes every later commit fail, at any of its steps.
    fn fail(&mut self);
}

/// Tests every promise on a subject.
macro_rules! conform {
    ($subject:ty: $($promise:ident)*) => {
        $(#[test]
        fn $promise() {
            $crate::log::conformance::promises::$promise::<$subject>();
        })*
    };
    ($subject:ty) => {
        $crate::log::conformance::conform!($subject:
            a_record_is_readable_before_during_and_after_its_commit
            every_batch_has_one_outcome_and_the_next_owner_replays_them_in_order
            uncommitted_records_are_not_replayed
            a_scan_continues_where_it_stopped
            freed_records_are_gone_and_copied_ones_stay
            a_part_is_freed_as_a_whole
            a_superseded_owner_commits_nothing
            a_superseded_owner_loses_nothing_committed_and_adds_nothing
            a_message_of_16_mib_is_read_and_replayed
            after_a_failed_batch_nothing_is_committed
            nothing_committed_is_lost_and_nothing_settled_comes_back
        );
    };
}
pub(crate) use conform;
