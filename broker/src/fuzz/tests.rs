//! Runs each entry over its seeds and over mutations of them.

use std::{fs, path::PathBuf};

use proptest::{
    collection::vec,
    prelude::{Strategy, any},
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};

use super::TARGETS;

/// Mutations per target: some seconds for all targets together.
const MUTATIONS: u32 = 3000;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds")).join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

/// A mutation: replaces, removes or duplicates some bytes.
#[derive(Debug, Clone)]
enum Change {
    Replace(Index, Vec<u8>),
    Cut(Index, usize),
    Double(Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let bytes = vec(any::<u8>(), 1..9);
    let telling = select(vec![vec![0; 4], vec![0xff; 4], vec![0xff; 8], vec![0], vec![0x80], b"..".to_vec()]);
    proptest::prop_oneof![
        (any::<Index>(), bytes).prop_map(|(at, bytes)| Change::Replace(at, bytes)),
        (any::<Index>(), telling).prop_map(|(at, bytes)| Change::Replace(at, bytes)),
        (any::<Index>(), 1..600_usize).prop_map(|(at, length)| Change::Cut(at, length)),
        (any::<Index>(), 1..600_usize).prop_map(|(at, length)| Change::Double(at, length)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let range = |at: &Index, length: usize| {
            let at = at.index(bytes.len());
            at..(at + length).min(bytes.len())
        };
        match change {
            Change::Replace(at, with) => {
                let range = range(at, with.len());
                let length = range.len();
                bytes[range].copy_from_slice(&with[..length]);
            }
            Change::Cut(at, length) => {
                bytes.drain(range(at, *length));
            }
            Change::Double(at, length) => {
                let range = range(at, *length);
                let (doubled, end) = (bytes[range.clone()].to_vec(), range.end);
                bytes.splice(end..end, doubled);
            }
        }
    }
    bytes
}

#[test]
fn no_entry_panics_over_its_seeds_or_their_mutations() {
    for (name, run) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        seeds.iter().for_each(|seed| run(seed));
        let config = Config { cases: MUTATIONS, failure_persistence: None, ..Config::default() };
        let outcome =
            TestRunner::new(config).run(&(select(seeds), vec(change(), 0..6)), |(seed, changes)| {
                run(&changed(seed, &changes));
                Ok(())
            });
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
