//! Runs the curl commands of README.md's section about a broker without Kubernetes, and compares their output.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use restante_tests::{
    command::{command, run},
    process::Process,
    tools, wait,
};

use crate::{broker::DEADLINE, programs};

/// The ports where the broker listens by default, and which the curl commands use.
const DEFAULT_PORTS: [u16; 2] = [8080, 8081];
const SECTION: &str = "## Run it without Kubernetes\n";
/// Printed before each block, to separate the answers.
const MARK: &str = "---- the next block of README.md ----";

struct Block {
    language: String,
    text: String,
}

/// The fenced blocks of the section, in order.
fn blocks() -> Result<Vec<Block>> {
    let readme = fs::read_to_string(tools::workspace().join("README.md"))?;
    let (_, section) = readme.split_once(SECTION).with_context(|| format!("README.md has no {SECTION:?}"))?;
    let section = section.split("\n## ").next().unwrap_or_default();
    // Text outside and inside fences alternates, beginning outside.
    let inside = section.split("```").skip(1).step_by(2);
    inside
        .map(|block| {
            let (language, text) = block.split_once('\n').context("a fence is not on a line of its own")?;
            Ok(Block { language: language.to_owned(), text: text.to_owned() })
        })
        .collect()
}

/// The broker's arguments in the recipe of `make run`.
fn arguments() -> Result<Vec<String>> {
    let makefile = fs::read_to_string(tools::workspace().join("Makefile"))?;
    let (_, recipe) = makefile.split_once("\nrun: ").context("the Makefile has no target run")?;
    let line = recipe.lines().nth(1).context("run does nothing")?;
    let (_, arguments) = line.split_once(" -- ").with_context(|| format!("{line} gives no arguments"))?;
    Ok(arguments.split_whitespace().map(str::to_owned).collect())
}

/// Starts the broker like `make run`, on the default ports, in a folder that has the examples of the repository.
fn make_run(folder: &Path) -> Result<Process> {
    for port in DEFAULT_PORTS {
        if let Err(error) = std::net::TcpListener::bind(("127.0.0.1", port)) {
            bail!("the commands of README.md need port {port}, which is in use: {error}");
        }
    }
    symlink(tools::workspace().join("examples"), folder.join("examples"))?;
    let mut broker = Command::new(programs::folder()?.join("restante-broker"));
    broker.args(arguments()?).current_dir(folder);
    let mut broker = Process::start("restante-broker", &broker, &folder.join("log"))?;
    wait::until("the broker to be ready", DEADLINE, || {
        broker.check_running()?;
        run(&mut command("curl", ["-fsS", "http://127.0.0.1:8081/readyz"]))
    })?;
    Ok(broker)
}

#[test]
fn make_run_starts_an_optimised_broker() -> Result<()> {
    let mut make = command("make", ["--no-print-directory", "--dry-run", "run"]);
    let recipe = run(make.current_dir(tools::workspace()))?;
    ensure!(recipe.contains(" --profile local "), "{recipe}");
    let manifest = fs::read_to_string(tools::workspace().join("Cargo.toml"))?;
    let (_, profile) =
        manifest.split_once("\n[profile.local]\n").context("Cargo.toml has no profile local")?;
    let profile = profile.split("\n[").next().unwrap_or_default();
    let settings: Vec<&str> = profile.lines().map(str::trim).collect();
    ensure!(settings.contains(&"inherits = \"release\""), "{profile}");
    ensure!(!profile.contains("opt-level = 0") && !profile.contains("opt-level = 1"), "{profile}");
    Ok(())
}

/// The status line of an answer.
fn status(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default().trim_end()
}

#[test]
fn the_curl_commands_print_the_output_in_the_readme() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut broker = make_run(folder.path())?;
    assert!(
        folder.path().join("restante-data").is_dir(),
        "the data folder that README.md names does not exist"
    );

    let all = blocks()?;
    let curls: Vec<usize> =
        (0..all.len()).filter(|at| all[*at].language == "sh" && all[*at].text.contains("curl ")).collect();
    // One shell runs all blocks, like one terminal.
    let script: String = curls.iter().map(|at| format!("echo '{MARK}'\n{}", all[*at].text)).collect();
    let began = Instant::now();
    let said = run(&mut command("bash", ["-euo", "pipefail", "-c", &script]))?;
    let took = began.elapsed();
    let answers: Vec<&str> = said.split(MARK).skip(1).map(str::trim_start).collect();
    let [pushed, pulled, settled, timed_out] = answers[..] else {
        bail!("{} blocks with curl, expected push, pull, settle and time-out:\n{said}", answers.len());
    };

    assert_eq!(status(pushed), "HTTP/1.1 201 Created");
    assert_eq!(status(pulled), "HTTP/1.1 200 OK");
    let sent = all[curls[0]].text.split('\'').find(|word| word.contains("bolts")).context("no content")?;
    assert!(pulled.ends_with(&format!("\r\n\r\n{sent}")), "the body is not {sent:?} in\n{pulled}");
    assert_eq!(status(settled), "HTTP/1.1 204 No Content");
    assert_eq!(status(timed_out), "HTTP/1.1 204 No Content");
    let waits = Duration::from_secs(2);
    assert!(took >= waits, "the last command should wait two seconds, but all took {took:?}");

    // Each header that README.md shows is in the answer.
    for (at, answer) in curls.into_iter().zip(&answers) {
        let Some(shown) = all.get(at + 1).filter(|block| block.language.is_empty()) else { continue };
        assert_eq!(status(&shown.text), status(answer));
        for line in shown.text.lines().skip(1).take_while(|line| !line.is_empty()) {
            let (name, _) = line.split_once(':').with_context(|| format!("{line:?} is not a header"))?;
            ensure!(
                answer.contains(&format!("\n{name}: ")),
                "the answer lacks the header {name} that README.md shows:\n{answer}"
            );
        }
    }
    let ended = broker.terminate(DEADLINE)?;
    ensure!(ended.success(), "the broker ended with {ended} after SIGTERM");
    Ok(())
}

#[test]
fn the_examples_contain_both_ends_of_the_bridge_in_the_readme() -> Result<()> {
    let bridge = fs::read_to_string(tools::workspace().join("examples/bridge.yaml"))?;
    for end in ["bridge/factory", "bridge/office"] {
        ensure!(
            bridge.contains(&format!("destinations: [{end}]")) && bridge.contains(&format!("source: {end}"))
        );
    }
    Ok(())
}
