//! What every log must do, whatever it is made of. A log passes by being a [`Subject`] and naming [`conform`]; each promise
//! is one test in [`promises`].

mod owner;
pub(crate) mod promises;
mod subjects;
mod wait;

pub(crate) use wait::{BlockingLog, wait};

use super::Log;

/// A log that is put to the test, and what it lies on.
pub(crate) trait Subject: Default {
    /// The log.
    type Log: Log;

    /// Opens the log after whoever had it before is gone; as it is at first, when nobody had.
    fn open(&mut self) -> Self::Log;

    /// Opens the log although somebody has it; none when that is refused for as long as the other lives.
    fn open_beside(&mut self) -> Option<Self::Log>;

    /// From now on every commit fails, in the midst of whatever it does.
    fn fail(&mut self);
}

/// Holds a subject to every promise.
macro_rules! conform {
    ($subject:ty: $($promise:ident)*) => {
        $(#[test]
        fn $promise() {
            $crate::log::conformance::promises::$promise::<$subject>();
        })*
    };
    ($subject:ty) => {
        $crate::log::conformance::conform!($subject:
            a_record_is_read_before_during_and_after_its_commit
            every_group_is_told_once_and_found_in_order_by_the_next_owner
            what_was_not_committed_is_not_found
            a_scan_goes_on_where_it_stopped
            what_is_freed_is_gone_and_what_was_copied_stays
            a_part_is_given_up_whole
            an_owner_that_was_superseded_commits_nothing
            after_a_failed_group_nothing_is_committed
            nothing_committed_is_lost_and_nothing_settled_comes_back
        );
    };
}
pub(crate) use conform;
