//! Random changes and restarts, compared with a model that is a map.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};
use restante_wire::Revision;

use super::*;

/// Few values of each kind, so that they collide.
const CHANNELS: u128 = 5;

#[derive(Debug, Clone)]
enum Operation {
    Sync(Vec<ChannelConfig>),
    Put(Box<ChannelConfig>),
    Remove(u128),
    Reopen,
    Compact,
}

fn any_config() -> impl Strategy<Value = ChannelConfig> {
    let numbers = (0..CHANNELS, 0..CHANNELS, 0..CHANNELS, 0..CHANNELS, 0..2u32);
    // Mostly without collisions, or no set would ever be accepted.
    (numbers, prop::bool::weighted(0.9)).prop_map(
        |((uid, name, source, destination, wait_seconds), apart)| {
            let pick = |other: u128| if apart { uid } else { other };
            let mut config = config(&format!("n{}", pick(name)));
            config.uid = Uuid::from_u128(uid);
            config.source = format!("acme/s{}", pick(source)).parse().unwrap();
            config.destinations = [format!("acme/d{}", pick(destination)).parse().unwrap()].into();
            config.delivery.wait_seconds = wait_seconds;
            config
        },
    )
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => vec(any_config(), 0..4).prop_map(Operation::Sync),
        6 => any_config().prop_map(|config| Operation::Put(config.into())),
        1 => (0..CHANNELS).prop_map(Operation::Remove),
        2 => Just(Operation::Reopen),
        1 => Just(Operation::Compact),
    ]
}

#[derive(Debug, Clone)]
struct Known {
    config: ChannelConfig,
    orphan: bool,
}

impl Known {
    fn id(&self) -> ChannelId {
        id_of(self.config.uid)
    }
}

#[derive(Debug, Clone, Default)]
struct Model {
    known: BTreeMap<Uuid, Known>,
    deleted: BTreeSet<Uuid>,
    programmed: bool,
}

fn collide(one: &ChannelConfig, two: &ChannelConfig) -> bool {
    one.name == two.name || one.source == two.source || one.destinations == two.destinations
}

impl Model {
    fn in_set(&self) -> impl Iterator<Item = &Known> {
        self.known.values().filter(|known| !known.orphan)
    }

    fn take(&mut self, config: ChannelConfig) {
        let known = self.known.entry(config.uid);
        let known = known.or_insert_with(|| Known { config: config.clone(), orphan: false });
        (known.config, known.orphan) = (config, false);
    }

    /// Applies an operation to the model if the store should accept it. Returns whether it should.
    fn apply(&mut self, operation: &Operation) -> bool {
        match operation.clone() {
            Operation::Sync(set) => {
                let bad = |(at, one): (usize, &ChannelConfig)| {
                    self.deleted.contains(&one.uid)
                        || set[..at].iter().any(|other| other.uid == one.uid || collide(one, other))
                };
                if set.iter().enumerate().any(bad) {
                    return false;
                }
                self.known.values_mut().for_each(|known| known.orphan = true);
                set.into_iter().for_each(|config| self.take(config));
                self.programmed = true;
            }
            Operation::Put(config) => {
                let others =
                    |known: &Known| known.config.uid != config.uid && collide(&known.config, &config);
                if self.deleted.contains(&config.uid) || self.in_set().any(others) {
                    return false;
                }
                self.take(*config);
            }
            Operation::Remove(uid) => {
                self.known.remove(&Uuid::from_u128(uid));
                self.deleted.insert(Uuid::from_u128(uid));
            }
            Operation::Reopen | Operation::Compact => {}
        }
        true
    }

    fn check(&self, store: &AddressStore) {
        let state = store.state();
        assert_eq!(state.revision, Revision::of(self.in_set().map(|known| &known.config)));
        assert_eq!(state.channels as usize, self.in_set().count());
        assert_eq!(state.orphans as usize, self.known.len() - self.in_set().count());
        assert_eq!(store.is_programmed(), self.programmed);
        let ids = |entries: Vec<Arc<ChannelEntry>>| entries.iter().map(|one| one.id).collect::<BTreeSet<_>>();
        assert_eq!(ids(store.channels()), self.in_set().map(Known::id).collect());
        assert_eq!(store.orphans().len(), state.orphans as usize);
        for uid in (0..CHANNELS).map(Uuid::from_u128) {
            assert_eq!(store.is_known(id_of(uid)), self.known.contains_key(&uid), "{uid}");
        }
        for at in 0..CHANNELS {
            let by = |has: &dyn Fn(&ChannelConfig) -> bool| {
                self.in_set().find(|known| has(&known.config)).map(|known| (known.id(), known.config.clone()))
            };
            let found =
                |entry: Option<Arc<ChannelEntry>>| entry.map(|entry| (entry.id, entry.config.clone()));
            let (name, source, destination) =
                (format!("n{at}"), format!("acme/s{at}"), format!("acme/d{at}"));
            assert_eq!(found(store.by_name("acme", &name)), by(&|config| config.name == name));
            assert_eq!(found(store.source(&source)), by(&|config| config.source.as_str() == source));
            assert_eq!(
                found(store.destination(&destination).first().cloned()),
                by(&|config| config.destinations[0].as_str() == destination)
            );
            let uid = Uuid::from_u128(at);
            let known = self.known.get(&uid).map(|known| (known.id(), known.config.clone()));
            assert_eq!(found(store.by_uid(uid)), known);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_store_behaves_like_a_map(operations in vec(any_operation(), 1..30)) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path());
        let mut model = Model::default();
        for operation in operations {
            let allowed = model.apply(&operation);
            let applied = match operation {
                Operation::Sync(set) => store.sync(set).is_ok(),
                Operation::Put(config) => store.put(*config).is_ok(),
                Operation::Remove(uid) => store.remove(Uuid::from_u128(uid)).is_ok(),
                Operation::Reopen => {
                    drop(store);
                    store = open(folder.path());
                    true
                }
                Operation::Compact => {
                    store.make_snapshot_due();
                    true
                }
            };
            prop_assert_eq!(applied, allowed);
            model.check(&store);
        }
    }
}
