//! One kind of purse for everything that many holders share: memory, connections, requests, places on disk.
//!
//! A holder may have at most [`TIMES`] as much as the purse has left, the *dynamic threshold* of Choudhury and Hahne
//! ("Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", IEEE/ACM Transactions on Networking 6(2), 1998). So a
//! purse is never empty: one holder that takes all it can leaves a part of the purse to the others, the next one a part of
//! that, and nobody needs to know how many holders there are. Whoever holds most is refused first.
//!
//! Holders nest: a channel shares what its namespace has, as namespaces share the purse.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use prometheus::IntCounter;
use tokio::sync::{Notify, futures::Notified};

use crate::known::Known;

/// What one holder may have at most, as a multiple of what is left: alone it gets three quarters of the purse, beside one
/// other that takes as much as it can three sevenths.
pub const TIMES: u64 = 3;

/// A purse and the accounts of its holders.
#[derive(Debug)]
pub struct Shared<K> {
    purse: Arc<Purse>,
    accounts: Arc<Known<K, Account>>,
}

/// An amount of something that holders share.
#[derive(Debug)]
pub struct Purse {
    used: AtomicU64,
    max: AtomicU64,
    times: u64,
    /// Somebody waits for what is given back.
    wanted: AtomicBool,
    freed: Notify,
    refused: IntCounter,
}

/// What one holder has of a purse. Clones are the same account.
#[derive(Debug, Clone)]
pub struct Share(Arc<Account>);

#[derive(Debug)]
struct Account {
    used: AtomicU64,
    of: Of,
    /// Stands for many holders, and is bounded by what is left alone.
    of_many: bool,
}

/// What an account is a part of.
#[derive(Debug, Clone)]
enum Of {
    Purse(Arc<Purse>),
    Share(Share),
}

/// An amount that a holder has, given back when dropped.
#[derive(Debug)]
#[must_use = "it is given back when dropped"]
pub struct Taken {
    share: Share,
    amount: u64,
}

impl<K> Clone for Shared<K> {
    fn clone(&self) -> Self {
        Self { purse: self.purse.clone(), accounts: self.accounts.clone() }
    }
}

impl<K: Hash + Eq> Shared<K> {
    /// A purse of `max`, which counts what it refuses.
    pub fn new(max: u64, refused: IntCounter) -> Self {
        Self::with_times(max, TIMES, refused)
    }

    /// A purse of `max` in which a holder may have `times` as much as is left.
    pub fn with_times(max: u64, times: u64, refused: IntCounter) -> Self {
        let purse = Purse {
            used: AtomicU64::new(0),
            max: AtomicU64::new(max),
            times,
            wanted: AtomicBool::new(false),
            freed: Notify::new(),
            refused,
        };
        Self { purse: Arc::new(purse), accounts: Arc::default() }
    }

    /// The account of a holder.
    pub fn share(&self, holder: K) -> Share {
        self.account(holder, || Of::Purse(self.purse.clone()))
    }

    /// The account of a holder that shares what another one has.
    pub fn share_within(&self, whole: &Share, holder: K) -> Share {
        self.account(holder, || Of::Share(whole.clone()))
    }

    fn account(&self, holder: K, of: impl FnOnce() -> Of) -> Share {
        let new = || Account { used: AtomicU64::new(0), of: of(), of_many: false };
        Share(self.accounts.get(holder, new))
    }

    /// An account that is bounded by the purse alone: of a holder that stands for many, such as a proxy.
    pub fn share_of_many(&self) -> Share {
        Share(Arc::new(Account { used: AtomicU64::new(0), of: Of::Purse(self.purse.clone()), of_many: true }))
    }

    /// The purse.
    pub fn purse(&self) -> &Arc<Purse> {
        &self.purse
    }
}

impl Purse {
    /// What its holders have.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// How much there is.
    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// Changes how much there is. What holders have stays theirs.
    pub fn set_max(&self, max: u64) {
        self.max.store(max, Relaxed);
    }

    /// What is left.
    pub fn left(&self) -> u64 {
        self.max().saturating_sub(self.used())
    }

    /// Counts a refusal that was decided by [`Share::may_take`].
    pub fn count_refusal(&self) {
        self.refused.inc();
    }

    /// What somebody gives back from now on. Look again after this was called, and wait for it then.
    pub fn freed(&self) -> Notified<'_> {
        let freed = self.freed.notified();
        self.wanted.store(true, Relaxed);
        freed
    }

    fn give_back(&self, amount: u64) {
        self.used.fetch_sub(amount, Relaxed);
        if self.wanted.load(Relaxed) && self.wanted.swap(false, Relaxed) {
            self.freed.notify_waiters();
        }
    }
}

impl Share {
    /// An account of a purse of its own that is never refused anything: of tests and measurements.
    pub fn unbounded() -> Self {
        let refused = IntCounter::new("refused", "none").expect("the name is one");
        Shared::<()>::new(u64::MAX, refused).share_of_many()
    }

    /// Takes an amount, which is given back when it is dropped; none when the holder may not have it now.
    pub fn take(&self, amount: u64) -> Option<Taken> {
        self.take_uncounted(amount).or_else(|| {
            self.purse().refused.inc();
            None
        })
    }

    /// The same by whoever asks again and again: a refusal is not counted.
    pub fn take_uncounted(&self, amount: u64) -> Option<Taken> {
        self.may_take(amount).then(|| self.take_anyway(amount))
    }

    /// Takes an amount that is needed in any case.
    pub fn take_anyway(&self, amount: u64) -> Taken {
        self.add(amount);
        Taken { share: self.clone(), amount }
    }

    /// Whether the holder may have so much more now.
    pub fn may_take(&self, amount: u64) -> bool {
        self.may_take_to(0, amount)
    }

    /// Whether the holder may have so much more now for a thing for which it has taken `before` already.
    fn may_take_to(&self, before: u64, amount: u64) -> bool {
        let (used, room) = (self.used(), self.room_around());
        // What fits a purse that is unused but for it is taken whatever its share: a purse may be small, and one message large.
        let is_free = self.purse().used() <= before || self.0.of_many;
        let fits = amount <= if is_free { self.purse().left() } else { room };
        fits && (is_free || used + amount <= self.bound(room - amount)) && self.whole_may(before, amount)
    }

    fn whole_may(&self, before: u64, amount: u64) -> bool {
        match &self.0.of {
            Of::Purse(_) => true,
            Of::Share(whole) => whole.may_take_to(before, amount),
        }
    }

    /// The most that the holder may have when this much is left around it.
    fn bound(&self, left: u64) -> u64 {
        left.saturating_mul(self.purse().times)
    }

    /// What is left of the whole that this is a share of.
    fn room_around(&self) -> u64 {
        match &self.0.of {
            Of::Purse(purse) => purse.left(),
            Of::Share(whole) => {
                whole.bound(whole.room_around()).saturating_sub(whole.used()).min(self.purse().left())
            }
        }
    }

    /// Takes an amount that [`Self::give_back`] gives back.
    pub fn add(&self, amount: u64) {
        self.0.used.fetch_add(amount, Relaxed);
        match &self.0.of {
            Of::Purse(purse) => {
                purse.used.fetch_add(amount, Relaxed);
            }
            Of::Share(whole) => whole.add(amount),
        }
    }

    /// Gives back what [`Self::add`] took.
    pub fn give_back(&self, amount: u64) {
        self.0.used.fetch_sub(amount, Relaxed);
        match &self.0.of {
            Of::Purse(purse) => purse.give_back(amount),
            Of::Share(whole) => whole.give_back(amount),
        }
    }

    /// What the holder has.
    pub fn used(&self) -> u64 {
        self.0.used.load(Relaxed)
    }

    /// The purse that it is a part of.
    pub fn purse(&self) -> &Purse {
        match &self.0.of {
            Of::Purse(purse) => purse,
            Of::Share(whole) => whole.purse(),
        }
    }

    /// The holder has this much from now on, whether or not it may.
    pub fn set(&self, amount: u64) {
        let before = self.used();
        if amount > before { self.add(amount - before) } else { self.give_back(before - amount) }
    }

    /// Whether two are the same account.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Taken {
    /// Takes more; refused when the holder may not have it now.
    pub fn grow(&mut self, amount: u64) -> bool {
        if !self.share.may_take_to(self.amount, amount) {
            self.share.purse().refused.inc();
            return false;
        }
        self.share.add(amount);
        self.amount += amount;
        true
    }

    /// Gives back all but this much.
    pub fn shrink_to(&mut self, amount: u64) {
        let less = self.amount.saturating_sub(amount);
        self.amount -= less;
        self.share.give_back(less);
    }

    /// How much it is.
    pub fn amount(&self) -> u64 {
        self.amount
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.share.give_back(self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn purse(max: u64) -> Shared<u32> {
        Shared::new(max, IntCounter::new("refused", "of the test").unwrap())
    }

    /// Takes one at a time, as long as it gets some.
    fn all_it_gets(share: &Share) -> Vec<Taken> {
        std::iter::from_fn(|| share.take(1)).collect()
    }

    #[test]
    fn one_holder_alone_gets_three_quarters_and_leaves_the_next_three_quarters_of_the_rest() {
        let purse = purse(1600);
        let first = all_it_gets(&purse.share(1));
        let second = all_it_gets(&purse.share(2));
        let third = all_it_gets(&purse.share(3));
        assert_eq!((first.len(), second.len(), third.len()), (1200, 300, 75));
    }

    #[test]
    fn what_grows_alone_in_a_purse_may_have_all_of_it_and_beside_another_its_share() {
        let purse = purse(100);
        let mut thing = purse.share(1).take(10).unwrap();
        assert!(thing.grow(70) && thing.grow(20) && !thing.grow(1));
        thing.shrink_to(10);
        let other = purse.share(2).take(10).unwrap();
        assert!(!thing.grow(70) && thing.grow(50));
        drop((thing, other));
        assert_eq!(purse.purse().used(), 0);
    }

    #[test]
    fn of_an_unused_purse_one_thing_of_any_size_may_be_taken() {
        let purse = purse(100);
        let all = purse.share(1).take(100).unwrap();
        assert!(purse.share(2).take(1).is_none());
        drop(all);
        assert!(purse.share(2).take(101).is_none());
    }

    #[test]
    fn a_holder_that_stands_for_many_is_bounded_by_the_purse_alone() {
        let purse = purse(100);
        assert_eq!(all_it_gets(&purse.share_of_many()).len(), 100);
    }

    #[test]
    fn a_channel_leaves_room_to_others_of_its_namespace_and_the_namespace_to_other_namespaces() {
        let purse = purse(1_000_000);
        let (acme, other) = (purse.share(1), purse.share(2));
        let (orders, bills) = (purse.share_within(&acme, 11), purse.share_within(&acme, 12));
        let greedy = all_it_gets(&orders).len();
        assert!((600_000..750_000).contains(&greedy), "{greedy}");
        assert!(all_it_gets(&bills).len() > 10_000);
        assert!(all_it_gets(&purse.share_within(&other, 21)).len() > 100_000);
    }

    #[test]
    fn what_is_refused_is_counted_once() {
        let refused = IntCounter::new("refused", "of the test").unwrap();
        let purse = Shared::new(10, refused.clone());
        let share = purse.share(1);
        let _taken = share.take(10);
        assert!(share.take(1).is_none() && share.take_uncounted(1).is_none());
        assert_eq!(refused.get(), 1);
    }

    #[tokio::test]
    async fn whoever_waits_is_told_when_something_is_given_back() {
        let purse = purse(10);
        let taken = purse.share(1).take(10).unwrap();
        let told = tokio::spawn({
            let purse = purse.clone();
            async move { purse.purse().freed().await }
        });
        tokio::task::yield_now().await;
        assert!(!told.is_finished());
        drop(taken);
        told.await.unwrap();
    }

    proptest! {
        #[test]
        fn accounts_add_up_to_the_purse_and_a_newcomer_is_never_shut_out(
            steps in prop::collection::vec((0_u32..6, 1_u64..400, any::<bool>()), 1..200)
        ) {
            let purse = purse(10_000);
            let mut taken: Vec<Vec<Taken>> = (0..6).map(|_| Vec::new()).collect();
            for (holder, amount, takes) in steps {
                if takes {
                    taken[holder as usize].extend(purse.share(holder).take(amount));
                } else {
                    taken[holder as usize].pop();
                }
                let of_each = taken.iter().map(|taken| taken.iter().map(Taken::amount).sum::<u64>());
                prop_assert_eq!(of_each.sum::<u64>(), purse.purse().used());
                prop_assert!(purse.purse().used() <= 10_000);
                prop_assert!(purse.share(99).take(1).is_some());
            }
        }
    }
}
