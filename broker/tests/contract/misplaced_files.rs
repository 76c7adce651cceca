//! A file or folder of the data folder that was replaced by something else, or is inaccessible: each command reports it
//! by name, and uses the rest.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
    time::Instant,
};

use reqwest::StatusCode;
use rustix::fs::{CWD, FileType, mknodat};
use tempfile::TempDir;

use crate::{
    broker::{Broker, DEADLINE, command},
    maintenance::{bytes_of, dumped, on, run_command, status, stderr, stdout},
    operator::{channel, with_channels_and_flags},
};

const FLAGS: [&str; 4] = ["--segment-size", "1MiB", "--cores", "1"];
const MESSAGES: usize = 120;

/// How a start and the maintenance commands react to a missing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    /// A start refuses the folder, and the commands report it.
    Yes,
    /// Like [`Self::Yes`]; the file has messages.
    ForMessages,
    /// It counts as missing.
    No,
}

use Needed::{ForMessages, No, Yes};

/// Every file of a data folder, and the reaction to something else in its place. A number stands for all segments.
const FILES: [(&str, Needed); 16] = [
    ("lock", Yes),
    ("restante.json", Yes),
    ("restante.json.tmp", No),
    ("lease-key", Yes),
    ("lease-key.tmp", No),
    ("addresses", Yes),
    ("addresses/snapshot", Yes),
    ("addresses/snapshot.tmp", No),
    ("addresses/journal", Yes),
    ("addresses/journal.tmp", No),
    ("log", ForMessages),
    ("log/synced", Yes),
    ("log/synced.tmp", No),
    ("log/N.seg", ForMessages),
    ("log/N.idx", No),
    ("log/N.tmp", No),
];

/// The replacement of a file, or its fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Pipe,
    Device,
    Folder,
    /// A dangling link.
    Dangling,
    /// Far more bytes than any such file has, nearly all of them holes.
    Long,
    NoRights,
    /// The file is readable and not writable.
    ReadOnly,
}

impl Place {
    fn put(self, path: &Path) {
        let set_mode = |mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        if !path.exists() {
            fs::write(path, "").unwrap();
        }
        match self {
            Self::NoRights => return set_mode(0),
            Self::ReadOnly if path.is_dir() => return set_mode(0o500),
            Self::ReadOnly => return set_mode(0o400),
            Self::Long => {
                return fs::File::options().write(true).open(path).unwrap().set_len(1 << 40).unwrap();
            }
            _ if path.is_dir() => fs::remove_dir_all(path).unwrap(),
            _ => fs::remove_file(path).unwrap(),
        }
        match self {
            Self::Pipe => mknodat(CWD, path, FileType::Fifo, 0o600.into(), 0).unwrap(),
            Self::Device => symlink("/dev/zero", path).unwrap(),
            Self::Folder => fs::create_dir(path).unwrap(),
            Self::Dangling => symlink("nowhere", path).unwrap(),
            Self::Long | Self::NoRights | Self::ReadOnly => {}
        }
    }

    /// The expected text of the report.
    fn report(self) -> &'static str {
        match self {
            Self::Pipe => "it is a pipe",
            Self::Device => "it is a device",
            Self::Folder => "it is a folder",
            Self::Dangling => "it is a dangling link",
            Self::Long => "exceeds the limit",
            Self::NoRights | Self::ReadOnly => "may not",
        }
    }
}

/// A data folder with every file that a broker has, besides spare ones.
struct Template {
    folder: TempDir,
    /// The segment that has an index, without its extension.
    sealed: String,
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    // Tests may run in a runtime of their own.
    let made =
        || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(template());
    std::thread::spawn(made).join().unwrap()
});

async fn template() -> Template {
    let mut broker = with_channels_and_flags(&[channel("orders")], &FLAGS).await;
    push(&broker).await;
    broker.kill();
    // Only a salvaged store, or a very large one, has a snapshot.
    let (folder, old) = (broker.data_folder(), broker.folder.path().join("old"));
    let salvaged =
        on(&folder, "salvage", &[folder.to_str().unwrap(), "--move-old-to", old.to_str().unwrap()]);
    assert_eq!(status(&salvaged), 0, "{}{}", stdout(&salvaged), stderr(&salvaged));
    broker.start();
    push(&broker).await;
    broker.kill();
    let template = TempDir::new().unwrap();
    copy(&folder, template.path());
    let sealed = names(&folder).into_iter().find_map(|name| Some(name.strip_suffix(".idx")?.to_owned()));
    Template { folder: template, sealed: sealed.unwrap() }
}

/// Pushes more than a segment, and waits for the index of the one before.
async fn push(broker: &Broker) {
    for number in 0..MESSAGES / 2 {
        broker.pushed("acme/orders", format!("{number} {}", "x".repeat(40 << 10))).await;
    }
    let deadline = Instant::now() + DEADLINE;
    while !names(&broker.data_folder()).iter().any(|name| name.ends_with(".idx")) {
        assert!(Instant::now() < deadline, "no segment got an index");
        tokio::task::yield_now().await;
    }
}

/// The names of all files and folders in a data folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            names.insert(path.strip_prefix(folder).unwrap().display().to_string());
            folders.extend(Some(path).filter(|path| path.is_dir()));
        }
    }
    names
}

fn copy(from: &Path, to: &Path) {
    for name in names(from) {
        match from.join(&name).is_dir() {
            true => fs::create_dir(to.join(&name)).unwrap(),
            false => drop(fs::copy(from.join(&name), to.join(&name)).unwrap()),
        }
    }
}

/// A copy of the template with one fault.
struct Cell {
    above: TempDir,
    file: String,
    place: Place,
}

impl Cell {
    fn new(file: &str, place: Place) -> Self {
        let template = &*TEMPLATE;
        let above = TempDir::new().unwrap();
        let file = match file {
            "log/N.tmp" => "log/00000099.tmp".to_owned(),
            file => file.replace("log/N", &template.sealed),
        };
        let cell = Self { above, file, place };
        fs::create_dir(cell.folder()).unwrap();
        copy(template.folder.path(), &cell.folder());
        place.put(&cell.folder().join(&cell.file));
        cell
    }

    fn folder(&self) -> PathBuf {
        self.above.path().join("data")
    }

    /// The same command, killed if it hangs, as a user to whom file modes apply.
    fn bounded(&self, command: &Command) -> Command {
        let mut bounded = Command::new("timeout");
        bounded.args(["--kill-after=1", "60"]);
        if matches!(self.place, Place::NoRights | Place::ReadOnly) && rustix::process::geteuid().is_root() {
            bounded.args(["setpriv", "--bounding-set=-dac_override,-dac_read_search"]);
        }
        bounded.arg(command.get_program()).args(command.get_args());
        bounded
    }

    /// Starts a broker. Returns whether it is ready, or its status and its last line.
    fn start(&self) -> Result<(), (i32, String)> {
        let flags: Vec<String> = FLAGS.map(Into::into).into();
        let mut broker =
            self.bounded(&command(&self.folder(), &flags)).stderr(Stdio::piped()).spawn().unwrap();
        let mut last = String::new();
        for line in BufReader::new(broker.stderr.take().unwrap()).lines() {
            last = line.unwrap();
            if last.contains("the broker is ready") {
                // `timeout` forwards signals to its child, which it cannot do with SIGKILL.
                rustix::process::kill_process(
                    rustix::process::Pid::from_child(&broker),
                    rustix::process::Signal::TERM,
                )
                .unwrap();
                broker.wait().unwrap();
                return Ok(());
            }
        }
        Err((broker.wait().unwrap().code().unwrap_or(-1), last))
    }

    fn maintenance(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_restante-broker"));
        let (first, rest) = arguments.split_first().unwrap();
        command.arg(first).arg(self.folder()).args(rest);
        self.bounded(&command).output().unwrap()
    }

    /// Deviations from the expected outcomes of a start, `check`, `dump` and `salvage`.
    fn faults(&self, needed: Needed) -> Vec<String> {
        let mut faults = Vec::new();
        let mut expect = |what: &str, is: bool, printed: &str| {
            if !is {
                let last = printed.lines().rev().take(3).collect::<Vec<_>>().join(" | ");
                faults.push(format!("{} × {:?}: {what}: {last}", self.file, self.place));
            }
        };
        // A folder cannot be removed like a file, and never belongs to a broker.
        let is_leftover = self.file.starts_with("log/") && self.file.ends_with(".tmp");
        let needed = if is_leftover && self.place == Place::Folder { Yes } else { needed };
        let (code, report) = match (needed, self.place) {
            (No, _) => (0, ""),
            (_, Place::NoRights) => (2, self.place.report()),
            (Yes | ForMessages, _) => (1, self.place.report()),
        };
        let target = self.above.path().join("salvaged");
        let check = self.maintenance(&["check"]);
        expect("check", status(&check) == code, stderr(&check));
        let dump = self.maintenance(&["dump"]);
        expect("dump", status(&dump) == code, stderr(&dump));
        let salvage = self.maintenance(&["salvage", target.to_str().unwrap()]);
        expect("salvage", status(&salvage) == code, stderr(&salvage));
        let is_reported =
            |printed: &str| printed.lines().any(|line| line.contains(&self.file) && line.contains(report));
        match code {
            1 => {
                expect("check tells it by name", is_reported(stdout(&check)), stdout(&check));
                expect("dump tells it by name", is_reported(stderr(&dump)), stderr(&dump));
                expect("salvage tells it by name", is_reported(stdout(&salvage)), stdout(&salvage));
            }
            2 => {
                for output in [&check, &dump, &salvage] {
                    expect(
                        "its name and the missing right are reported",
                        is_reported(stderr(output)),
                        stderr(output),
                    );
                }
            }
            _ => {}
        }
        if code < 2 && target.exists() {
            let again = on(&target, "check", &[]);
            expect("what was salvaged is sound", status(&again) == 0, stdout(&again));
            let (read, saved) = (stdout(&dump).lines().count(), dumped(&target, &[]).len());
            expect("what is dumped is salvaged", read == saved, &format!("{read} and {saved}"));
            expect("the rest is there", needed == ForMessages || saved == MESSAGES, &saved.to_string());
        }
        match (self.start(), needed) {
            (Ok(()), No) => {}
            (Ok(()), _) => expect("the start", false, "it serves"),
            (Err((code, last)), needed) => {
                expect("the start", needed != No && code == 78, &format!("{code}: {last}"));
                let is_reported = last.contains(&self.file) && last.contains(self.place.report());
                expect("the start tells it by name", is_reported, &last);
            }
        }
        faults
    }
}

fn assert_reactions(place: Place) {
    let is_of_files = place == Place::Long || place == Place::Folder;
    let files = FILES.iter().filter(|(file, _)| !(is_of_files && ["addresses", "log"].contains(file)));
    let faults: Vec<_> = files.flat_map(|(file, needed)| Cell::new(file, place).faults(*needed)).collect();
    assert!(faults.is_empty(), "{} are wrong:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_pipe_in_place_of_a_file_is_reported_by_name_and_the_other_files_are_read() {
    assert_reactions(Place::Pipe);
}

#[test]
fn a_device_in_place_of_a_file_is_reported_by_name_and_the_other_files_are_read() {
    assert_reactions(Place::Device);
}

#[test]
fn a_folder_in_place_of_a_file_is_reported_by_name_and_the_other_files_are_read() {
    assert_reactions(Place::Folder);
}

#[test]
fn a_dangling_link_in_place_of_a_file_is_reported_by_name_and_the_other_files_are_read() {
    assert_reactions(Place::Dangling);
}

#[test]
fn an_oversize_file_is_reported_by_name_and_the_other_files_are_read() {
    assert_reactions(Place::Long);
}

#[test]
fn a_file_without_permissions_is_reported_by_name_with_the_missing_permission() {
    assert_reactions(Place::NoRights);
}

#[test]
fn a_read_only_file_ends_the_start_with_78_and_is_reported_by_name() {
    for file in ["lock", "addresses", "addresses/journal", "log/synced", "log/N.seg", "log"] {
        let cell = Cell::new(file, Place::ReadOnly);
        let before = bytes_of(&cell.folder().join("log"));
        let (code, last) = cell.start().expect_err("it must not serve");
        assert_eq!(code, 78, "{file}: {last}");
        assert!(last.contains(&cell.file) && last.contains("may not"), "{file}: {last}");
        assert!(bytes_of(&cell.folder().join("log")) == before, "{file}");
    }
}

#[test]
fn every_file_of_a_data_folder_has_a_row() {
    let rows: BTreeSet<&str> = FILES.iter().map(|(file, _)| *file).collect();
    let template = &*TEMPLATE;
    for name in names(template.folder.path()) {
        let digits = name.trim_start_matches("log/").split('.').next().unwrap().to_owned();
        let is_numbered = digits.parse::<u64>().is_ok();
        let row = if is_numbered { name.replace(&digits, "N") } else { name.clone() };
        assert!(
            rows.contains(row.as_str()),
            "{name} has no row: add its reaction to something else in its place"
        );
    }
    // Every row is of an existing file, or of an unfinished one.
    let there = names(template.folder.path());
    for row in rows.iter().filter(|row| !row.ends_with(".tmp")) {
        let name = row.replace("log/N", &template.sealed);
        assert!(there.contains(&name), "{row}");
    }
}

#[tokio::test]
async fn a_backup_fails_if_a_file_is_misplaced_and_the_broker_continues() {
    let mut broker = with_channels_and_flags(&[channel("orders")], &FLAGS).await;
    broker.pushed("acme/orders", "stored").await;
    broker.kill();
    let (folder, old) = (broker.data_folder(), broker.folder.path().join("old"));
    on(&folder, "salvage", &[folder.to_str().unwrap(), "--move-old-to", old.to_str().unwrap()]);
    broker.start();
    let backup = || {
        let url = format!("http://{}", broker.address("--control-listen"));
        let token = broker.folder.path().join("token");
        let output = broker.folder.path().join("backup.tar");
        let flags = ["--control-url", &url, "--control-token-file", token.to_str().unwrap(), "--output"];
        run_command(&[&["backup"], &flags[..], &[output.to_str().unwrap()]].concat())
    };
    for file in ["restante.json", "lease-key", "addresses/snapshot", "addresses/journal"] {
        for place in [Place::Pipe, Place::Device, Place::Folder, Place::Dangling, Place::Long] {
            // The running broker has the file open.
            let (path, aside) = (folder.join(file), folder.join("aside"));
            fs::rename(&path, &aside).unwrap();
            place.put(&path);
            let output = backup();
            assert_eq!(status(&output), 2, "{file} × {place:?}: {}", stderr(&output));
            let response = broker.push("acme/orders", "goes on").send().await.unwrap();
            assert_eq!(response.status(), StatusCode::CREATED, "{file} × {place:?}");
            fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
            fs::rename(&aside, &path).unwrap();
            assert_eq!(status(&backup()), 0, "{file} is there again");
        }
    }
}
