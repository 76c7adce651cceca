//! Folders that a new data folder may replace, and folders that it must not touch.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Output,
};

use crate::{
    backup::backed_up,
    broker::Broker,
    maintenance::{bytes_of, killed_with_messages, on, run_command, status, stderr},
    operator::{channel, with_channels_and_flags},
};

/// A killed broker with a message, and a backup of it.
async fn with_backup() -> (Broker, PathBuf) {
    let mut broker = with_channels_and_flags(&[channel("orders")], &["--segment-size", "1MiB"]).await;
    broker.pushed("acme/orders", "x").await;
    let backup = backed_up(&broker, "backup.tar");
    broker.kill();
    (broker, backup)
}

fn restore(backup: &Path, folder: &Path, old: Option<&Path>) -> Output {
    let mut words = vec!["restore", backup.to_str().unwrap(), folder.to_str().unwrap()];
    words.extend(old.into_iter().flat_map(|old| ["--move-old-to", old.to_str().unwrap()]));
    run_command(&words)
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

/// Asserts that a command changed nothing and gave the reason.
fn refused(output: &Output, says: &str, folder: &Path, before: &[String]) {
    assert_eq!(status(output), 2, "{}", stderr(output));
    assert!(stderr(output).contains(says), "{}", stderr(output));
    assert_eq!(names(folder), before, "{says}");
}

#[tokio::test]
async fn salvage_does_not_move_the_folder_of_a_running_broker() {
    let (other, _) = with_backup().await;
    let broker = with_channels_and_flags(&[channel("orders")], &["--segment-size", "1MiB"]).await;
    let (folder, before) = (broker.data_folder(), names(broker.folder.path()));
    let old = broker.folder.path().join("old");
    let flags = [folder.to_str().unwrap(), "--move-old-to", old.to_str().unwrap()];
    let output = on(&other.data_folder(), "salvage", &flags);
    refused(&output, "in use by the broker with process id", broker.folder.path(), &before);
    broker.pushed("acme/orders", "y").await;
}

#[tokio::test]
async fn a_linked_data_folder_is_replaced_and_the_link_stays() {
    let (broker, backup) = with_backup().await;
    let (volume, link) = (broker.folder.path().join("volume"), broker.folder.path().join("link"));
    fs::create_dir(&volume).unwrap();
    fs::rename(broker.data_folder(), volume.join("data")).unwrap();
    symlink("volume/data", &link).unwrap();
    let (old, before) = (volume.join("old"), bytes_of(&volume.join("data")));
    let output = restore(&backup, &link, Some(&old));
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert_eq!(names(&volume), ["data", "old"]);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("volume/data"));
    assert_eq!(bytes_of(&old), before);
    assert_eq!(status(&on(&link, "check", &[])), 0);
    let older = volume.join("older");
    let output = on(&link, "salvage", &[link.to_str().unwrap(), "--move-old-to", older.to_str().unwrap()]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert_eq!(names(&volume), ["data", "old", "older"]);
}

#[tokio::test]
async fn a_linked_empty_folder_is_filled() {
    let (broker, backup) = with_backup().await;
    let (empty, link) = (broker.folder.path().join("empty"), broker.folder.path().join("link"));
    fs::create_dir(&empty).unwrap();
    symlink(&empty, &link).unwrap();
    let output = restore(&backup, &link, None);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert_eq!(status(&on(&empty, "check", &[])), 0);
}

#[tokio::test]
async fn a_dangling_link_is_refused_as_the_place_of_a_folder() {
    let (broker, backup) = with_backup().await;
    let link = broker.folder.path().join("link");
    symlink("nowhere", &link).unwrap();
    let before = names(broker.folder.path());
    refused(&restore(&backup, &link, None), "dangling link", broker.folder.path(), &before);
}

#[tokio::test]
async fn a_name_that_is_too_long_for_an_unfinished_folder_is_refused_for_its_length() {
    let (broker, backup) = with_backup().await;
    let (folder, before) = (broker.folder.path().join("n".repeat(250)), names(broker.folder.path()));
    refused(&restore(&backup, &folder, None), "too long", broker.folder.path(), &before);
}

#[tokio::test]
async fn an_impossible_place_for_the_old_folder_is_refused_before_anything_is_read() {
    let (broker, backup) = with_backup().await;
    let (folder, before) = (broker.data_folder(), names(broker.folder.path()));
    // A file that is not a backup is not read.
    let no_backup = broker.folder.path().join("manifests");
    let elsewhere = tempfile::TempDir::new_in("/dev/shm").unwrap();
    for (old, says) in [
        (folder.with_file_name("data.unfinished"), "temporary name"),
        (broker.folder.path().join("not/there"), "does not exist"),
        (backup.join("old"), "is not a folder"),
        (elsewhere.path().join("old"), "on another volume"),
    ] {
        refused(&restore(&no_backup, &folder, Some(&old)), says, broker.folder.path(), &before);
    }
    let link = broker.folder.path().join("taken");
    symlink("nowhere", &link).unwrap();
    let before = names(broker.folder.path());
    let output = restore(&no_backup, &folder, Some(&link));
    refused(&output, "already exists", broker.folder.path(), &before);
}

#[tokio::test]
async fn a_folder_that_another_process_is_creating_is_left_alone() {
    let broker = killed_with_messages().await;
    let (new, theirs) = (broker.folder.path().join("new"), broker.folder.path().join("new.unfinished"));
    fs::create_dir(&theirs).unwrap();
    let mark = fs::File::create(theirs.join("unfinished")).unwrap();
    mark.lock().unwrap();
    let before = names(broker.folder.path());
    let output = on(&broker.data_folder(), "salvage", &[new.to_str().unwrap()]);
    refused(&output, "another restante-broker", broker.folder.path(), &before);
}

#[tokio::test]
async fn an_empty_folder_with_the_name_of_an_unfinished_one_is_used_and_a_link_is_not() {
    let (broker, backup) = with_backup().await;
    let (new, unfinished) = (broker.folder.path().join("new"), broker.folder.path().join("new.unfinished"));
    symlink("manifests", &unfinished).unwrap();
    let before = names(broker.folder.path());
    refused(&restore(&backup, &new, None), "already exists", broker.folder.path(), &before);
    fs::remove_file(&unfinished).unwrap();
    fs::create_dir(&unfinished).unwrap();
    assert_eq!(status(&restore(&backup, &new, None)), 0);
    assert!(!unfinished.exists());
}
