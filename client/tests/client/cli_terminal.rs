//! Foreign text is escaped on a terminal, and unchanged in a pipe.

use restante_client::ProblemType;
use restante_wire::{
    DeadLetterCause, Problem,
    batch::{DeadLetterNote, DeliveredItem, PeekedBatch},
};

use crate::support::{
    broker::Broker,
    command::{command, run, stderr},
    reply::{answer, delivery, item, json, no_content},
    soon,
    terminal::Terminal,
};

/// Clears the screen with C1 and with ESC, reverses the writing direction, has invisible characters, and begins a line.
const HOSTILE: &str = "a\u{9b}2J\u{1b}[2J\u{202e}b\u{200b}\u{2028}\nrestante: all is well";
const SHOWN: &str = r"a\u{9b}2J\x1b[2J\u{202e}b\u{200b}\u{2028}\nrestante: all is well";

/// Asserts that the text has no control character that a terminal acts on.
fn assert_harmless(text: &str) {
    let hostile = text.chars().find(|letter| {
        (letter.is_control() && !"\n\t".contains(*letter)) || "\u{202e}\u{200b}\u{2028}".contains(*letter)
    });
    assert_eq!(hostile, None, "{text:?}");
}

fn hostile_item() -> DeliveredItem {
    let mut item = item(1, 30);
    item.head.id = HOSTILE.into();
    item.head.enqueued_at = HOSTILE.into();
    item.head.group = Some(HOSTILE.into());
    item.head.content_type = Some(HOSTILE.into());
    let (cause, reason) = (DeadLetterCause::Rejected, Some(HOSTILE.into()));
    item.head.dead_letter = Some(DeadLetterNote {
        cause,
        reason,
        since: HOSTILE.into(),
        channel: Some(HOSTILE.into()),
        held_in: Some(HOSTILE.into()),
    });
    item
}

/// A broker whose messages contain terminal control characters.
async fn hostile_broker() -> Broker {
    Broker::start(|_, _| json(&PeekedBatch { messages: vec![hostile_item()], next: Some(HOSTILE.into()) }))
        .await
}

#[tokio::test]
async fn tables_show_texts_of_messages_with_control_characters_escaped() {
    let broker = hostile_broker().await;
    for arguments in [&["peek", "a/b", "--max", "1"][..], &["dead-letters", "list", "a/b", "--max", "1"]] {
        let output = run(&broker.url, arguments).await;
        let table = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(table.contains(SHOWN), "{table}");
        assert_eq!(table.lines().count(), 2, "{table}");
        assert_harmless(&table);
        assert!(stderr(&output).contains(SHOWN), "the cursor");
        assert_harmless(&stderr(&output));
    }
}

#[tokio::test]
async fn json_and_yaml_are_escaped_and_keep_the_values() {
    let broker = hostile_broker().await;
    for form in ["json", "yaml"] {
        let output = run(&broker.url, &["peek", "a/b", "--max", "1", "-o", form]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert_harmless(&text);
        let found: PeekedBatch = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(found.messages[0].head.group.as_deref(), Some(HOSTILE), "{form}");
    }
}

#[tokio::test]
async fn errors_show_a_problem_on_one_line() {
    let broker = Broker::start(|_, _| {
        let problem = Problem {
            type_uri: ProblemType::MessageTooLarge.uri(),
            title: HOSTILE.into(),
            status: 413,
            detail: HOSTILE.into(),
        };
        let headers = [("content-type", "application/problem+json")];
        answer(413, &headers, serde_json::to_vec(&problem).unwrap())
    })
    .await;
    for arguments in
        [&["push", "a/b"][..], &["pull", "a/b"], &["peek", "a/b"], &["settle", "x"], &["channel", "a/b"]]
    {
        let printed = stderr(&run(&broker.url, arguments).await);
        assert!(printed.contains(SHOWN), "{printed:?}");
        assert_eq!(printed.lines().count(), 1, "{printed:?}");
        assert_harmless(&printed);
    }
}

#[tokio::test]
async fn the_name_of_an_unreadable_file_is_escaped() {
    let printed = stderr(&run("http://127.0.0.1:1", &["push", "a/b", "no\u{9b}2Jsuch"]).await);
    assert!(printed.contains(r"no\u{9b}2Jsuch"), "{printed:?}");
    assert_harmless(&printed);
}

/// The hostile text, and bytes that are not UTF-8.
fn body() -> Vec<u8> {
    [HOSTILE.as_bytes(), b"\xff\r\n"].concat()
}

async fn giving_once() -> Broker {
    Broker::start(|seen, _| if seen.method == "GET" { delivery(body(), 30) } else { no_content() }).await
}

#[tokio::test]
async fn a_pipe_gets_the_exact_bytes() {
    let broker = giving_once().await;
    assert_eq!(run(&broker.url, &["pull", "a/b"]).await.stdout, body());
}

async fn pulled_to_a_terminal(arguments: &[&str]) -> String {
    let broker = giving_once().await;
    let terminal = Terminal::open();
    let mut command = command(&broker.url, &[&["pull", "a/b"], arguments].concat());
    let status = soon(command.stdout(terminal.for_a_command()).status()).await.unwrap();
    assert!(status.success());
    drop(command);
    // The terminal itself turns each LF into CR LF.
    String::from_utf8_lossy(&terminal.shown()).replace("\r\n", "\n")
}

#[tokio::test]
async fn a_terminal_gets_the_body_escaped() {
    let shown = pulled_to_a_terminal(&[]).await;
    assert_harmless(&shown.replace('\r', ""));
    assert!(shown.starts_with(r"a\u{9b}2J\x1b[2J\u{202e}b"), "{shown:?}");
    assert!(shown.contains(r"all is well\xff"), "{shown:?}");
}

#[tokio::test]
async fn a_terminal_gets_the_exact_bytes_with_raw() {
    let shown = pulled_to_a_terminal(&["--raw"]).await;
    assert!(shown.starts_with("a\u{9b}2J\u{1b}[2J\u{202e}b"), "{shown:?}");
}

#[tokio::test]
async fn piped_help_and_errors_have_no_colours() {
    for arguments in [&["--help"][..], &["pull", "--no-such-flag"]] {
        let output = run("http://127.0.0.1:1", arguments).await;
        for text in [output.stdout, output.stderr] {
            assert!(!text.contains(&0x1b), "{}", String::from_utf8_lossy(&text));
        }
    }
}

#[tokio::test]
async fn errors_on_a_terminal_have_no_colours_with_no_color() {
    let coloured = async |no_color: &str| {
        let terminal = Terminal::open();
        let mut command = command("http://127.0.0.1:1", &["pull", "--no-such-flag"]);
        command.env("TERM", "xterm").env("NO_COLOR", no_color).stderr(terminal.for_a_command());
        soon(command.status()).await.unwrap();
        drop(command);
        terminal.shown().contains(&0x1b)
    };
    assert!(!coloured("1").await);
}
