//! docs/errors/ has a page for each problem type, with the broker's own texts.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use restante_broker::http::error::{retry_after_seconds, status};
use restante_wire::{Problem, ProblemType, problem::TYPE_BASE};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors")
}

fn page(kind: ProblemType) -> String {
    let path = folder().join(format!("{}.md", kind.name()));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn each_problem_type_has_a_page_and_each_page_a_problem_type() {
    let pages: BTreeSet<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names = ProblemType::ALL.iter().map(|kind| format!("{}.md", kind.name()));
    assert_eq!(pages, names.chain(["README.md".into()]).collect());
}

#[test]
fn the_overview_links_to_each_page_with_its_status_and_title() {
    let overview = fs::read_to_string(folder().join("README.md")).unwrap();
    assert!(overview.contains(TYPE_BASE));
    for kind in ProblemType::ALL {
        let (name, title) = (kind.name(), kind.title());
        let row = format!("| {} | [{name}]({name}.md) | {title} |", status(*kind).as_u16());
        assert!(overview.contains(&row), "{row}");
    }
}

#[test]
fn each_page_explains_the_problem_and_what_to_do() {
    for kind in ProblemType::ALL {
        let page = page(*kind);
        let opening = format!("# {}\n\n{}.\n", kind.name(), kind.title());
        assert!(page.starts_with(&opening), "{}: {opening}", kind.name());
        for row in [format!("| status | {} |", status(*kind)), format!("| `type` | `{}` |", kind.uri())] {
            assert!(page.contains(&row), "{}: {row}", kind.name());
        }
        for section in ["\n## What it means\n\n", "\n## What to do\n\n"] {
            let text = page.split(section).nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or("");
            assert!(!text.trim().is_empty(), "{}: {section}", kind.name());
        }
    }
}

#[test]
fn each_page_has_the_retry_after_of_the_answer() {
    for kind in ProblemType::ALL {
        let documented = page(*kind)
            .lines()
            .find_map(|line| line.strip_prefix("| `Retry-After` | ")?.strip_suffix(" |")?.parse().ok());
        assert_eq!(documented, retry_after_seconds(*kind), "{}", kind.name());
    }
}

#[test]
fn the_example_of_each_page_is_a_problem_of_its_type() {
    for kind in ProblemType::ALL {
        let page = page(*kind);
        let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let problem: Problem = serde_json::from_str(example).unwrap();
        assert_eq!(problem.problem_type(), Some(*kind), "{}", kind.name());
        assert_eq!(problem.title, kind.title(), "{}", kind.name());
        assert_eq!(problem.status, status(*kind).as_u16(), "{}", kind.name());
        assert!(!problem.detail.is_empty(), "{}", kind.name());
    }
}

#[test]
fn links_between_the_pages_are_valid() {
    let pages = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    for path in pages {
        let page = fs::read_to_string(&path).unwrap();
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(folder().join(link).exists(), "{}: {link}", path.display());
        }
    }
}
