//! Commands that run to their end, with an error that holds what they said.

use std::{
    ffi::OsStr,
    io::Write,
    process::{Command, Output, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};

/// A command of these words.
pub fn command<I: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = I>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs the command and gives its standard output; a failure is an error with what it wrote to standard error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| not_started(command))?;
    judged(command, output)
}

/// The same, with text on its standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| not_started(command))?;
    let mut stdin = child.stdin.take().context("the standard input was piped")?;
    let text = input.to_owned();
    // Beside the reading of its output: a command that writes before it has read all would wait for ever.
    let writer = thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    // A command that ends without having read its input says why by its exit status.
    let _ = writer.join();
    judged(command, output)
}

fn judged(command: &Command, output: Output) -> Result<String> {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}\n{said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(said)
}

fn not_started(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    format!(
        "{program} could not be started: is it installed? (tests/install.sh installs what the tests need)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_is_an_error_with_its_words() {
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
