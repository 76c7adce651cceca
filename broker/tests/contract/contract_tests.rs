//! Every test that docs/http.md names exists.

use std::{fs, path::Path};

/// All test sources below a folder, as one text.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn each_test_named_by_the_contract_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut tests = String::new();
    sources(&root.join("broker/tests"), &mut tests);
    sources(&root.join("tests/tests"), &mut tests);
    let contract = fs::read_to_string(root.join("docs/http.md")).unwrap();
    let named: Vec<_> = contract
        .split('`')
        .filter(|name| {
            name.matches('_').count() >= 3
                && !name.contains(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_')
        })
        .collect();
    assert!(named.len() > 60, "{named:?}");
    for name in named {
        assert!(
            tests.contains(&format!("fn {name}()")),
            "docs/http.md names {name}, and there is no such test"
        );
    }
}
