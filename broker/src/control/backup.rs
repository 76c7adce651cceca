//! `POST /control/v1/backup`: the data folder as one archive, while the broker serves traffic.
//!
//! The snapshot (cut) of the log is taken after the first byte of the answer was sent. So the backup has every
//! operation that was acknowledged before that byte: no message that was settled before it returns. The log's segments are
//! copied oldest first, and each is released when it was read. One archive is written at a time, with a few pieces of
//! it in memory.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use http::header;
use restante_wire::ProblemType;
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{Channels, Control, errors};
use crate::{
    address_store::{AddressStore, OpenError},
    backup::{Manifest, Writer},
    clock,
    data_folder::{self, DataFolderError},
    http::error::HttpError,
    log::disk::{CopyError, Part},
    shard::WorkFailed,
};

/// How many bytes are read and sent at a time.
const PIECE_BYTES: usize = 256 << 10;
/// The maximum number of pieces that wait for the client.
const PIECES_MAX: usize = 2;
/// The minimum average rate at which a client must read, or the backup ends: disk space that is not copied yet cannot
/// be reused.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;
/// How long a client may read nothing, in addition to that rate.
const STALL: Duration = Duration::from_secs(30);

/// Why a backup ended early. The client gets a truncated archive.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(
        "the client read less than {} MiB per second, and a backup in progress keeps disk space from being reused; use \
         a faster connection",
        BYTES_PER_SECOND_MIN >> 20
    )]
    Slow,
    #[error("the client hung up")]
    HungUp,
    #[error(transparent)]
    Work(#[from] WorkFailed),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error("failed to read {}: {source}", file.display())]
    Io { file: PathBuf, source: io::Error },
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error(transparent)]
    AddressStore(#[from] OpenError),
}

/// Answers with the archive.
pub(super) async fn backup<C: Channels>(State(control): State<Control<C>>) -> Result<Response, HttpError> {
    let Ok(turn) = control.backup_turn.clone().try_lock_owned() else {
        let detail =
            "another backup is in progress, and the limit is one at a time; try again when it is finished";
        return Err(HttpError::new(ProblemType::Busy, detail));
    };
    // If the log has failed, this reports it while the answer can still have an error status.
    let probe = control.channels.cut().await.map_err(errors::not_done)?;
    drop(probe);
    let (pieces, mut sent) = mpsc::channel(PIECES_MAX);
    let archive = Archive { pieces, allowed_until: Instant::now() + STALL, sent_bytes: 0 };
    control.tasks.spawn(async move {
        let _turn = turn;
        let Control { store, channels, folder, .. } = control;
        match archive.write(&store, &channels, &folder).await {
            Ok(bytes) => tracing::info!(bytes, "a backup was taken"),
            Err(error) => tracing::warn!(%error, "a backup was not finished"),
        }
    });
    // Without the last piece the body ends with an error; otherwise a client could take a truncated archive for a
    // complete one.
    let body = stream::poll_fn(move |context| {
        sent.poll_recv(context).map(|piece| match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::Last) => None,
            None => Some(Err(io::Error::other("the backup ended early; the broker's log says why"))),
        })
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-tar"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"restante-backup.tar\""),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

enum Piece {
    Bytes(Bytes),
    Last,
}

/// An archive that is being sent.
struct Archive {
    pieces: mpsc::Sender<Piece>,
    /// When the client must have read all bytes sent so far.
    allowed_until: Instant,
    sent_bytes: u64,
}

impl Archive {
    /// Sends the archive; returns its length.
    async fn write(
        mut self,
        store: &AddressStore,
        channels: &impl Channels,
        folder: &Arc<Path>,
    ) -> Result<u64, Ended> {
        let now = channels.now();
        let manifest = Manifest::new(store.state().store_id, clock::rfc3339(now));
        let mut writer = Writer::new(manifest, now / 1000);
        for name in [data_folder::VERSION, data_folder::LEASE_KEY] {
            let path = folder.join(name);
            let contents = on_disk(move || Ok(data_folder::read_small(&path)?)).await?;
            self.send(writer.begin(name, contents.len() as u64, None)).await?;
            writer.contents(&contents);
            self.send(contents.into()).await?;
            self.send(writer.end()).await?;
        }
        // Once there is room for pieces again, the client has the first byte: the connection writes all its bytes before
        // it waits.
        self.wait_until_written().await?;
        let cut = channels.cut().await?;
        writer.taken_at(clock::rfc3339(channels.now()));
        // After the cut, so that the address store has every channel that has messages in the log.
        let files = store.clone();
        let files = on_disk(move || Ok(files.files()?)).await?;
        for (name, file, bytes) in files {
            let name = format!("{}/{name}", data_folder::ADDRESSES);
            let copied = Copied::File(file, folder.join(&name));
            self.send_file(&mut writer, &name, Arc::new(copied), bytes, None).await?;
        }
        let (parts, marks): (Vec<_>, Vec<_>) =
            cut.into_iter().map(|cut| (cut.parts, cut.synced_files)).unzip();
        for (name, contents) in marks.into_iter().flatten() {
            self.send(writer.begin(&name, contents.len() as u64, None)).await?;
            writer.contents(&contents);
            self.send(contents.into()).await?;
            self.send(writer.end()).await?;
        }
        for part in parts.into_iter().flatten() {
            let name = part.name();
            let (bytes, padded) = (part.bytes, Some(part.file_bytes).filter(|padded| *padded > part.bytes));
            self.send_file(&mut writer, &name, Arc::new(Copied::Part(part)), bytes, padded).await?;
        }
        self.send(writer.finish()).await?;
        self.send_piece(Piece::Last).await?;
        Ok(self.sent_bytes)
    }

    async fn send_file(
        &mut self,
        writer: &mut Writer,
        name: &str,
        file: Arc<Copied>,
        bytes: u64,
        padded: Option<u64>,
    ) -> Result<(), Ended> {
        self.send(writer.begin(name, bytes, padded)).await?;
        let mut offset = 0;
        while offset < bytes {
            let length = (PIECE_BYTES as u64).min(bytes - offset) as usize;
            let file = file.clone();
            let piece = on_disk(move || {
                let mut piece = vec![0; length];
                file.read(&mut piece, offset).map(|()| piece)
            });
            let piece = piece.await?;
            writer.contents(&piece);
            self.send(piece.into()).await?;
            offset += length as u64;
        }
        self.send(writer.end()).await
    }

    async fn send(&mut self, piece: Bytes) -> Result<(), Ended> {
        if piece.is_empty() {
            return Ok(());
        }
        let bytes = piece.len() as u64;
        self.send_piece(Piece::Bytes(piece)).await?;
        self.sent_bytes += bytes;
        // A fast client cannot collect more than the reserve of every client.
        let allowed =
            self.allowed_until + Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND_MIN as f64);
        self.allowed_until = allowed.min(Instant::now() + STALL);
        Ok(())
    }

    async fn send_piece(&self, piece: Piece) -> Result<(), Ended> {
        match timeout_at(self.allowed_until, self.pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::HungUp),
            Err(_) => Err(Ended::Slow),
        }
    }

    /// Waits until the connection has taken and written all pieces.
    async fn wait_until_written(&mut self) -> Result<(), Ended> {
        match timeout_at(self.allowed_until, self.pieces.reserve_many(PIECES_MAX)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Ended::HungUp),
            Err(_) => Err(Ended::Slow),
        }
    }
}

/// The source of a file in the archive.
enum Copied {
    File(File, PathBuf),
    Part(Part),
}

impl Copied {
    fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), Ended> {
        match self {
            Self::File(file, path) => {
                file.read_exact_at(bytes, offset).map_err(|source| Ended::Io { file: path.clone(), source })
            }
            Self::Part(part) => Ok(part.read(bytes, offset)?),
        }
    }
}

/// Runs a blocking disk operation on another thread.
async fn on_disk<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Ended> + Send + 'static,
) -> Result<T, Ended> {
    let done = spawn_blocking(act).await;
    // A runtime that shuts down drops pending operations.
    done.unwrap_or(Err(Ended::HungUp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> (Archive, mpsc::Receiver<Piece>) {
        let (pieces, taken) = mpsc::channel(PIECES_MAX);
        (Archive { pieces, allowed_until: Instant::now() + STALL, sent_bytes: 0 }, taken)
    }

    #[tokio::test(start_paused = true)]
    async fn a_backup_ends_when_its_client_reads_nothing_and_at_once_when_it_hangs_up() {
        let (mut archive, taken) = archive();
        let began = Instant::now();
        let ended = loop {
            if let Err(ended) = archive.send(Bytes::from(vec![0; PIECE_BYTES])).await {
                break ended;
            }
        };
        assert!(matches!(ended, Ended::Slow), "{ended}");
        assert!((STALL..STALL + Duration::from_secs(2)).contains(&began.elapsed()), "{:?}", began.elapsed());
        drop(taken);
        assert!(matches!(archive.send_piece(Piece::Last).await, Err(Ended::HungUp)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_backup_continues_while_its_client_reads_slowly_but_steadily() {
        let (mut archive, mut taken) = archive();
        let taking = tokio::spawn(async move {
            // A little faster than it must be.
            let mut every = tokio::time::interval(Duration::from_millis(240));
            while let Some(Piece::Bytes(_)) = taken.recv().await {
                every.tick().await;
            }
        });
        let began = Instant::now();
        for _ in 0..2000 {
            archive.send(Bytes::from(vec![0; PIECE_BYTES])).await.unwrap();
        }
        assert!(began.elapsed() > 10 * STALL);
        archive.send_piece(Piece::Last).await.unwrap();
        taking.await.unwrap();
    }
}
