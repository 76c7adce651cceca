//! Targets of a backup, reports of damage in it, and trailing bytes.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, symlink},
    path::Path,
    process::Output,
};

use rustix::fs::{CWD, FileType, mknodat};

use crate::{
    backup::{backed_up, backup_arguments, small},
    broker::Broker,
    maintenance::{run_command, status, stderr, stdout},
};

fn run_backup(broker: &Broker, file: &Path) -> Output {
    run_command(&backup_arguments(broker, file).each_ref().map(String::as_str))
}

#[tokio::test]
async fn an_output_that_is_not_a_file_is_refused_and_unchanged() {
    let broker = small().await;
    let at = |name: &str| broker.folder.path().join(name);
    mknodat(CWD, at("pipe"), FileType::Fifo, 0o600.into(), 0).unwrap();
    fs::create_dir(at("folder")).unwrap();
    fs::write(at("precious"), "precious").unwrap();
    symlink("precious", at("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    for (name, says) in
        [("pipe", "a pipe"), ("folder", "a folder"), ("link", "a link"), ("socket", "a socket")]
    {
        let output = run_backup(&broker, &at(name));
        assert_eq!(status(&output), 2, "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains("standard output"), "{name}: {}", stderr(&output));
    }
    assert!(fs::symlink_metadata(at("pipe")).unwrap().file_type().is_fifo());
    assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
    assert_eq!(fs::read(at("precious")).unwrap(), b"precious");
}

#[tokio::test]
async fn a_backup_writes_only_to_the_file_that_it_creates() {
    let broker = small().await;
    let at = |name: &str| broker.folder.path().join(name);
    fs::write(at("first.tar.part"), "somebody's notes").unwrap();
    fs::write(at("precious"), "precious").unwrap();
    symlink("precious", at("second.tar.part")).unwrap();
    for name in ["first.tar", "second.tar"] {
        backed_up(&broker, name);
    }
    assert_eq!(fs::read(at("first.tar.part")).unwrap(), b"somebody's notes");
    assert_eq!(fs::read(at("precious")).unwrap(), b"precious");
    assert!(!fs::symlink_metadata(at("second.tar")).unwrap().is_symlink());
}

#[tokio::test]
async fn an_earlier_backup_is_replaced_once_the_new_one_is_complete_and_no_other_file_remains() {
    let broker = small().await;
    let file = broker.folder.path().join("backups/backup.tar");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, "of before").unwrap();
    let mut words = backup_arguments(&broker, &file);
    words[2] = "http://127.0.0.1:1".to_owned();
    assert_eq!(status(&run_command(&words.each_ref().map(String::as_str))), 2);
    assert_eq!(fs::read(&file).unwrap(), b"of before");
    assert_eq!(status(&run_backup(&broker, &file)), 0);
    assert!(fs::read(&file).unwrap().len() > 4096);
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_backup_names_each_damaged_message() {
    let broker = small().await;
    for number in 0..6 {
        broker.pushed("acme/orders", format!("message {number}")).await;
    }
    let mut damaged = Vec::new();
    for number in [1, 3, 4] {
        let (segment, offset) = broker.segment_with(format!("message {number}").as_bytes());
        let path = broker.data_folder().join(&segment);
        let mut bytes = fs::read(&path).unwrap();
        bytes[offset + 3] ^= 0x20;
        fs::write(&path, bytes).unwrap();
        damaged.push(segment);
    }
    let output = run_backup(&broker, &broker.folder.path().join("backup.tar"));
    let output_text = stderr(&output);
    assert_eq!(status(&output), 1, "{output_text}");
    assert_eq!(
        output_text.matches(&format!("{} is damaged at offset", damaged[0])).count(),
        3,
        "{output_text}"
    );
    assert!(!output_text.contains("whole otherwise"), "{output_text}");
}

#[tokio::test]
async fn trailing_bytes_make_a_backup_invalid() {
    let broker = small().await;
    let file = backed_up(&broker, "backup.tar");
    let whole = fs::read(&file).unwrap();
    let (there, target) = (broker.folder.path().join("there"), broker.folder.path().join("new"));
    let restore = |bytes: &[u8]| {
        fs::write(&there, bytes).unwrap();
        run_command(&["restore", there.to_str().unwrap(), target.to_str().unwrap()])
    };
    for more in [&b"x"[..], &[&[0; 5000][..], b"x"].concat(), &whole] {
        let output = restore(&[&whole, more].concat());
        assert_eq!(status(&output), 2, "{}", stdout(&output));
        assert!(stderr(&output).contains("follow its end"), "{}", stderr(&output));
        assert!(!target.exists());
    }
    // Padding like tar's.
    let output = restore(&[&whole, &[0; 10240][..]].concat());
    assert_eq!(status(&output), 0, "{}", stderr(&output));
}
