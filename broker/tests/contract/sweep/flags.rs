//! Flags and environment variables of `restante-broker`, in the real program.

use std::process::Command;

use clap::CommandFactory as _;
use restante_broker::Arguments;

use super::assert_complete;

/// A flag of the broker: valid values, and values that are refused before anything is opened.
struct Row {
    flag: &'static str,
    good: &'static [&'static str],
    bad: &'static [&'static str],
    /// Whether it may be given more than once, adding values.
    adds: bool,
}

const fn row(flag: &'static str, good: &'static [&'static str], bad: &'static [&'static str]) -> Row {
    Row { flag, good, bad, adds: false }
}

const ADDRESS: &[&str] = &["", "8080", "localhost", "127.0.0.1", "127.0.0.1:99999", "http://127.0.0.1:80"];
const COUNT: &[&str] = &["", "-1", "1.5", "many", "0x10", "99999999999999999999"];
const COUNT_OR_0: &[&str] = COUNT;
const MOMENTS: &[&str] = &["", "0", "-1", "soon", "NaN", "inf", "86401", "1e19", "30s"];
const SECONDS: &[&str] = &["", "-1", "1.5", "soon", "86401", "99999999999999999999", "30s"];
const MEMORY: &[&str] = &["", "0", "0B", "-1", "much", "10 potatoes"];

const ROWS: &[Row] = &[
    row("listen", &["127.0.0.1:0"], ADDRESS),
    row("admin-listen", &["127.0.0.1:0"], ADDRESS),
    row("control-listen", &["127.0.0.1:0"], ADDRESS),
    row("control-token-file", &["token"], &[""]),
    row("data-dir", &["data"], &[""]),
    row("manifests", &["manifests"], &[""]),
    row("lock-wait", &["0", "86400"], SECONDS),
    Row {
        flag: "allowed-hosts",
        good: &["*", "a.example", "a,b"],
        bad: &["", "https://x", "x/y", "x:8080", "*.example.com", "a b", "a,,b"],
        adds: true,
    },
    Row {
        flag: "allowed-origins",
        good: &["*", "https://a.example", "http://a:3000,https://b"],
        bad: &["", "a.example", "https://x/", "https://*.x", "https://x:0", "https://a,b"],
        adds: true,
    },
    row(
        "external-url",
        &["https://mq.example.com", "http://10.0.0.1:8080/shared/mq/", "https://[fd00::1]/mq"],
        &[
            "",
            "mq.example.com",
            "mq.example.com:8080",
            "/mq",
            "ftp://mq.example.com",
            "https://",
            "https://*",
            "https://a,b",
            "https://[zz]",
            "https://mq:0",
            "https://mq:99999",
            "https://user@mq",
            "https://mq/?x=1",
            "https://mq/#top",
            "https://mq/a//b",
            "https://mq/../b",
            "https://mq/a b",
        ],
    ),
    Row {
        flag: "trusted-proxies",
        // An address is a network of its own. Given twice, both are reported alike.
        good: &["10.0.0.0/8", "10.0.0.7", "::1,fd00::/8", "0.0.0.0/0", "10.0.0.0/8,10.0.0.0/8"],
        bad: &[
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0/8",
            "10.0.0.1/8",
            "fd00::1/8",
            "fd00::/129",
            "[::1]",
            "::ffff:10.0.0.0/104",
            "proxy.example.com",
            "10.0.0.0/8,",
            "10.0.0.0/8;10.1.0.0/16",
        ],
        adds: true,
    },
    row("connections-max", &["1"], &["0", "", "-1", "1.5", "many", "99999999999999999999"]),
    row("head-timeout", &["0.5", "86400"], MOMENTS),
    row("keep-alive", &["0.5", "620", "86400"], MOMENTS),
    row("body-timeout", &["0.5", "86400"], MOMENTS),
    row("write-timeout", &["0.5", "86400"], MOMENTS),
    row("h2-streams-max", &["1", "4294967295"], &["0", "", "-1", "1.5", "many", "4294967296"]),
    row("body-memory", &["1B", "256MiB", "1000"], MEMORY),
    row("answer-memory", &["1B", "256MiB"], MEMORY),
    row("hot-body-memory", &["0B", "256MiB"], &["", "-1", "much", "10 potatoes"]),
    row("waiting-receivers-max", &["0", "1"], COUNT_OR_0),
    row(
        "requests-max",
        &["1", "16000", "4294967295"],
        &["0", "", "-1", "1.5", "many", "4294967296", "99999999999999999999"],
    ),
    row("waiting-senders-max", &["0", "1"], COUNT_OR_0),
    row("idempotency-keys-max", &["0", "1"], COUNT_OR_0),
    row("segment-size", &["1MiB", "2GiB"], &["", "0", "1023KiB", "2049MiB", "-1", "large"]),
    row("cores", &["1", "64"], &["0", "65", "", "-1", "1.5", "all"]),
    row("count-downtime", &["true", "false"], &["", "1", "yes", "TRUE"]),
    row("drain-seconds", &["0", "86400"], SECONDS),
    row("metrics-channels-max", &["0", "1"], COUNT_OR_0),
    row("log", &["info", "warn,restante_broker=debug"], &["", "verbose", "debgu", "hyper", "hyper=loud"]),
    row("log-format", &["text", "json"], &["", "xml", "JSON"]),
];

/// Arguments of the maintenance commands. They name files, whose faults `maintenance.rs` tests.
const MAINTENANCE_ARGUMENTS: &[&str] = &[
    "check folder",
    "check json",
    "dump folder",
    "dump channel",
    "dump records",
    "salvage folder",
    "salvage new_folder",
    "salvage move_old_to",
    "backup control_url",
    "backup control_token_file",
    "backup output",
    "restore backup",
    "restore folder",
    "restore move_old_to",
];

/// Parses arguments like the program, adding arguments that others require.
fn parsed(arguments: &[String]) -> Result<Arguments, clap::Error> {
    let with = ["restante-broker", "--control-token-file=token"];
    let with = if arguments.iter().any(|argument| argument.starts_with("--control-token-file")) {
        &with[..1]
    } else {
        &with
    };
    <Arguments as clap::Parser>::try_parse_from(
        with.iter().map(|word| (*word).to_owned()).chain(arguments.iter().cloned()),
    )
}

#[test]
fn each_flag_of_the_broker_is_refused_by_name_with_an_invalid_value() {
    let command = Arguments::command();
    let flags = command.get_arguments().filter_map(|argument| argument.get_long().map(str::to_owned));
    assert_complete(flags, ROWS.iter().map(|row| row.flag.to_owned()));
    for Row { flag, good, bad, adds } in ROWS {
        for value in *good {
            let parsed = parsed(&[format!("--{flag}={value}")]);
            assert!(parsed.is_ok(), "--{flag}={value}: {parsed:?}");
            let twice = self::parsed(&[format!("--{flag}={value}"), format!("--{flag}={value}")]);
            assert_eq!(twice.is_ok(), *adds, "--{flag} twice");
        }
        for value in *bad {
            let refused = parsed(&[format!("--{flag}={value}")]).unwrap_err().to_string();
            assert!(refused.contains(&format!("--{flag}")), "--{flag}={value}: {refused}");
        }
        let unknown = parsed(&[format!("--{flag}x={}", good[0])]).unwrap_err().to_string();
        assert!(
            unknown.contains(&format!("unexpected argument '--{flag}x'")) && unknown.contains("similar"),
            "{unknown}"
        );
    }
}

#[test]
fn each_environment_variable_is_refused_like_its_flag() {
    // A broker that accepts the value ends all the same, because it cannot create this folder.
    for Row { flag, bad, .. } in ROWS.iter().filter(|row| row.flag != "data-dir") {
        let variable = format!("RESTANTE_{}", flag.to_uppercase().replace('-', "_"));
        let value = bad[0];
        let mut command = Command::new(env!("CARGO_BIN_EXE_restante-broker"));
        command.env(&variable, value).args(["--data-dir", "/proc/none"]);
        let ended = command.output().unwrap();
        let printed = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{variable}={value}: {printed}");
        assert!(printed.contains(&format!("--{flag}")), "{variable}={value}: {printed}");
    }
}

#[test]
fn each_argument_of_a_maintenance_command_has_a_row_and_others_are_refused() {
    let command = Arguments::command();
    let inputs = command.get_subcommands().flat_map(|command| {
        let known = command
            .get_arguments()
            .filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()));
        known.map(|argument| format!("{} {}", command.get_name(), argument.get_id())).collect::<Vec<_>>()
    });
    assert_complete(inputs, MAINTENANCE_ARGUMENTS.iter().map(|row| (*row).to_owned()));
    for (words, named) in [
        ("check", "<DIR>"),
        ("check data --jsno", "--jsno"),
        ("check data --json --json", "--json"),
        ("check data more", "more"),
        ("dump data --channel a/b --records", "--records"),
        ("dump data --channel a/b --channel a/b", "--channel"),
        ("backup", "--control-token-file"),
        ("restore backup", "<NEW_DIR>"),
        ("salvage data", "<NEW_DIR>"),
    ] {
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        let refused = <Arguments as clap::Parser>::try_parse_from(
            ["restante-broker".to_owned()].into_iter().chain(words.clone()),
        );
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(named), "{words:?}: {refused}");
    }
}
