//! Log lines in text format have no colours if standard error is not a terminal.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// A kubeconfig of an unreachable cluster: the operator logs the error and retries.
const NO_CLUSTER: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "none",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "none", "user": {}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}]}"#;

#[test]
fn piped_log_lines_have_no_colours() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("config");
    fs::write(&config, NO_CLUSTER).unwrap();
    let mut operator = Command::new(env!("CARGO_BIN_EXE_restante-operator"))
        .args(["--metrics-listen", "127.0.0.1:0", "--broker-image", "broker:1"])
        .env("KUBECONFIG", config)
        .env_remove("NO_COLOR")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(operator.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("cannot list resources"));
    operator.kill().unwrap();
    operator.wait().unwrap();
    let line = line.expect("the operator logs that there is no cluster");
    // Neither plain nor escaped colours.
    assert!(line.contains("WARN") && !line.contains('\u{1b}') && !line.contains(r"\x1b"), "{line:?}");
}
