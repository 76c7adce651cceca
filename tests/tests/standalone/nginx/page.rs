//! docs/proxies.md names a test for each of its statements, and each of these tests exists.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use restante_tests::tools;

/// The names of tests in a text: names in backquotes that have the form of a sentence.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|name| {
        name.matches('_').count() > 3 && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    })
}

#[test]
fn the_page_names_every_test_and_every_named_test_exists() -> Result<()> {
    let page = fs::read_to_string(tools::workspace().join("docs/proxies.md"))?;
    // Fences consist of backquotes too, but of an even number, so the alternation stays correct.
    let named: Vec<_> = named(&page).collect();
    let mut existing = Vec::new();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standalone/nginx"))? {
        let text = fs::read_to_string(file?.path())?;
        for rest in text.split("test]\n").skip(1) {
            let name =
                rest.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            existing.push(name.context("a function follows")?.to_owned());
        }
    }
    for name in &named {
        ensure!(
            existing.iter().any(|other| other == name),
            "docs/proxies.md names {name}, which is not a test"
        );
    }
    for name in
        existing.iter().filter(|name| *name != "the_page_names_every_test_and_every_named_test_exists")
    {
        ensure!(named.contains(&name.as_str()), "docs/proxies.md does not name {name}");
    }
    Ok(())
}
