use std::fs;

use super::*;

fn channel(name: &str, more: &str) -> String {
    format!(
        "apiVersion: restante.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: {name}, namespace: acme}}\n\
         spec:\n  access: {{anonymous: true}}\n{more}"
    )
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn names(path: &Path) -> Vec<String> {
    load(path).unwrap().iter().map(ChannelConfig::qualified_name).collect()
}

#[test]
fn the_examples_load() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    assert!(!load(&examples).unwrap().is_empty());
}

#[test]
fn a_folder_is_read_in_the_order_of_its_yaml_files() {
    let two = format!("---\n{}---\n{}", channel("two", ""), channel("three", ""));
    let folder = folder(&[
        ("b.yml", &two),
        ("a.yaml", &channel("one", "")),
        ("notes.txt", "not a manifest"),
        ("of-another-name", &channel("four", "")),
        (".hidden.yaml", "what an editor left behind"),
    ]);
    fs::create_dir(folder.path().join("deeper.yaml")).unwrap();
    assert_eq!(names(folder.path()), ["acme/one", "acme/two", "acme/three"]);
    assert_eq!(names(&folder.path().join("b.yml")), ["acme/two", "acme/three"]);
    assert_eq!(names(&folder.path().join("of-another-name")), ["acme/four"]);
}

#[test]
fn a_channel_keeps_its_uid_when_its_file_is_renamed() {
    let folder = folder(&[("a.yaml", &channel("one", ""))]);
    let first = load(folder.path()).unwrap();
    assert_eq!(load(folder.path()).unwrap(), first);
    fs::rename(folder.path().join("a.yaml"), folder.path().join("b.yaml")).unwrap();
    assert_eq!(load(folder.path()).unwrap(), first);
}

#[test]
fn an_invalid_document_is_reported_with_file_line_and_field() {
    for (text, line, says) in [
        (channel("one", "  source: [\n"), 6, ""),
        (channel("one", "  source: Orders\n"), 6, "spec.source"),
        (channel("one", "  delivery:\n    waitSeconds: 1000\n"), 7, "spec.delivery.waitSeconds"),
        (channel("one", "  sauce: orders\n"), 6, "sauce"),
        (channel("one", "").replace("anonymous: true", "anonymous: false"), 4, "access.anonymous"),
    ] {
        let folder = folder(&[("good.yaml", &channel("good", "")), ("bad.yaml", &text)]);
        let error = load(folder.path()).unwrap_err();
        let ManifestError::Invalid(faults) = &error else { panic!("{error}") };
        assert!(faults.iter().all(|fault| fault.file.ends_with("bad.yaml")), "{error}");
        let text = error.to_string();
        assert!(text.contains("bad.yaml, line ") && text.contains(says), "{text}");
        assert_eq!(faults[0].error.line, line, "{text}");
    }
}

#[test]
fn all_faulty_files_are_reported_together() {
    let bad = channel("one", "  source: Orders\n");
    let folder = folder(&[("a.yaml", &bad), ("b.yaml", &bad)]);
    let text = load(folder.path()).unwrap_err().to_string();
    assert!(text.contains("a.yaml") && text.contains("b.yaml"), "{text}");
}

#[test]
fn a_conflict_names_both_files() {
    for (more, reason) in
        [("  source: shared\n", "SourceTaken"), ("  destinations: [shared]\n", "DestinationTaken")]
    {
        let folder = folder(&[("a.yaml", &channel("one", more)), ("b.yaml", &channel("two", more))]);
        let text = load(folder.path()).unwrap_err().to_string();
        for part in [reason, "acme/shared", "acme/one", "acme/two", "a.yaml", "b.yaml"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let folder = folder(&[("a.yaml", &channel("one", "")), ("b.yaml", &channel("one", ""))]);
    let text = load(folder.path()).unwrap_err().to_string();
    assert!(text.contains("NameTaken") && text.contains("a.yaml") && text.contains("b.yaml"), "{text}");
}

#[test]
fn a_destination_is_shared_only_if_all_its_channels_allow_it() {
    let (shared, alone) = ("  destinations: [in]\n  sharedDestination: true\n", "  destinations: [in]\n");
    let folder = folder(&[("a.yaml", &channel("one", shared)), ("b.yaml", &channel("two", shared))]);
    assert_eq!(names(folder.path()), ["acme/one", "acme/two"]);
    fs::write(folder.path().join("c.yaml"), channel("three", alone)).unwrap();
    let text = load(folder.path()).unwrap_err().to_string();
    assert!(
        text.contains("DestinationTaken") && text.contains("set spec.sharedDestination in both"),
        "{text}"
    );

    let crowd: String = (0..33).map(|n| format!("---\n{}", channel(&format!("c{n}"), shared))).collect();
    fs::write(folder.path().join("crowd.yml"), &crowd).unwrap();
    let text = load(&folder.path().join("crowd.yml")).unwrap_err().to_string();
    assert!(text.contains("DestinationFull") && !text.contains("; "), "{text}");
}

#[test]
fn a_cycle_of_dead_letter_channels_is_refused_and_a_missing_one_is_accepted() {
    let to = |name: &str| format!("  deadLetter: {{channelRef: {{name: {name}}}}}\n");
    let folder = folder(&[("a.yaml", &channel("one", &to("two")))]);
    let loaded = load(folder.path()).unwrap();
    assert_eq!(loaded[0].dead_letter.channel.as_deref(), Some("two"), "the broker looks it up");
    fs::write(folder.path().join("b.yaml"), channel("two", &to("one"))).unwrap();
    let text = load(folder.path()).unwrap_err().to_string();
    assert!(
        text.contains("DeadLetterCycle") && text.contains("acme/one") && text.contains("acme/two"),
        "{text}"
    );
}

#[test]
fn a_message_broker_is_ignored_and_any_other_kind_is_an_error() {
    let broker = "apiVersion: restante.dev/v1alpha1\nkind: MessageBroker\nmetadata: {name: default}\n\
                  spec: {engine: {embedded: {storage: {size: 1Gi}}}}\n";
    let folder = folder(&[("a.yaml", broker), ("b.yaml", &channel("one", ""))]);
    assert_eq!(names(folder.path()), ["acme/one"]);
    for (version, kind, says) in
        [("v1", "Secret", "apiVersion"), ("restante.dev/v1alpha1", "MessageLink", "kind")]
    {
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: s}}\n");
        fs::write(folder.path().join("c.yaml"), text).unwrap();
        let text = load(folder.path()).unwrap_err().to_string();
        assert!(text.contains("c.yaml, line ") && text.contains(says), "{text}");
    }
}

#[test]
fn an_unreadable_file_is_named_and_an_empty_folder_is_an_empty_set() {
    let folder = folder(&[("a.yaml", "")]);
    assert!(load(folder.path()).unwrap().is_empty());
    let missing = folder.path().join("missing");
    let text = load(&missing).unwrap_err().to_string();
    assert!(text.contains(missing.to_str().unwrap()) && text.contains("--manifests"), "{text}");
    fs::write(folder.path().join("a.yaml"), [0xff, 0xfe]).unwrap();
    assert!(matches!(load(folder.path()), Err(ManifestError::Io { .. })));
}

#[test]
fn a_file_may_have_a_byte_order_mark_and_over_a_thousand_documents() {
    let many: Vec<_> = (0..1100).map(|number| channel(&format!("c{number}"), "")).collect();
    let folder = folder(&[("a.yaml", &format!("\u{feff}{}", many.join("---\n")))]);
    assert_eq!(names(folder.path()).len(), 1100);
}

#[test]
fn a_field_given_more_than_once_is_refused() {
    let folder = folder(&[("a.yaml", &channel("one", "  paused: true\n  paused: false\n"))]);
    let error = load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("paused"), "{error}");
}
