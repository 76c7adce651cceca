//! Log lines as text: coloured only on a terminal, and without control sequences from foreign text.

use std::{
    fs::{self, File, OpenOptions},
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tempfile::TempDir;

use crate::broker::ended;

/// A broker that cannot start, with a manifest whose name is hostile to terminals.
fn refused(folder: &Path) -> Command {
    let manifests = folder.join("manifests");
    fs::create_dir_all(&manifests).unwrap();
    fs::write(manifests.join("a\u{9b}2J\u{202e}b.yaml"), "kind: [").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_restante-broker"));
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--manifests"]);
    command.arg(manifests).arg("--data-dir").arg(folder.join("data")).env_remove("NO_COLOR");
    command.stderr(Stdio::piped());
    command
}

/// Its output on a terminal.
fn shown(command: &mut Command) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let its: File = OpenOptions::new().read(true).write(true).open(path).unwrap();
    command.stderr(its);
    assert!(!command.status().unwrap().success());
    // The last of its ends: from now on a read fails at the end.
    command.stderr(Stdio::null());
    let mut text = Vec::new();
    let _ = File::from(ours).read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn piped_log_lines_have_no_colours_and_no_terminal_control_characters() {
    let folder = TempDir::new().unwrap();
    for format in ["text", "json"] {
        let output = ended(refused(folder.path()).args(["--log-format", format]));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("ERROR") && text.contains("b.yaml"), "{text:?}");
        let control_character =
            text.chars().find(|letter| (letter.is_control() && *letter != '\n') || *letter == '\u{202e}');
        assert_eq!(control_character, None, "{format}: {text:?}");
        assert!(!text.contains(r"\x1b"), "colours that were escaped: {text:?}");
    }
}

#[test]
fn log_lines_on_a_terminal_have_colours_unless_no_color_is_set() {
    let folder = TempDir::new().unwrap();
    for (no_color, coloured) in [("", true), ("1", false), ("0", false)] {
        let text = shown(refused(folder.path()).env("NO_COLOR", no_color));
        assert_eq!(text.contains('\u{1b}'), coloured, "NO_COLOR={no_color}: {text:?}");
        assert!(text.contains(r"a\u{9b}2J\u{202e}b.yaml"), "{text:?}");
    }
}
