//! Which logs and which address store belong to a data folder: `restante.json` has the id of each, so that a folder that is missing,
//! emptied, exchanged or another broker's is told. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// The ids of logs, by the names of their folders. Hexadecimal digits, because JSON has no whole numbers of 64 bits for everybody.
pub(crate) type LogIds = BTreeMap<String, String>;

/// The id of a log or of the address store, as it is written down.
pub(crate) fn part_id(id: u64) -> String {
    format!("{id:016x}")
}

/// The logs that are there.
#[derive(Debug, Default)]
pub(crate) struct FoundLogs {
    /// Which of them is in which folder.
    pub(crate) ids: LogIds,
    /// Those that hold something.
    pub(crate) holding: BTreeSet<String>,
}

/// What is wrong with the folders of logs, compared with those that are written down: the names of the folders, and how. A start
/// writes a log down before anything is stored in it.
pub(crate) fn wrong_logs<'a>(
    written: &'a LogIds,
    found: &'a FoundLogs,
) -> impl Iterator<Item = (&'a str, &'static str)> {
    let wrong = written.iter().filter_map(|(name, id)| match found.ids.get(name) {
        Some(found) if found == id => None,
        Some(_) => Some((
            name.as_str(),
            "it holds another log than the one that belongs there: put each folder back under its name",
        )),
        None => Some((
            name.as_str(),
            "the log that belongs there is missing, or its folder is empty: put the folder back",
        )),
    });
    let strange = found.holding.iter().filter(|name| !written.contains_key(*name));
    let reason = "it is a log that no start of a broker began here: move the folder out";
    wrong.chain(strange.map(move |name| (name.as_str(), reason)))
}

/// Whether a folder holds the log of another broker, of which nothing is taken. If none is a log that was written down, what was
/// written down is the stranger, and not all of them.
pub(crate) fn is_foreign(name: &str, written: &LogIds, found: &FoundLogs) -> bool {
    let is_own = |id: &String| written.values().any(|own| own == id);
    found.ids.values().any(is_own) && found.ids.get(name).is_some_and(|id| !is_own(id))
}

/// What is wrong with the folder of the address store. One that is empty may begin anew: the logs say whose the messages are.
pub(crate) fn wrong_addresses(written: Option<&str>, found: Option<&str>) -> Option<&'static str> {
    (written? != found?).then_some(
        "it is the address store of another broker: put the folder back that belongs there, or salvage, which goes by the log",
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
    fn each_log_is_the_one_that_was_written_down_under_its_name() {
        let written = [("log", "1"), ("log-2-0of1", "2")];
        assert_eq!(wrong(&written, &written), [""; 0]);
        assert_eq!(wrong(&written, &[("log", "1")]), ["log-2-0of1"]);
        assert_eq!(wrong(&written, &[("log", "2"), ("log-2-0of1", "1")]), ["log", "log-2-0of1"]);
        assert_eq!(wrong(&written[..1], &written), ["log-2-0of1"]);
        assert_eq!(wrong(&[], &[("log", "1")]), ["log"]);
    }

    #[test]
    fn a_log_that_holds_nothing_may_just_have_been_begun() {
        let found = FoundLogs { ids: ids(&[("log", "1")]), ..FoundLogs::default() };
        assert_eq!(wrong_logs(&LogIds::new(), &found).count(), 0);
    }

    #[test]
    fn logs_of_one_broker_under_each_other_s_names_are_not_foreign_and_anothers_is() {
        let written = ids(&[("log", "1"), ("log-2-0of1", "2")]);
        let is_foreign = |name, logs| is_foreign(name, &written, &found(logs));
        let exchanged = [("log", "2"), ("log-2-0of1", "1")];
        assert!(!is_foreign("log", &exchanged) && !is_foreign("log-2-0of1", &exchanged));
        assert!(is_foreign("log", &[("log", "7"), ("log-2-0of1", "2")]));
        // restante.json itself is another broker's.
        assert!(!is_foreign("log", &[("log", "7"), ("log-2-0of1", "8")]));
    }
}
