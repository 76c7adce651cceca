//! The claims of one broker's channels to their names and addresses, with the verdict on each. After a change of one
//! claim, only claims to the same name or addresses are decided again. Pure.
//!
//! [`conflicts::resolve`] has the rules. It gets a claim together with the older winners of the same name and addresses.
//! No other claim affects the verdict.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use k8s_openapi::jiff::Timestamp;
use restante_crds::conflicts::{self, Claim, Conflict};
use restante_wire::{Address, ChannelConfig};
use uuid::Uuid;

/// A channel that lost a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The generation that lost.
    pub generation: i64,
    pub conflict: Conflict,
}

/// The claims of the channels, by UID.
#[derive(Debug, Default)]
pub(super) struct Claims {
    claims: HashMap<Uuid, Held>,
    claimants: HashMap<Key, Claimants>,
    lost: HashMap<Uuid, Lost>,
    /// The claims to decide again, oldest first.
    open: BTreeSet<Age>,
    /// The channels that may have changed since the last decision, each with its configuration if it had won.
    touched: HashMap<Uuid, Option<Arc<ChannelConfig>>>,
}

/// The claim of a channel.
#[derive(Debug)]
struct Held {
    config: Arc<ChannelConfig>,
    created: Option<Timestamp>,
    won: bool,
}

/// A channel that was touched since the last decision.
pub(super) struct Touched {
    pub(super) uid: Uuid,
    /// The configuration of the channel at the last decision, if it had won.
    pub(super) before: Option<Arc<ChannelConfig>>,
    /// The configuration of the channel now, if it has won.
    pub(super) after: Option<Arc<ChannelConfig>>,
}

/// The order of claims in [`conflicts::resolve`]: oldest first; channels without a creation time are the youngest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age(bool, Option<Timestamp>, Uuid);

/// Something that channels claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// `namespace/name`.
    Name(Box<str>),
    Source(Address),
    Destination(Address),
}

/// The channels that claim one key. Almost always one: a set for each would take half a kilobyte.
#[derive(Debug)]
enum Claimants {
    One(Age, bool),
    Several(Box<Several>),
}

#[derive(Debug, Default)]
struct Several {
    all: BTreeSet<Age>,
    winners: BTreeSet<Age>,
}

impl Claims {
    pub(super) fn len(&self) -> usize {
        self.claims.len()
    }

    pub(super) fn config(&self, uid: Uuid) -> Option<&Arc<ChannelConfig>> {
        self.claims.get(&uid).map(|held| &held.config)
    }

    pub(super) fn uids(&self) -> impl Iterator<Item = Uuid> {
        self.claims.keys().copied()
    }

    pub(super) fn lost(&self) -> &HashMap<Uuid, Lost> {
        &self.lost
    }

    /// The claim of a channel that won.
    pub(super) fn winner(&self, uid: Uuid) -> Option<Claim<'_>> {
        self.claims.get(&uid).filter(|held| held.won).map(Held::claim)
    }

    /// The configuration of a channel that won.
    pub(super) fn winner_config(&self, uid: Uuid) -> Option<&Arc<ChannelConfig>> {
        self.claims.get(&uid).filter(|held| held.won).map(|held| &held.config)
    }

    pub(super) fn winners(&self) -> impl Iterator<Item = Claim<'_>> {
        self.claims.values().filter(|held| held.won).map(Held::claim)
    }

    /// The channel that won a name.
    pub(super) fn winner_of_name(&self, namespace: &str, name: &str) -> Option<Uuid> {
        let holders = self.claimants.get(&Key::name(namespace, name))?;
        holders.winners_before(None).next().map(|age| age.2)
    }

    pub(super) fn age(&self, uid: Uuid) -> Option<Age> {
        self.claims.get(&uid).map(Held::age)
    }

    /// Adds or changes the claim of a channel.
    pub(super) fn set(&mut self, config: Arc<ChannelConfig>, created: Option<Timestamp>) {
        let uid = config.uid;
        self.touch(uid);
        match self.claims.get_mut(&uid) {
            Some(held) if held.created == created && claims_same(&held.config, &config) => {
                held.config = config
            }
            _ => {
                self.withdraw(uid);
                let held = Held { config, created, won: false };
                for key in keys(&held.config) {
                    match self.claimants.get_mut(&key) {
                        Some(claimants) => claimants.insert(held.age()),
                        None => {
                            self.claimants.insert(key, Claimants::One(held.age(), false));
                        }
                    }
                }
                self.claims.insert(uid, held);
            }
        }
        self.open.extend(self.age(uid));
    }

    /// Removes the claim of a channel.
    pub(super) fn remove(&mut self, uid: Uuid) {
        if self.claims.contains_key(&uid) {
            self.touch(uid);
            self.withdraw(uid);
        }
    }

    /// Decides the open claims, and returns every channel that was touched since the last decision.
    pub(super) fn decide(&mut self) -> Vec<Touched> {
        // A verdict opens only younger claims, so each claim is decided once.
        while let Some(age) = self.open.pop_first() {
            let Some(held) = self.claims.get(&age.2) else { continue };
            let conflict = self.conflict(held);
            let (generation, wins) = (held.config.generation, conflict.is_none());
            self.touch(age.2);
            match conflict {
                Some(conflict) => self.lost.insert(age.2, Lost { generation, conflict }),
                None => self.lost.remove(&age.2),
            };
            self.set_won(age.2, wins);
        }
        let touched = std::mem::take(&mut self.touched).into_iter();
        touched
            .map(|(uid, before)| Touched { uid, before, after: self.winner_config(uid).cloned() })
            .collect()
    }

    /// The conflict that a claim loses, given the verdicts on all older claims.
    fn conflict(&self, held: &Held) -> Option<Conflict> {
        let age = held.age();
        let mut older = BTreeSet::new();
        for key in keys(&held.config) {
            older.extend(self.claimants.get(&key).into_iter().flat_map(|one| one.winners_before(Some(age))));
        }
        if older.is_empty() {
            return None;
        }
        let older = older.iter().filter_map(|age| self.claims.get(&age.2)).map(Held::claim);
        let claims: Vec<Claim<'_>> = older.chain([held.claim()]).collect();
        conflicts::resolve(&claims).pop().flatten()
    }

    /// Records a verdict. If it changed, the younger claims that share something with this one are open again.
    fn set_won(&mut self, uid: Uuid, wins: bool) {
        let Some(held) = self.claims.get_mut(&uid) else { return };
        if std::mem::replace(&mut held.won, wins) == wins {
            return;
        }
        let age = held.age();
        for key in keys(&held.config) {
            if let Some(claimants) = self.claimants.get_mut(&key) {
                claimants.set_won(age, wins);
                claimants.open_younger(age, &mut self.open);
            }
        }
    }

    fn withdraw(&mut self, uid: Uuid) {
        self.set_won(uid, false);
        let Some(held) = self.claims.remove(&uid) else { return };
        self.lost.remove(&uid);
        for key in keys(&held.config) {
            if self.claimants.get_mut(&key).is_some_and(|claimants| claimants.remove(held.age())) {
                self.claimants.remove(&key);
            }
        }
    }

    fn touch(&mut self, uid: Uuid) {
        let before = self.winner_config(uid).cloned();
        self.touched.entry(uid).or_insert(before);
    }
}

impl Held {
    fn age(&self) -> Age {
        Age(self.created.is_none(), self.created, self.config.uid)
    }

    fn claim(&self) -> Claim<'_> {
        Claim { config: &self.config, created: self.created }
    }
}

impl Key {
    fn name(namespace: &str, name: &str) -> Self {
        Self::Name(format!("{namespace}/{name}").into())
    }
}

fn keys(config: &ChannelConfig) -> Vec<Key> {
    let mut keys = vec![Key::name(&config.namespace, &config.name), Key::Source(config.source.clone())];
    keys.extend(config.destinations.iter().cloned().map(Key::Destination));
    keys
}

/// Whether two configurations of a channel are the same to the others.
fn claims_same(one: &ChannelConfig, other: &ChannelConfig) -> bool {
    one.shared_destination == other.shared_destination && keys(one) == keys(other)
}

impl Claimants {
    fn insert(&mut self, age: Age) {
        match self {
            Self::Several(several) => {
                several.all.insert(age);
            }
            Self::One(first, won) => {
                let winners = won.then_some(*first).into_iter().collect();
                *self = Self::Several(Box::new(Several { all: [*first, age].into(), winners }));
            }
        }
    }

    /// Removes a claimant, and returns whether none is left.
    fn remove(&mut self, age: Age) -> bool {
        match self {
            Self::One(one, _) => *one == age,
            Self::Several(several) => {
                several.all.remove(&age);
                several.winners.remove(&age);
                if let (1, Some(last)) = (several.all.len(), several.all.first().copied()) {
                    *self = Self::One(last, several.winners.contains(&last));
                    return false;
                }
                several.all.is_empty()
            }
        }
    }

    fn set_won(&mut self, age: Age, wins: bool) {
        match self {
            Self::One(_, won) => *won = wins,
            Self::Several(several) if wins => {
                several.winners.insert(age);
            }
            Self::Several(several) => {
                several.winners.remove(&age);
            }
        }
    }

    /// The winners that are older than an age, or all of them.
    fn winners_before(&self, age: Option<Age>) -> impl Iterator<Item = Age> {
        let (one, several) = match self {
            Self::One(one, won) => (won.then_some(*one), None),
            Self::Several(several) => (None, Some(&several.winners)),
        };
        let several = several.into_iter().flatten().copied();
        one.into_iter().chain(several).take_while(move |one| age.is_none_or(|age| *one < age))
    }

    fn open_younger(&self, age: Age, open: &mut BTreeSet<Age>) {
        if let Self::Several(several) = self {
            open.extend(several.all.range((Bound::Excluded(age), Bound::Unbounded)).copied());
        }
    }
}
