//! Checks that the logs and the address store belong to the data folder. `restante.json` has the id of each, so a
//! missing, emptied, exchanged or foreign folder is noticed. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// The ids of logs, by the names of their folders. Hexadecimal digits, because not every JSON reader has 64-bit
/// integers.
pub(crate) type LogIds = BTreeMap<String, String>;

/// The text form of the id of a log or of the address store.
pub(crate) fn part_id(id: u64) -> String {
    format!("{id:016x}")
}

/// The logs that were found in a data folder.
#[derive(Debug, Default)]
pub(crate) struct FoundLogs {
    /// Their ids, by folder.
    pub(crate) ids: LogIds,
    /// The folders whose log contains records.
    pub(crate) holding: BTreeSet<String>,
}

/// Compares the logs with the ids in `restante.json`. Returns the names of wrong folders, and the reasons. A start
/// records a log's id before it stores anything in the log.
pub(crate) fn wrong_logs<'a>(
    written: &'a LogIds,
    found: &'a FoundLogs,
) -> impl Iterator<Item = (&'a str, &'static str)> {
    let wrong = written.iter().filter_map(|(name, id)| match found.ids.get(name) {
        Some(found) if found == id => None,
        Some(_) => Some((
            name.as_str(),
            "it contains another log than the one that belongs there; put each folder back under its name",
        )),
        None => Some((
            name.as_str(),
            "the log that belongs there is missing, or its folder is empty; put the folder back",
        )),
    });
    let strange = found.holding.iter().filter(|name| !written.contains_key(*name));
    let reason = "it is not a log of this data folder; move the folder out";
    wrong.chain(strange.map(move |name| (name.as_str(), reason)))
}

/// Whether a folder contains the log of another broker, which must be ignored. If no id in `restante.json` matches any
/// log, then `restante.json` is the foreign file, and not all logs.
pub(crate) fn is_foreign(name: &str, written: &LogIds, found: &FoundLogs) -> bool {
    let is_own = |id: &String| written.values().any(|own| own == id);
    found.ids.values().any(is_own) && found.ids.get(name).is_some_and(|id| !is_own(id))
}

/// Compares the address store with its id in `restante.json`. An empty one may start again: the log names the channels
/// of its messages.
pub(crate) fn wrong_addresses(written: Option<&str>, found: Option<&str>) -> Option<&'static str> {
    (written? != found?).then_some(
        "it is the address store of another broker; put back the folder that belongs there, or salvage, which uses the log",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(logs: &[(&str, &str)]) -> FoundLogs {
        FoundLogs { ids: ids(logs), holding: logs.iter().map(|(name, _)| (*name).to_owned()).collect() }
    }

    fn ids(logs: &[(&str, &str)]) -> LogIds {
        logs.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect()
    }

    fn wrong(written: &[(&str, &str)], logs: &[(&str, &str)]) -> Vec<String> {
        wrong_logs(&ids(written), &found(logs)).map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn each_log_must_have_the_id_that_was_recorded_for_its_folder() {
        let written = [("log", "1"), ("log-2-0of1", "2")];
        assert_eq!(wrong(&written, &written), [""; 0]);
        assert_eq!(wrong(&written, &[("log", "1")]), ["log-2-0of1"]);
        assert_eq!(wrong(&written, &[("log", "2"), ("log-2-0of1", "1")]), ["log", "log-2-0of1"]);
        assert_eq!(wrong(&written[..1], &written), ["log-2-0of1"]);
        assert_eq!(wrong(&[], &[("log", "1")]), ["log"]);
    }

    #[test]
    fn a_log_without_records_may_be_new() {
        let found = FoundLogs { ids: ids(&[("log", "1")]), ..FoundLogs::default() };
        assert_eq!(wrong_logs(&LogIds::new(), &found).count(), 0);
    }

    #[test]
    fn exchanged_logs_of_one_broker_are_not_foreign_but_the_log_of_another_broker_is() {
        let written = ids(&[("log", "1"), ("log-2-0of1", "2")]);
        let is_foreign = |name, logs| is_foreign(name, &written, &found(logs));
        let exchanged = [("log", "2"), ("log-2-0of1", "1")];
        assert!(!is_foreign("log", &exchanged) && !is_foreign("log-2-0of1", &exchanged));
        assert!(is_foreign("log", &[("log", "7"), ("log-2-0of1", "2")]));
        // restante.json itself belongs to another broker.
        assert!(!is_foreign("log", &[("log", "7"), ("log-2-0of1", "8")]));
    }
}
