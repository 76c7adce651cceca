//! Which logs a data folder has. A broker has one for each of its cores; those of a start with another number of cores are
//! older ones, which are read until what they hold is copied.
//!
//! All logs that were begun together are a generation: within one, all that there is of a channel is in one log; and of two
//! generations, what the later one says of a message is later. `log` is the first one, of one core; the others have names
//! such as `log-2-1of4`: the second of four logs of generation 2.

use std::{fmt, fs, path::Path, str::FromStr};

use super::{
    DataFolderError,
    error::{io_error, step},
    os_error::Misplaced,
    plain_file,
};

/// The name of the log that every data folder has.
const FIRST: &str = "log";

/// A log's folder, by its name. Ordered as their records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LogFolder {
    generation: u32,
    /// How many logs the generation has.
    cores: u32,
    /// Which of them it is, from 0.
    core: u32,
}

/// What a start does with the logs that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logs {
    /// The logs that are written, one for each core; not all of them may be there yet.
    pub(crate) current: Vec<LogFolder>,
    /// Those that are read only, the oldest first.
    pub(crate) older: Vec<LogFolder>,
}

/// The name is that of no log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotALog;

impl LogFolder {
    /// The log that every data folder has.
    pub(crate) const FIRST: Self = Self { generation: 1, cores: 1, core: 0 };

    fn generation(generation: u32, cores: u32) -> Vec<Self> {
        (0..cores).map(|core| Self { generation, cores, core }).collect()
    }
}

impl Logs {
    /// Of a broker with so many cores, in a folder with these logs.
    pub(crate) fn of(mut there: Vec<LogFolder>, cores: u32) -> Self {
        there.sort_unstable();
        let newest = there.last().map_or(0, |log| log.generation);
        // Nothing is written before all of a generation are there: one that was left half made by a crash is empty, and made
        // whole by the same number of cores, or otherwise has nothing to read.
        let goes_on = there.last().is_some_and(|log| log.cores == cores);
        let current = LogFolder::generation(if goes_on { newest } else { newest + 1 }, cores);
        there.retain(|log| !current.contains(log));
        Self { current, older: there }
    }
}

impl fmt::Display for LogFolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, cores, core } = self;
        match *self == Self::FIRST {
            true => formatter.write_str(FIRST),
            false => write!(formatter, "{FIRST}-{generation}-{core}of{cores}"),
        }
    }
}

impl FromStr for LogFolder {
    type Err = NotALog;

    fn from_str(name: &str) -> Result<Self, NotALog> {
        let number = |text: &str| text.parse::<u32>().map_err(|_| NotALog);
        let log = match name.strip_prefix(FIRST).ok_or(NotALog)? {
            "" => Self::FIRST,
            rest => {
                let (generation, rest) =
                    rest.strip_prefix('-').and_then(|rest| rest.split_once('-')).ok_or(NotALog)?;
                let (core, cores) = rest.split_once("of").ok_or(NotALog)?;
                Self { generation: number(generation)?, cores: number(cores)?, core: number(core)? }
            }
        };
        // There is one way to write each.
        if log.to_string() == name && log.core < log.cores { Ok(log) } else { Err(NotALog) }
    }
}

/// What there is in a data folder by the names of logs.
#[derive(Debug, Default)]
pub(super) struct LogEntries {
    /// Folders.
    pub(super) logs: Vec<LogFolder>,
    /// What is none.
    pub(super) misplaced: Vec<(LogFolder, Misplaced)>,
}

/// The logs in a data folder. A link counts as what it leads to.
pub(super) fn names(folder: &Path) -> Result<LogEntries, DataFolderError> {
    let mut names = LogEntries::default();
    for entry in step("list", folder, || fs::read_dir(folder))? {
        let entry = step("list", folder, || entry)?;
        let Ok(log) = entry.file_name().to_string_lossy().parse() else { continue };
        let path = entry.path();
        match plain_file::has_folder(&path).map_err(|error| io_error("open", &path, error)) {
            Ok(true) => names.logs.push(log),
            // It went meanwhile.
            Ok(false) => {}
            Err(DataFolderError::Misplaced { misplaced, .. }) => names.misplaced.push((log, misplaced)),
            Err(error) => return Err(error),
        }
    }
    Ok(names)
}

/// The same, of a folder in which each is one.
pub(super) fn all(folder: &Path) -> Result<Vec<LogFolder>, DataFolderError> {
    let LogEntries { logs, mut misplaced } = names(folder)?;
    misplaced.pop().map_or(Ok(logs), |(log, misplaced)| {
        Err(DataFolderError::Misplaced { action: "open", path: folder.join(log.to_string()), misplaced })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(names: &[&str]) -> Vec<LogFolder> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn of(there: &[&str], cores: u32) -> (Vec<String>, Vec<String>) {
        let Logs { current, older } = Logs::of(logs(there), cores);
        let names = |logs: Vec<LogFolder>| logs.iter().map(LogFolder::to_string).collect();
        (names(current), names(older))
    }

    fn named(current: &[&str], older: &[&str]) -> (Vec<String>, Vec<String>) {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        (names(current), names(older))
    }

    #[test]
    fn the_name_of_a_log_reads_as_it_was_written_and_nothing_else_is_one() {
        assert_eq!("log".parse(), Ok(LogFolder::FIRST));
        for name in ["log", "log-2-0of1", "log-2-1of4", "log-30-63of64"] {
            assert_eq!(name.parse::<LogFolder>().unwrap().to_string(), name);
        }
        for name in ["", "lock", "log-", "log-2", "log-2-4of4", "log-02-1of4", "log-1-0of1", "log-2-1of4.old"]
        {
            assert_eq!(name.parse::<LogFolder>(), Err(NotALog), "{name}");
        }
    }

    #[test]
    fn the_same_number_of_cores_goes_on_with_the_same_logs() {
        assert_eq!(of(&["log"], 1), named(&["log"], &[]));
        let two = ["log-2-0of2", "log-2-1of2"];
        assert_eq!(of(&["log", two[1], two[0]], 2), named(&two, &["log"]));
        assert_eq!(of(&[two[1]], 2), named(&two, &[]), "half made");
    }

    #[test]
    fn another_number_of_cores_begins_new_logs_and_reads_the_others_in_their_order() {
        let two = ["log-2-0of2", "log-2-1of2"];
        assert_eq!(of(&["log"], 2), named(&two, &["log"]));
        assert_eq!(of(&["log", two[0], two[1]], 1), named(&["log-3-0of1"], &["log", two[0], two[1]]));
        assert_eq!(of(&["log-10-0of1", "log-9-0of1"], 2).1, ["log-9-0of1", "log-10-0of1"]);
    }
}
