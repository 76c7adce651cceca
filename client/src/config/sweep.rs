//! Table test of every argument of `restante`: valid values, invalid values, and other arguments that exclude it. An
//! argument without a row fails the test.

use clap::{CommandFactory as _, Parser as _};

use super::Config;

/// An argument of a command.
struct Row {
    /// The command and its required arguments; the first words are its name.
    command: &'static str,
    /// `--name`, or the name of a positional argument.
    argument: &'static str,
    /// Valid values; empty for a switch.
    good: &'static [&'static str],
    /// Invalid values: unknown, empty, out of range, of a wrong type.
    bad: &'static [&'static str],
    /// Arguments that exclude it.
    excluded_by: &'static [&'static str],
    /// Whether the argument may be given more than once and accumulates.
    adds: bool,
}

const fn row(
    command: &'static str,
    argument: &'static str,
    good: &'static [&'static str],
    bad: &'static [&'static str],
) -> Row {
    Row { command, argument, good, bad, excluded_by: &[], adds: false }
}

const ADDRESSES: &[&str] = &["a/b", "a/b/c"];
const NO_ADDRESSES: &[&str] = &["", "a", "A/b", "a//b", "a/b/", "a/b?c"];
const SECONDS: &[&str] = &["0", "5", "4294967295"];
const NO_SECONDS: &[&str] = &["", "-1", "1.5", "soon", "4294967296"];
const SOME_SECONDS: &[&str] = &["1", "4294967295"];
const NO_SOME_SECONDS: &[&str] = &["0", "", "-1", "1.5", "soon", "4294967296"];
const MOMENTS: &[&str] = &["0.5", "60"];
const NO_MOMENTS: &[&str] = &["0", "", "-1", "soon", "NaN", "inf"];
const TEXT: &[&str] = &["a"];
const NO_PATH: &[&str] = &[""];
const FORMATS: &[&str] = &["table", "json", "yaml"];
const NO_FORMATS: &[&str] = &["", "xml", "JSON"];
const HEADERS: &[&str] = &["Meta-a: 1"];
const NO_HEADERS: &[&str] = &["", "Meta-a"];
const CHANNELS: &[&str] = &["a/b"];
const NO_CHANNELS: &[&str] = &["", "a", "a/b/c", "A/b", "a/.."];
const MANY: &[&str] = &["1", "1000"];
const NO_MANY: &[&str] = &["0", "1001", "", "-1", "all"];

const ROWS: &[Row] = &[
    // The broker, or the client before sending, checks these values when they are used.
    row("completions bash", "--url", &["http://localhost:8080"], NO_PATH_OR_ANY),
    row("completions bash", "--proxy", &["none", "http://proxy:3128"], NO_PATH_OR_ANY),
    Row { adds: true, ..row("completions bash", "--ca-cert", &["a.pem", "a.pem:b.pem"], NO_PATH) },
    row("completions bash", "--deadline", MOMENTS, NO_MOMENTS),
    row("push", "address", ADDRESSES, NO_ADDRESSES),
    row("push a/b", "file", &["-", "file"], NO_PATH),
    row("push a/b", "--content-type", TEXT, NO_PATH_OR_ANY),
    Row { adds: true, ..row("push a/b", "--header", HEADERS, NO_HEADERS) },
    row("push a/b", "--idempotency-key", TEXT, NO_PATH_OR_ANY),
    row("push a/b", "--group", TEXT, NO_PATH_OR_ANY),
    row("push a/b", "--delay", SECONDS, NO_SECONDS),
    row("push a/b", "--ttl", SOME_SECONDS, NO_SOME_SECONDS),
    Row { excluded_by: &["--batch"], ..row("push a/b", "--wait-for-room", SECONDS, NO_SECONDS) },
    row("push a/b", "--lines", &[], &[]),
    Row { excluded_by: &["--wait-for-room=5"], ..row("push a/b", "--batch", &[], &[]) },
    row("pull", "address", ADDRESSES, NO_ADDRESSES),
    row("pull a/b", "--wait", SECONDS, NO_SECONDS),
    row("pull a/b", "--lease", SOME_SECONDS, NO_SOME_SECONDS),
    Row { excluded_by: &["--no-settle"], ..row("pull a/b", "--follow", &[], &[]) },
    Row { excluded_by: &["--exec=true", "--raw"], ..row("pull a/b", "--output-file", &["file"], NO_PATH) },
    Row { excluded_by: &["--exec=true"], ..row("pull a/b", "--lines", &[], &[]) },
    Row { excluded_by: &["--no-settle", "--post", "--exec=true"], ..row("pull a/b", "--max", MANY, NO_MANY) },
    row("pull a/b --follow --exec=true", "--workers", MANY, NO_MANY),
    row("pull a/b --exec=true", "--reject-on", &["1", "255"], &["0", "256", "", "-1", "all"]),
    Row { excluded_by: &["--follow", "--exec=true", "--max=5"], ..row("pull a/b", "--no-settle", &[], &[]) },
    row("pull a/b --follow", "--retry-all-errors", &[], &[]),
    Row { excluded_by: &["--max=5"], ..row("pull a/b", "--post", &[], &[]) },
    Row { excluded_by: &["--exec=true", "--output-file=x"], ..row("pull a/b", "--raw", &[], &[]) },
    row("pull a/b", "--verbose", &[], &[]),
    Row {
        excluded_by: &["--no-settle", "--lines", "--raw", "--output-file=x", "--max=5"],
        adds: true,
        ..row("pull a/b", "--exec", &["true"], &[])
    },
    row("settle", "lease", TEXT, &[]),
    row("release", "lease", TEXT, &[]),
    row("release l", "--delay", SECONDS, NO_SECONDS),
    row("release l", "--uncounted", &[], &[]),
    row("reject", "lease", TEXT, &[]),
    row("reject l", "--reason", TEXT, NO_PATH_OR_ANY),
    row("renew", "lease", TEXT, &[]),
    row("renew l", "--seconds", SOME_SECONDS, NO_SOME_SECONDS),
    row("request --reply-to=a/b", "address", ADDRESSES, NO_ADDRESSES),
    row("request a/b --reply-to=a/b", "file", &["-", "file"], NO_PATH),
    row("request a/b --reply-to=a/b", "--content-type", TEXT, NO_PATH_OR_ANY),
    Row { adds: true, ..row("request a/b --reply-to=a/b", "--header", HEADERS, NO_HEADERS) },
    row("request a/b", "--reply-to", ADDRESSES, NO_ADDRESSES),
    row("request a/b --reply-to=a/b", "--timeout", MOMENTS, NO_MOMENTS),
    row("request a/b --reply-to=a/b", "--raw", &[], &[]),
    row("reply --to=a/b --correlation-id=c", "file", &["-", "file"], NO_PATH),
    row("reply --to=a/b --correlation-id=c", "--content-type", TEXT, NO_PATH_OR_ANY),
    Row { adds: true, ..row("reply --to=a/b --correlation-id=c", "--header", HEADERS, NO_HEADERS) },
    row("reply --correlation-id=c", "--to", ADDRESSES, NO_ADDRESSES),
    row("reply --to=a/b", "--correlation-id", TEXT, NO_PATH_OR_ANY),
    row(
        "reply --to=a/b --correlation-id=c",
        "--request",
        &["018f3c2e-0000-7000-8000-000000000000"],
        &["", "x"],
    ),
    row("peek", "address", ADDRESSES, NO_ADDRESSES),
    row(
        "peek a/b",
        "--state",
        &["ready", "leased", "delayed", "dead"],
        &["", "expired", "Dead", "dead-letters"],
    ),
    row("peek a/b", "--max", SOME_SECONDS, NO_SOME_SECONDS),
    row("peek a/b", "--after", TEXT, NO_PATH_OR_ANY),
    row("peek a/b", "--output", FORMATS, NO_FORMATS),
    row("dead-letters list", "address", ADDRESSES, NO_ADDRESSES),
    row("dead-letters list a/b", "--max", SOME_SECONDS, NO_SOME_SECONDS),
    row("dead-letters list a/b", "--after", TEXT, NO_PATH_OR_ANY),
    row("dead-letters list a/b", "--output", FORMATS, NO_FORMATS),
    row("dead-letters redrive --control-token-file=token", "channel", CHANNELS, NO_CHANNELS),
    row("dead-letters redrive a/b --control-token-file=token", "--limit", &["1"], &["0", "", "-1", "all"]),
    row("dead-letters redrive a/b --control-token-file=token", "--to", CHANNELS, NO_CHANNELS),
    row("dead-letters redrive a/b --control-token-file=token", "--control-url", TEXT, NO_PATH_OR_ANY),
    row("dead-letters redrive a/b", "--control-token-file", &["token"], NO_PATH),
    row("dead-letters redrive a/b --control-token-file=token", "--output", FORMATS, NO_FORMATS),
    row("dead-letters purge --control-token-file=token", "channel", CHANNELS, NO_CHANNELS),
    row("dead-letters purge a/b --control-token-file=token", "--control-url", TEXT, NO_PATH_OR_ANY),
    row("dead-letters purge a/b", "--control-token-file", &["token"], NO_PATH),
    row("dead-letters purge a/b --control-token-file=token", "--output", FORMATS, NO_FORMATS),
    Row { adds: true, ..row("channel", "channels", CHANNELS, NO_CHANNELS) },
    row("channel a/b", "--output", FORMATS, NO_FORMATS),
    row("completions", "shell", &["bash", "zsh"], &["", "cmd"]),
];

/// Any text parses; the client or the broker refuses an invalid value.
const NO_PATH_OR_ANY: &[&str] = &[];

/// Collects the arguments of a command and its subcommands, each with the words before it.
fn inputs(command: &clap::Command, before: &str, found: &mut Vec<String>) {
    for argument in command.get_arguments() {
        let name =
            argument.get_long().map_or_else(|| argument.get_id().to_string(), |long| format!("--{long}"));
        if !["--help", "--version"].contains(&&*name) {
            found.push(format!("{before} {name}").trim().to_owned());
        }
    }
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        inputs(command, format!("{before} {}", command.get_name()).trim(), found);
    }
}

impl Row {
    /// The words of the command's name, without its required arguments.
    fn of(&self) -> String {
        // Global arguments belong to the root command.
        let words: Vec<_> = self.command.split(' ').collect();
        let named = if words[0] == "dead-letters" { 2 } else { 1 };
        if words[0] == "completions" && self.argument != "shell" {
            String::new()
        } else {
            words[..named].join(" ")
        }
    }

    fn parses(&self, more: &[String]) -> bool {
        // --exec takes all words after it, so it goes last.
        let (exec, others): (Vec<_>, Vec<_>) =
            self.command.split(' ').partition(|word| word.starts_with("--exec"));
        let (last, more): (Vec<_>, Vec<_>) = more.iter().partition(|word| word.starts_with("--exec"));
        let words = ["restante"].into_iter().chain(others).map(str::to_owned);
        let words = words.chain(more.into_iter().cloned()).chain(exec.into_iter().map(str::to_owned));
        Config::try_parse_from(words.chain(last.into_iter().cloned())).is_ok()
    }

    fn with(&self, value: Option<&str>) -> String {
        match value {
            None => self.argument.to_owned(),
            Some(value) if self.argument.starts_with("--") => format!("{}={value}", self.argument),
            Some(value) => value.to_owned(),
        }
    }
}

#[test]
fn each_argument_accepts_valid_values_and_refuses_invalid_ones() {
    let (mut found, mut rows) = (Vec::new(), Vec::new());
    inputs(&Config::command(), "", &mut found);
    rows.extend(ROWS.iter().map(|row| format!("{} {}", row.of(), row.argument).trim().to_owned()));
    found.sort();
    rows.sort();
    assert_eq!(rows, found, "each argument must have a row, and each row an argument");
    for row in ROWS {
        let cell = |more: &[String]| format!("restante {} {}", row.command, more.join(" "));
        let good: Vec<_> = if row.good.is_empty() {
            vec![None]
        } else {
            row.good.iter().map(|value| Some(*value)).collect()
        };
        for value in &good {
            let more = [row.with(*value)];
            assert!(row.parses(&more), "{}", cell(&more));
            let twice = [row.with(*value), row.with(*value)];
            // A second positional value may belong to another argument.
            if row.argument.starts_with("--") {
                assert_eq!(row.parses(&twice), row.adds, "{}", cell(&twice));
            }
        }
        for value in row.bad {
            let more = [row.with(Some(value))];
            assert!(!row.parses(&more), "{}", cell(&more));
        }
        for other in row.excluded_by {
            let more = [row.with(good[0]), (*other).to_owned()];
            assert!(!row.parses(&more), "{}", cell(&more));
        }
        if row.argument.starts_with("--") {
            let unknown =
                [format!("{}x", row.with(good[0]).replacen(row.argument, &format!("{}x", row.argument), 1))];
            assert!(!row.parses(&unknown), "{}", cell(&unknown));
        }
    }
}
