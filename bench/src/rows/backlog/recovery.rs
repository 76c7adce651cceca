//! Speed at which a killed broker reads its log at the next start, with the indexes of sealed segments and without.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Result;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::{Names, SCAN, SEALED};
use crate::{
    arguments::Arguments,
    broker::{ADDRESS, Broker, Options, data, http},
    load::block_on,
    report::{
        progress,
        row::{Goal, Row},
    },
    stream::Stream,
};

const GIGABYTE: f64 = 1e9;

/// A kind of start.
struct Start<'a> {
    name: &'a str,
    goal: Goal,
    /// Whether the indexes are deleted before the start.
    without_indexes: bool,
}

pub(super) fn run(arguments: &Arguments, folder: &Path, names: &Names) -> Result<Vec<Row>> {
    let starts = [
        Start { name: &names.sealed, goal: SEALED, without_indexes: false },
        Start { name: &names.scan, goal: SCAN, without_indexes: true },
    ];
    starts.iter().map(|start| row(arguments, folder, start)).collect()
}

fn row(arguments: &Arguments, folder: &Path, start: &Start<'_>) -> Result<Row> {
    // The first start recovers from the kill before it, and is not counted.
    read(folder, start, false)?;
    let warm = (0..arguments.rounds).map(|_| read(folder, start, false)).collect::<Result<Vec<_>>>()?;
    let cold = read(folder, start, true)?;
    let Read { bytes, indexes, .. } = warm[warm.len() - 1];
    Ok(Row::measured(start.name, start.goal, "GB/s", warm.iter().map(Read::gigabytes_per_second))
        .with("seconds until the first answer", warm.iter().map(|read| read.seconds))
        .with("GB of retained log", [bytes / GIGABYTE])
        .with("indexes of segments", [indexes as f64])
        .with("with an empty page cache, GB/s", [cold.gigabytes_per_second()]))
}

/// Measurements of a start.
struct Read {
    bytes: f64,
    indexes: usize,
    seconds: f64,
}

impl Read {
    fn gigabytes_per_second(&self) -> f64 {
        self.bytes / self.seconds / GIGABYTE
    }
}

/// Starts a broker on the folder, waits for its first answer, and kills it.
fn read(folder: &Path, start: &Start<'_>, cold: bool) -> Result<Read> {
    let files = files(&data(folder))?;
    let is_index = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "idx");
    if start.without_indexes {
        for index in files.iter().filter(is_index) {
            fs::remove_file(index)?;
        }
    }
    if cold {
        for file in files.iter().filter(|file| file.exists()) {
            forget(file)?;
        }
    }
    let indexes = files.iter().filter(is_index).filter(|index| index.exists()).count();
    let began = Instant::now();
    let mut broker = Broker::start_in(folder, &Options::default())?;
    block_on(async {
        let mut stream = Stream::open(broker.server.address).await?;
        stream.send(&http::get(&format!("/v1/channels/{ADDRESS}"))).await?;
        http::status(&mut stream, 200).await
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let bytes = block_on(needed_bytes(&broker))?;
    // Indexes and segments that the broker makes after its start are then ready for the next start.
    broker.server.wait_until_idle()?;
    broker.server.kill()?;
    let read = Read { bytes, indexes, seconds };
    progress(&format!(
        "{}: {:.2} GB/s in {seconds:.2} s{}",
        start.name,
        read.gigabytes_per_second(),
        if cold { ", cold" } else { "" }
    ));
    Ok(read)
}

/// Retained bytes of the log. The broker updates the metric with each commit batch, so this pushes a message first.
async fn needed_bytes(broker: &Broker) -> Result<f64> {
    let mut stream = Stream::open(broker.server.address).await?;
    stream.send(&http::push(ADDRESS)).await?;
    http::status(&mut stream, 201).await?;
    broker.metric("restante_store_retained_bytes").await
}

/// Lists all files in a folder and its subfolders.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Removes a file from the page cache.
fn forget(path: &Path) -> Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    Ok(posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}
