//! The oracle of `check`: real data folders with one change each.
//!
//! For every change: `check` reports "healthy" only if a start has every acknowledged message; a start that succeeds has
//! them as well, or reports the unreadable ones; and a start that refuses has written nothing.

mod change;
mod folder;
mod start;

use std::{collections::BTreeMap, fs, path::Path};

use crate::{log::disk::simulated::Chance, maintenance};
use change::Change;
use folder::{Folder, Shape};
use start::{Held, start};

/// Changes per folder: over 5,000 in total.
const CHANGES: u64 = 1_100;

/// Outcomes of the changes of one folder.
#[derive(Debug, Default)]
struct Tally {
    sound: u64,
    damaged: u64,
    refused: u64,
    wrong: Vec<String>,
}

fn hold(shape: Shape, seed: u64) {
    let folder = Folder::make(shape, seed);
    let mut tally = Tally::default();
    for number in 0..CHANGES {
        let copy = folder.copy();
        let change = Change::draw(copy.path(), &mut Chance::new(seed << 32 | number));
        change.make(copy.path());
        if let Err(wrong) = tally.check_start(&folder, copy.path(), shape.shards()) {
            tally.wrong.push(format!("change {number}, {change:?}: {wrong}"));
        }
    }
    let Tally { sound, damaged, refused, wrong } = tally;
    assert!(
        wrong.is_empty(),
        "{shape:?}: {} are wrong, such as:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    // Each of the three must occur, or the changes have no effect.
    assert!(sound > 0 && damaged > 0 && refused > 0, "{shape:?}: {sound}, {damaged}, {refused}");
}

impl Tally {
    /// Checks a changed folder, and starts on it.
    fn check_start(&mut self, folder: &Folder, changed: &Path, shards: usize) -> Result<(), String> {
        let sound = maintenance::is_healthy(changed);
        let before = files(changed);
        let found = match start(changed, shards) {
            Ok(found) => found,
            Err(refused) => {
                self.refused += 1;
                return refused_rightly(&sound, &refused.to_string(), &before, &files(changed));
            }
        };
        for (name, message) in folder.stored() {
            match found.get(name) {
                Some(Held::Readable(body)) if body == message => {}
                Some(Held::Unreadable) if sound != Ok(true) => {}
                other => return Err(format!("{name:?} is {other:?}, and check reported {sound:?}")),
            }
        }
        if sound != Ok(true) {
            self.damaged += 1;
            return Ok(());
        }
        self.sound += 1;
        let settled = |held: &&Held| matches!(held, Held::Readable(body) if folder.settled().contains(body));
        match found.values().find(settled) {
            Some(back) => Err(format!("{back:?} was settled and is back")),
            None => Ok(()),
        }
    }
}

type Files = BTreeMap<String, Vec<u8>>;

fn refused_rightly(
    sound: &Result<bool, String>,
    refused: &str,
    before: &Files,
    after: &Files,
) -> Result<(), String> {
    if *sound == Ok(true) {
        return Err(format!("check reports a sound folder, and a start refuses it: {refused}"));
    }
    let names = before.keys().chain(after.keys());
    match names.into_iter().find(|name| before.get(*name) != after.get(*name)) {
        Some(written) => Err(format!("a start refuses it ({refused}), and has written {written}")),
        None => Ok(()),
    }
}

/// All files of a data folder except the lock, into which every start writes its process id.
fn files(folder: &Path) -> Files {
    let files = change::files(folder).into_iter().filter(|name| name != "lock");
    files.map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}

#[test]
fn no_loss_in_a_closed_log_goes_unreported() {
    hold(Shape::Closed, 1);
}

#[test]
fn no_loss_in_the_log_of_a_killed_process_goes_unreported() {
    hold(Shape::Killed, 2);
}

#[test]
fn no_loss_in_two_shards_and_an_older_log_goes_unreported() {
    hold(Shape::TwoCores, 3);
}

#[test]
fn no_loss_in_a_small_log_goes_unreported() {
    hold(Shape::Small, 4);
}

#[test]
fn no_loss_in_an_address_store_with_a_snapshot_goes_unreported() {
    hold(Shape::Snapshot, 5);
}

#[test]
fn log_folders_that_are_swapped_missing_empty_or_files_are_reported() {
    let folder = Folder::make(Shape::TwoCores, 6);
    let whole = |path: &Path| path.join("log-2-0of2");
    let other = |path: &Path| path.join("log-2-1of2");
    type ChangeOf<'a> = (&'a str, &'a dyn Fn(&Path));
    let changes: [ChangeOf<'_>; 5] = [
        ("exchanged", &|path| {
            fs::rename(whole(path), path.join("aside")).unwrap();
            fs::rename(other(path), whole(path)).unwrap();
            fs::rename(path.join("aside"), other(path)).unwrap();
        }),
        ("missing", &|path| fs::remove_dir_all(other(path)).unwrap()),
        ("the older one missing", &|path| fs::remove_dir_all(path.join("log")).unwrap()),
        ("emptied", &|path| {
            fs::remove_dir_all(other(path)).unwrap();
            fs::create_dir(other(path)).unwrap();
        }),
        ("a file", &|path| {
            fs::remove_dir_all(other(path)).unwrap();
            fs::write(other(path), "").unwrap();
        }),
    ];
    for (what, change) in changes {
        let copy = folder.copy();
        change(copy.path());
        let mut tally = Tally::default();
        tally.check_start(&folder, copy.path(), 2).unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
        assert_eq!(tally.refused, 1, "{what}");
    }
}

#[test]
fn check_follows_a_symbolic_link_to_a_log_like_a_start() {
    let folder = Folder::make(Shape::TwoCores, 7);
    let (copy, elsewhere) = (folder.copy(), folder.copy());
    let log = copy.path().join("log-2-1of2");
    fs::remove_dir_all(&log).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("log-2-1of2"), &log).unwrap();
    let mut tally = Tally::default();
    tally.check_start(&folder, copy.path(), 2).unwrap();
    assert_eq!(tally.sound, 1);
}
