//! The built command `restante`.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use super::soon;

/// The command for a broker at this URL, without the machine's proxy settings.
pub(crate) fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_restante"));
    command
        .env("RESTANTE_URL", url)
        .env("RESTANTE_PROXY", "none")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs the command to its end.
pub(crate) async fn run(url: &str, arguments: &[&str]) -> Output {
    soon(command(url, arguments).output()).await.unwrap()
}

/// Runs the command to its end with this standard input.
pub(crate) async fn run_with(url: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(url, arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).await.unwrap();
    drop(stdin);
    soon(child.wait_with_output()).await.unwrap()
}

/// Sends a signal to a running command.
pub(crate) async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("the command must still run").to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().await.unwrap().success());
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
