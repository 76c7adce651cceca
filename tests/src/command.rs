//! Commands that run to their end. The error of a failed one contains its output.

use std::{
    ffi::OsStr,
    io::Write,
    process::{Command, Output, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};

/// A command with these arguments.
pub fn command<I: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = I>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs the command and returns its standard output. The error of a failed command contains its output.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| not_started(command))?;
    check(command, output)
}

/// Like [`run`], with text on the command's standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| not_started(command))?;
    let mut stdin = child.stdin.take().context("the standard input was piped")?;
    let text = input.to_owned();
    // On a thread, while the output is read: a command that writes before it has read all input would block for ever.
    let writer = thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    // A write error is not reported: the exit status of a command that did not read its input gives the reason.
    let _ = writer.join();
    check(command, output)
}

fn check(command: &Command, output: Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}\n{stdout}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(stdout)
}

fn not_started(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    format!("cannot start {program}; is it installed? (tests/install.sh installs the packages of the tests)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_failed_command_contains_its_output() {
        let error = run(&mut command("sh", ["-c", "echo half; echo broken >&2; exit 3"])).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("half") && error.contains("broken") && error.contains("3"), "{error}");
    }

    #[test]
    fn a_command_reads_its_input() {
        let text = "line\n".repeat(100_000);
        assert_eq!(run_with_input(&mut Command::new("cat"), &text).unwrap(), text);
    }
}
