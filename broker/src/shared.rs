//! A budget that many holders share: memory, connections, requests, disk space.
//!
//! A holder may have at most [`TIMES`] times the amount that is left, the *dynamic threshold* of Choudhury and Hahne
//! ("Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", IEEE/ACM Transactions on Networking 6(2),
//! 1998). So a budget is never empty: a greedy holder leaves a part of it to the others, the next greedy one a part of
//! that part, and nobody needs to know the number of holders. The largest holder is refused first.
//!
//! Holders nest: channels share the amount of their namespace, as namespaces share the budget.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use prometheus::IntCounter;
use tokio::sync::{Notify, futures::Notified};

use crate::weak_cache::WeakCache;

/// A holder's bound, as a multiple of the amount that is left. Alone, a holder gets three quarters of the budget;
/// beside one other greedy holder, three sevenths.
pub const TIMES: u64 = 3;

/// A budget and the accounts of its holders.
#[derive(Debug)]
pub struct Shared<K> {
    budget: Arc<Budget>,
    accounts: Arc<WeakCache<K, Account>>,
}

/// An amount that holders share.
#[derive(Debug)]
pub struct Budget {
    used: AtomicU64,
    max: AtomicU64,
    times: u64,
    /// A task waits for an amount to be returned.
    wanted: AtomicBool,
    freed: Notify,
    refused: IntCounter,
}

/// The account of one holder. Clones are the same account.
#[derive(Debug, Clone)]
pub struct Share(Arc<Account>);

#[derive(Debug)]
struct Account {
    used: AtomicU64,
    of: Of,
    /// The holder stands for many and is bounded only by the amount left.
    of_many: bool,
}

/// The parent of an account.
#[derive(Debug, Clone)]
enum Of {
    Budget(Arc<Budget>),
    Share(Share),
}

/// An amount that a holder has, returned on drop.
#[derive(Debug)]
#[must_use = "the amount is returned on drop"]
pub struct Allocation {
    share: Share,
    amount: u64,
}

impl<K> Clone for Shared<K> {
    fn clone(&self) -> Self {
        Self { budget: self.budget.clone(), accounts: self.accounts.clone() }
    }
}

impl<K: Hash + Eq> Shared<K> {
    /// A budget of `max` that counts refusals.
    pub fn new(max: u64, refused: IntCounter) -> Self {
        Self::with_times(max, TIMES, refused)
    }

    /// A budget of `max` in which a holder may have `times` the amount that is left.
    pub fn with_times(max: u64, times: u64, refused: IntCounter) -> Self {
        let budget = Budget {
            used: AtomicU64::new(0),
            max: AtomicU64::new(max),
            times,
            wanted: AtomicBool::new(false),
            freed: Notify::new(),
            refused,
        };
        Self { budget: Arc::new(budget), accounts: Arc::default() }
    }

    /// The account of a holder.
    pub fn share(&self, holder: K) -> Share {
        self.account(holder, || Of::Budget(self.budget.clone()))
    }

    /// The account of a holder that shares the amount of another holder.
    pub fn share_within(&self, whole: &Share, holder: K) -> Share {
        self.account(holder, || Of::Share(whole.clone()))
    }

    fn account(&self, holder: K, of: impl FnOnce() -> Of) -> Share {
        let new = || Account { used: AtomicU64::new(0), of: of(), of_many: false };
        Share(self.accounts.get(holder, new))
    }

    /// An account that only the budget bounds: for a holder that stands for many, such as a proxy.
    pub fn share_of_many(&self) -> Share {
        Share(Arc::new(Account {
            used: AtomicU64::new(0),
            of: Of::Budget(self.budget.clone()),
            of_many: true,
        }))
    }

    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl Budget {
    /// The amount that all holders have.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// Changes the size of the budget. Holders keep their amounts.
    pub fn set_max(&self, max: u64) {
        self.max.store(max, Relaxed);
    }

    /// The amount that is available.
    pub fn available(&self) -> u64 {
        self.max().saturating_sub(self.used())
    }

    /// Counts a refusal that [`Share::may_take`] decided.
    pub fn count_refusal(&self) {
        self.refused.inc();
    }

    /// Resolves when an amount is returned after this call. Call it, check the budget again, and only then await it.
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
    /// An account of its own budget without a bound, for tests and measurements.
    pub fn unbounded() -> Self {
        let refused = IntCounter::new("refused", "none").expect("the name is valid");
        Shared::<()>::new(u64::MAX, refused).share_of_many()
    }

    /// Takes an amount, which is returned on drop; none if it exceeds the holder's share.
    pub fn take(&self, amount: u64) -> Option<Allocation> {
        self.take_uncounted(amount).or_else(|| {
            self.budget().refused.inc();
            None
        })
    }

    /// [`Self::take`] for a caller that retries: a refusal is not counted.
    pub fn take_uncounted(&self, amount: u64) -> Option<Allocation> {
        self.may_take(amount).then(|| self.take_anyway(amount))
    }

    /// Takes an amount that is needed in any case.
    pub fn take_anyway(&self, amount: u64) -> Allocation {
        self.add(amount);
        Allocation { share: self.clone(), amount }
    }

    /// Whether the holder may take this amount now.
    pub fn may_take(&self, amount: u64) -> bool {
        self.may_take_to(0, amount)
    }

    /// Whether the holder may take this amount now for a thing that already has `before`.
    fn may_take_to(&self, before: u64, amount: u64) -> bool {
        let (used, room) = (self.used(), self.room_around());
        // A thing that has the whole budget to itself is not bounded by its holder's share: a budget may be small, and
        // one message large.
        let is_free = self.budget().used() <= before || self.0.of_many;
        let fits = amount <= if is_free { self.budget().available() } else { room };
        fits && (is_free || used + amount <= self.bound(room - amount))
            && self.parent_may_take(before, amount)
    }

    fn parent_may_take(&self, before: u64, amount: u64) -> bool {
        match &self.0.of {
            Of::Budget(_) => true,
            Of::Share(whole) => whole.may_take_to(before, amount),
        }
    }

    /// The most that the holder may have while the amount `left` is available around it.
    fn bound(&self, left: u64) -> u64 {
        left.saturating_mul(self.budget().times)
    }

    /// The amount that is left in the parent.
    fn room_around(&self) -> u64 {
        match &self.0.of {
            Of::Budget(budget) => budget.available(),
            Of::Share(whole) => {
                whole.bound(whole.room_around()).saturating_sub(whole.used()).min(self.budget().available())
            }
        }
    }

    /// Takes an amount that [`Self::give_back`] returns.
    pub fn add(&self, amount: u64) {
        self.0.used.fetch_add(amount, Relaxed);
        match &self.0.of {
            Of::Budget(budget) => {
                budget.used.fetch_add(amount, Relaxed);
            }
            Of::Share(whole) => whole.add(amount),
        }
    }

    /// Returns an amount that [`Self::add`] took.
    pub fn give_back(&self, amount: u64) {
        self.0.used.fetch_sub(amount, Relaxed);
        match &self.0.of {
            Of::Budget(budget) => budget.give_back(amount),
            Of::Share(whole) => whole.give_back(amount),
        }
    }

    /// The amount that the holder has.
    pub fn used(&self) -> u64 {
        self.0.used.load(Relaxed)
    }

    pub fn budget(&self) -> &Budget {
        match &self.0.of {
            Of::Budget(budget) => budget,
            Of::Share(whole) => whole.budget(),
        }
    }

    /// Sets the holder's amount, even beyond its share.
    pub fn set(&self, amount: u64) {
        let before = self.used();
        if amount > before { self.add(amount - before) } else { self.give_back(before - amount) }
    }

    /// Whether both are the same account.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Allocation {
    /// Takes more, unless it exceeds the holder's share.
    pub fn grow(&mut self, amount: u64) -> bool {
        if !self.share.may_take_to(self.amount, amount) {
            self.share.budget().refused.inc();
            return false;
        }
        self.share.add(amount);
        self.amount += amount;
        true
    }

    /// Returns all but this amount.
    pub fn shrink_to(&mut self, amount: u64) {
        let less = self.amount.saturating_sub(amount);
        self.amount -= less;
        self.share.give_back(less);
    }

    pub fn amount(&self) -> u64 {
        self.amount
    }
}

impl Drop for Allocation {
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

    fn budget(max: u64) -> Shared<u32> {
        Shared::new(max, IntCounter::new("refused", "of the test").unwrap())
    }

    /// Takes one at a time until the first refusal.
    fn take_all(share: &Share) -> Vec<Allocation> {
        std::iter::from_fn(|| share.take(1)).collect()
    }

    #[test]
    fn each_holder_gets_three_quarters_of_the_remaining_budget() {
        let budget = budget(1600);
        let first = take_all(&budget.share(1));
        let second = take_all(&budget.share(2));
        let third = take_all(&budget.share(3));
        assert_eq!((first.len(), second.len(), third.len()), (1200, 300, 75));
    }

    #[test]
    fn an_allocation_may_grow_to_the_whole_budget_if_it_is_alone_and_else_to_its_share() {
        let budget = budget(100);
        let mut thing = budget.share(1).take(10).unwrap();
        assert!(thing.grow(70) && thing.grow(20) && !thing.grow(1));
        thing.shrink_to(10);
        let other = budget.share(2).take(10).unwrap();
        assert!(!thing.grow(70) && thing.grow(50));
        drop((thing, other));
        assert_eq!(budget.budget().used(), 0);
    }

    #[test]
    fn an_allocation_of_any_size_fits_an_unused_budget() {
        let budget = budget(100);
        let all = budget.share(1).take(100).unwrap();
        assert!(budget.share(2).take(1).is_none());
        drop(all);
        assert!(budget.share(2).take(101).is_none());
    }

    #[test]
    fn a_holder_that_represents_many_clients_is_limited_only_by_the_budget() {
        let budget = budget(100);
        assert_eq!(take_all(&budget.share_of_many()).len(), 100);
    }

    #[test]
    fn a_channel_leaves_room_for_its_namespace_and_a_namespace_for_other_namespaces() {
        let budget = budget(1_000_000);
        let (acme, other) = (budget.share(1), budget.share(2));
        let (orders, bills) = (budget.share_within(&acme, 11), budget.share_within(&acme, 12));
        let greedy = take_all(&orders).len();
        assert!((600_000..750_000).contains(&greedy), "{greedy}");
        assert!(take_all(&bills).len() > 10_000);
        assert!(take_all(&budget.share_within(&other, 21)).len() > 100_000);
    }

    #[test]
    fn a_refusal_is_counted_once() {
        let refused = IntCounter::new("refused", "of the test").unwrap();
        let budget = Shared::new(10, refused.clone());
        let share = budget.share(1);
        let _taken = share.take(10);
        assert!(share.take(1).is_none() && share.take_uncounted(1).is_none());
        assert_eq!(refused.get(), 1);
    }

    #[tokio::test]
    async fn a_waiting_task_wakes_when_an_amount_is_returned() {
        let budget = budget(10);
        let taken = budget.share(1).take(10).unwrap();
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.budget().freed().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(taken);
        waiting.await.unwrap();
    }

    proptest! {
        #[test]
        fn allocations_add_up_to_the_used_budget_and_a_new_holder_always_gets_a_share(
            steps in prop::collection::vec((0_u32..6, 1_u64..400, any::<bool>()), 1..200)
        ) {
            let budget = budget(10_000);
            let mut taken: Vec<Vec<Allocation>> = (0..6).map(|_| Vec::new()).collect();
            for (holder, amount, takes) in steps {
                if takes {
                    taken[holder as usize].extend(budget.share(holder).take(amount));
                } else {
                    taken[holder as usize].pop();
                }
                let of_each = taken.iter().map(|taken| taken.iter().map(Allocation::amount).sum::<u64>());
                prop_assert_eq!(of_each.sum::<u64>(), budget.budget().used());
                prop_assert!(budget.budget().used() <= 10_000);
                prop_assert!(budget.share(99).take(1).is_some());
            }
        }
    }
}
