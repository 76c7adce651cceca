//! The logs of a data folder. A broker has one for each worker thread. Logs from starts with another number of worker
//! threads are older logs: they are read until their records are copied.
//!
//! Logs that were created together are a generation. Within a generation, all records of a channel are in one log. Of
//! two generations, records of the later one are newer. `log` is the first log, of one worker thread. The others have
//! names such as `log-2-1of4`: the second of four logs of generation 2.

use std::{fmt, fs, path::Path, str::FromStr};

use super::{
    DataFolderError,
    error::{io_error, step},
};
use crate::files::{os_error::Misplaced, plain_file};

/// The name of the log that every data folder has.
const FIRST: &str = "log";

/// The folder of a log, parsed from its name. Ordered like the records of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LogFolder {
    generation: u32,
    /// The number of logs in the generation.
    cores: u32,
    /// The log's index in the generation, from 0.
    core: u32,
}

/// The role of each log in a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logs {
    /// The logs to write, one for each worker thread. Some of them may not exist yet.
    pub(crate) current: Vec<LogFolder>,
    /// The logs to read only, oldest first.
    pub(crate) older: Vec<LogFolder>,
}

/// The name is not the name of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotALog;

impl LogFolder {
    pub(crate) const FIRST: Self = Self { generation: 1, cores: 1, core: 0 };

    fn generation(generation: u32, cores: u32) -> Vec<Self> {
        (0..cores).map(|core| Self { generation, cores, core }).collect()
    }
}

impl Logs {
    /// For a broker with this number of worker threads, in a folder with these logs.
    pub(crate) fn of(mut there: Vec<LogFolder>, cores: u32) -> Self {
        there.sort_unstable();
        let newest = there.last().map_or(0, |log| log.generation);
        // Nothing is written before all logs of a generation exist. If a crash interrupted their creation, they are
        // empty: a start with the same number of worker threads completes the generation, any other start finds nothing
        // to read in it.
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
        // Each log has exactly one valid name.
        if log.to_string() == name && log.core < log.cores { Ok(log) } else { Err(NotALog) }
    }
}

/// The entries of a data folder that have names of logs.
#[derive(Debug, Default)]
pub(super) struct LogEntries {
    pub(super) logs: Vec<LogFolder>,
    /// Entries that are not folders.
    pub(super) misplaced: Vec<(LogFolder, Misplaced)>,
}

/// Lists the logs of a data folder. A link counts as its target.
pub(super) fn names(folder: &Path) -> Result<LogEntries, DataFolderError> {
    let mut names = LogEntries::default();
    for entry in step("list", folder, || fs::read_dir(folder))? {
        let entry = step("list", folder, || entry)?;
        let Ok(log) = entry.file_name().to_string_lossy().parse() else { continue };
        let path = entry.path();
        match plain_file::has_folder(&path).map_err(|error| io_error("open", &path, error)) {
            Ok(true) => names.logs.push(log),
            // Removed in the meantime.
            Ok(false) => {}
            Err(DataFolderError::Misplaced { misplaced, .. }) => names.misplaced.push((log, misplaced)),
            Err(error) => return Err(error),
        }
    }
    Ok(names)
}

/// Lists the logs of a data folder; an entry that is not a folder is an error.
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
    fn a_valid_name_of_a_log_survives_parsing_and_any_other_name_is_rejected() {
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
    fn the_same_number_of_cores_continues_with_the_same_logs() {
        assert_eq!(of(&["log"], 1), named(&["log"], &[]));
        let two = ["log-2-0of2", "log-2-1of2"];
        assert_eq!(of(&["log", two[1], two[0]], 2), named(&two, &["log"]));
        assert_eq!(of(&[two[1]], 2), named(&two, &[]), "a half-created generation");
    }

    #[test]
    fn another_number_of_cores_creates_new_logs_and_reads_the_others_in_their_order() {
        let two = ["log-2-0of2", "log-2-1of2"];
        assert_eq!(of(&["log"], 2), named(&two, &["log"]));
        assert_eq!(of(&["log", two[0], two[1]], 1), named(&["log-3-0of1"], &["log", two[0], two[1]]));
        assert_eq!(of(&["log-10-0of1", "log-9-0of1"], 2).1, ["log-9-0of1", "log-10-0of1"]);
    }
}
