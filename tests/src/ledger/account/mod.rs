//! One channel's account under a mixed load: everything that its clients asked for and were told, in the order in which
//! it happened to them. The rules say what must never be; each is a pure function of the entries.
//!
//! A request whose connection was cut may have had its effect or not. So what is asked is written down before the request
//! leaves, and what is answered after the answer came: what the broker did lies between the two.

mod deliveries;
mod ends;
mod entry;
mod groups;
mod ids;
mod leases;
mod order;
mod standing;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

pub use entry::{Delivery, End, Entry, Event, Terms};
pub use ids::{not_in_all, two_ids};
pub use standing::{Expired, Left, Standing, State};

/// Of so many wrongs everything is told: there is no use in more.
const WRONGS_TOLD: usize = 3;

/// An account that several clients write; a clone is the same account.
#[derive(Debug, Clone, Default)]
pub struct Account {
    entries: Arc<Mutex<Vec<Entry>>>,
}

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// Stored, not settled, and nowhere.
    Lost(u64),
    /// In two places.
    Doubled(u64),
    /// There again after it was settled, or handed out while it was a dead letter.
    CameBack(u64),
    /// Received, though nobody sent it, or not so; or something else that no client may meet.
    Strange(String),
    /// Known by two ids: a repeated push was not recognised, or a message changed its name.
    TwoIds(u64),
    /// In some channels of a shared destination and not in all.
    NotInAll(u64),
    /// Handed out for the first time after one that was sent later by the same sender.
    Overtaken {
        /// What came first.
        later: u64,
        /// What should have come before it.
        earlier: u64,
    },
    /// Handed out while an earlier message of its group was still there.
    OutOfTurn {
        /// What came.
        later: u64,
        /// Whose turn it was.
        earlier: u64,
    },
    /// Handed out while a lease on it ran.
    LeasedTwice(u64),
    /// Its deliveries are fewer than those that were seen.
    Uncounted(u64),
    /// Delivered more often than the channel allows.
    TooOften(u64),
    /// Handed out after its time was over.
    Late(u64),
    /// Handed out by a channel that had given it up.
    WentBack(u64),
}

impl Wrong {
    /// The message, if it is about one.
    fn key(&self) -> Option<u64> {
        match self {
            Self::Lost(key)
            | Self::Doubled(key)
            | Self::CameBack(key)
            | Self::TwoIds(key)
            | Self::NotInAll(key)
            | Self::Overtaken { earlier: key, .. }
            | Self::OutOfTurn { earlier: key, .. }
            | Self::LeasedTwice(key)
            | Self::Uncounted(key)
            | Self::TooOften(key)
            | Self::Late(key)
            | Self::WentBack(key) => Some(*key),
            Self::Strange(_) => None,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(key) => write!(formatter, "{key:#x} was stored, not settled, and is nowhere"),
            Self::Doubled(key) => write!(formatter, "{key:#x} is in two places"),
            Self::CameBack(key) => write!(formatter, "{key:#x} came back after it was settled or given up"),
            Self::Strange(what) => write!(formatter, "{what}"),
            Self::TwoIds(key) => write!(formatter, "{key:#x} has two ids"),
            Self::NotInAll(key) => write!(formatter, "{key:#x} is in some channels and not in all"),
            Self::Overtaken { later, earlier } => {
                write!(formatter, "{later:#x} overtook {earlier:#x}, which was ready")
            }
            Self::OutOfTurn { later, earlier } => {
                write!(formatter, "{later:#x} came while it was the turn of {earlier:#x} in its group")
            }
            Self::LeasedTwice(key) => write!(formatter, "{key:#x} was handed out while a lease on it ran"),
            Self::Uncounted(key) => write!(formatter, "{key:#x} has fewer deliveries than were seen"),
            Self::TooOften(key) => write!(formatter, "{key:#x} was delivered more often than it may be"),
            Self::Late(key) => write!(formatter, "{key:#x} was handed out after its time was over"),
            Self::WentBack(key) => write!(formatter, "{key:#x} came from a channel that had given it up"),
        }
    }
}

/// Milliseconds since the Unix epoch, by the clock that the brokers of these tests have as well.
#[expect(
    clippy::disallowed_methods,
    reason = "leases are told by the wall clock, and the harness compares them"
)]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Account {
    /// One more entry.
    pub fn write(&self, key: u64, event: Event) {
        self.entries().push(Entry { at_ms: now_ms(), key, event });
    }

    /// How many entries there are: a request that leaves now is after all of them.
    pub fn now(&self) -> usize {
        self.entries().len()
    }

    /// Something came that no client may meet: in words.
    pub fn strange(&self, what: impl Into<String>) {
        self.write(0, Event::Strange(what.into()));
    }

    /// Every message that is a dead letter because a receiver rejected it is about to get another chance.
    pub fn redriving(&self) {
        let rejected = ends::rejected(&self.entries());
        rejected.into_iter().for_each(|key| self.write(key, Event::Redriving));
    }

    /// A look at what is left tells of pushes whose answers never came, and of answers that never came to receivers who
    /// settle by asking. Afterwards the account knows all.
    pub fn looked(&self, left: &[Left]) {
        let (unanswered, ended) = {
            let entries = self.entries();
            (standing::unanswered(&entries, left), standing::ended_unseen(&entries, left))
        };
        unanswered.into_iter().for_each(|(key, id)| self.write(key, Event::Stored(id)));
        ended.into_iter().for_each(|key| self.write(key, Event::Ended(End::Settle)));
    }

    /// What the channel holds now, if it did as it said.
    pub fn standing(&self, expired: Expired) -> Standing {
        standing::standing(&self.entries(), expired, now_ms())
    }

    /// Everything that was wrong so far, whatever is under way.
    pub fn wrongs(&self) -> Vec<Wrong> {
        let entries = self.entries();
        let strange = entries.iter().filter_map(|entry| match &entry.event {
            Event::Strange(what) => Some(Wrong::Strange(what.clone())),
            _ => None,
        });
        let mut wrongs: Vec<_> = strange.collect();
        wrongs.extend(ends::came_back(&entries));
        wrongs.extend(ends::invented(&entries));
        wrongs.extend(ends::went_back(&entries));
        wrongs.extend(ends::late(&entries));
        wrongs.extend(two_ids(&[&entries]));
        wrongs.extend(order::overtaken(&entries));
        wrongs.extend(groups::out_of_turn(&entries));
        wrongs.extend(leases::leased_twice(&entries));
        wrongs.extend(deliveries::uncounted(&entries));
        wrongs
    }

    /// Everything that happened to the messages of some wrongs, for whoever has to find out why.
    pub fn history(&self, wrongs: &[Wrong]) -> Vec<Entry> {
        let told = wrongs.iter().take(WRONGS_TOLD).filter_map(Wrong::key);
        let keys: BTreeSet<u64> = told.collect();
        self.entries().iter().filter(|entry| keys.contains(&entry.key)).cloned().collect()
    }

    /// Messages delivered more often than `max` times.
    pub fn too_often(&self, max: u32) -> Vec<Wrong> {
        deliveries::too_often(&self.entries(), max)
    }

    /// What is wrong with what is left: messages that should be there, should not be, or are there twice.
    pub fn wrongs_left(&self, left: &[Left], expired: Expired) -> Vec<Wrong> {
        standing::wrongs_left(&self.entries(), left, expired, now_ms())
    }

    /// A copy of the entries, for rules over several accounts.
    pub fn to_vec(&self) -> Vec<Entry> {
        self.entries().clone()
    }

    /// How many messages met an event.
    pub fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        let entries = self.entries();
        let keys = entries.iter().filter(|entry| which(&entry.event)).map(|entry| entry.key);
        keys.collect::<BTreeSet<u64>>().len()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        // A client that panicked has failed its test already; what it wrote before is still true.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
