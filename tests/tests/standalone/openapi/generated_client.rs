//! A client that openapi-python-client generates from the OpenAPI document, and a program that uses it.

use std::fs;

use anyhow::{Result, ensure};
use restante_tests::command::{command, run};

use super::tools;
use crate::broker::{Broker, channel};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_generated_from_the_openapi_document_works() -> Result<()> {
    let Some(programs) = tools::programs()? else { return Ok(()) };
    let end = |here: &str, there: &str| {
        channel(&format!("to-{there}"), &format!("destinations: [bridge/{here}]\n  source: bridge/{there}"))
    };
    let manifests = [channel("orders", ""), end("factory", "office"), end("office", "factory")];
    let broker = Broker::serving(&manifests.concat()).await?;

    let folder = tempfile::tempdir()?;
    // Formatting the generated code is unnecessary.
    fs::write(folder.path().join("generator.yaml"), "post_hooks: []\n")?;
    let mut generator = command(programs.join("openapi-python-client"), ["generate", "--meta", "none"]);
    generator.args(["--output-path", "restante", "--config", "generator.yaml"]);
    generator.args(["--url", &format!("{}/openapi.json", broker.url())]);
    run(generator.current_dir(folder.path()))?;

    let mut program = command(programs.join("python"), [tools::sources().join("generated_client.py")]);
    program.arg(broker.url()).env("PYTHONPATH", folder.path()).env("NO_PROXY", "*");
    let said = run(&mut program)?;
    ensure!(said.contains("the generated client works"), "{said}");
    Ok(())
}
