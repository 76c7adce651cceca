//! `restante-broker backup`: requests a backup from a broker and verifies it on the way to the output.

use std::{
    fs::{self, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use restante_wire::{Problem, path};
use tokio::{net::TcpStream, runtime};

use super::{MaintenanceError, Verdict, say};
use crate::{
    backup::{self, ArchiveError, Manifest, Sink},
    config::BackupArguments,
    control::{self, TokenError},
    files::plain_file,
    log::disk::{BrokenFrame, SegmentVerifier},
};

/// Body pieces that may wait between the connection and the verifying thread.
const PIECES_MAX: usize = 4;
/// Prefix and suffix of an unfinished file's name. The part between them is random.
const UNFINISHED_BEGINS: &str = ".restante-backup-";
const UNFINISHED_ENDS: &str = ".part";

/// Why no backup was taken.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("--control-url {url} is not the address of a control port; it looks like http://127.0.0.1:8082")]
    Url { url: String },
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("cannot talk to the broker at {url}: {reason}")]
    Connection { url: String, reason: String },
    #[error("the broker at {url} refused the backup: {detail}")]
    Refused { url: String, detail: String },
    #[error("the broker at {url} sent an incomplete or invalid backup: {source}")]
    Archive { url: String, source: ArchiveError },
    #[error("cannot verify the backup: the system cannot start a thread: {source}")]
    Thread { source: io::Error },
    /// Something other than a file has the output's name.
    #[error(
        "{} is {is}, and --output replaces only files; name a file or an unused name, or omit --output and redirect standard \
         output",
        path.display()
    )]
    OutputNotAFile {
        path: PathBuf,
        /// The kind of the thing that has the name.
        is: &'static str,
    },
    #[error("cannot write the backup to {to}: {source}")]
    Output { to: String, source: io::Error },
}

/// Takes a backup. An output file gets its name only once it is complete.
pub(super) fn run(arguments: &BackupArguments) -> Result<Verdict, MaintenanceError> {
    let (manifest, damaged) = match &arguments.output {
        None => take(arguments, &mut io::stdout().lock(), "standard output")?,
        Some(path) => to_file(arguments, path)?,
    };
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    say(&format!(
        "backup of store {} as of {}: {} files, {}",
        manifest.store_id,
        manifest.taken_at,
        manifest.files.len(),
        bytesize::ByteSize(bytes)
    ));
    if damaged.is_empty() {
        return Ok(Verdict::Healthy);
    }
    for (file, BrokenFrame { offset, rest }) in &damaged {
        let place = match rest {
            false => format!("at offset {offset}"),
            true => format!("from offset {offset} to an unknown end"),
        };
        say(&format!(
            "{file} is damaged {place}; the damage is on the broker's disk and therefore in the backup"
        ));
    }
    say("keep earlier backups; stop the broker and run restante-broker check to list all damage");
    Ok(Verdict::Damaged)
}

/// Writes the backup under a temporary name beside the file, and renames it when it is complete.
fn to_file(arguments: &BackupArguments, path: &Path) -> Result<TakenBackup, BackupError> {
    let failed = |source| BackupError::Output { to: path.display().to_string(), source };
    refuse_special_file(path)?;
    let folder = path.parent().filter(|folder| *folder != "").unwrap_or(Path::new("."));
    // Dropping the temporary file removes it: nobody must take a part of a backup for a backup.
    let mut unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED_BEGINS)
        .suffix(UNFINISHED_ENDS)
        // The default of a new file; the umask is subtracted.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    let taken = take(arguments, unfinished.as_file_mut(), &path.display().to_string())?;
    unfinished.as_file().sync_all().map_err(failed)?;
    unfinished.persist(path).map_err(|error| failed(error.error))?;
    crate::files::durable::sync_folder_of(path).map_err(failed)?;
    Ok(taken)
}

/// Refuses a pipe, a device, a link or a folder, which the backup's file would replace.
fn refuse_special_file(path: &Path) -> Result<(), BackupError> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => Err(BackupError::OutputNotAFile {
            path: path.to_owned(),
            is: plain_file::name(found.file_type()),
        }),
        // Any other error occurs again, and is reported, when the file is created.
        _ => Ok(()),
    }
}

/// A complete backup, and the damage in it.
type TakenBackup = (Manifest, Vec<DamagedFrame>);
/// A file in the backup, and a damaged frame in it.
type DamagedFrame = (String, BrokenFrame);

/// Writes the broker's backup to `to`, and returns its manifest once all of it has arrived.
fn take(arguments: &BackupArguments, to: &mut impl Write, name: &str) -> Result<TakenBackup, BackupError> {
    let url = &arguments.control_url;
    let token = control::read_token(&arguments.control_token_file)?;
    let (pieces, looked_at) = sync_channel(PIECES_MAX);
    let look = move || {
        let mut looked = SegmentChecker::default();
        let manifest = backup::read(PieceReader { from: looked_at, piece: Bytes::new() }, &mut looked)?;
        Ok((manifest, looked.damaged))
    };
    let no_thread = |error: io::Error| BackupError::Thread { source: error };
    let looking = thread::Builder::new().spawn(look).map_err(no_thread)?;
    let written = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| BackupError::Connection { url: url.clone(), reason: error.to_string() })?
        .block_on(receive(url, &token, |piece| {
            to.write_all(&piece).map_err(|source| BackupError::Output { to: name.to_owned(), source })?;
            // Sending fails when the verifier has found an error and ended. Joining it returns that error.
            let _ = pieces.send(piece);
            Ok(())
        }));
    drop::<SyncSender<Bytes>>(pieces);
    let looked = looking.join();
    written?;
    to.flush().map_err(|source| BackupError::Output { to: name.to_owned(), source })?;
    match looked {
        Ok(looked) => looked.map_err(|source| BackupError::Archive { url: url.clone(), source }),
        Err(_) => Err(BackupError::Connection { url: url.clone(), reason: "a thread panicked".to_owned() }),
    }
}

/// Requests the backup, and passes on each piece of the body.
async fn receive(
    url: &str,
    token: &str,
    mut hand_on: impl FnMut(Bytes) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let no_url = || BackupError::Url { url: url.to_owned() };
    let uri: Uri = url.parse().map_err(|_| no_url())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(no_url)?;
    let failed = |reason: String| BackupError::Connection { url: url.to_owned(), reason };
    let stream =
        TcpStream::connect((authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80)));
    let stream = stream.await.map_err(|error| failed(error.to_string()))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(path::CONTROL_BACKUP)
        .header(header::HOST, authority.as_str())
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(error.to_string()))?;
    let status = answer.status();
    let mut body = answer.into_body();
    if status != StatusCode::OK {
        let text = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let problem = serde_json::from_slice(&text).map(|problem: Problem| problem.detail);
        let detail = problem.unwrap_or_else(|_| String::from_utf8_lossy(&text).into_owned());
        return Err(BackupError::Refused { url: url.to_owned(), detail: format!("{status}: {detail}") });
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            failed(format!(
                "the broker ended the backup early ({error}); its log has the reason, and the part that arrived cannot be restored"
            ))
        })?;
        if let Ok(piece) = frame.into_data() {
            hand_on(piece)?;
        }
    }
    connection.abort();
    Ok(())
}

/// Reads pieces as they arrive.
struct PieceReader {
    from: Receiver<Bytes>,
    piece: Bytes,
}

impl Read for PieceReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.from.recv() {
                Ok(piece) => self.piece = piece,
                Err(_) => return Ok(0),
            }
        }
        let count = to.len().min(self.piece.len());
        to[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

/// Verifies the segments of an archive, and keeps no bytes.
#[derive(Default)]
struct SegmentChecker {
    segment: Option<(String, SegmentVerifier)>,
    damaged: Vec<DamagedFrame>,
}

impl Sink for SegmentChecker {
    fn begin(&mut self, name: &str) -> io::Result<()> {
        self.segment = backup::is_segment(name).then(|| (name.to_owned(), SegmentVerifier::begin()));
        Ok(())
    }

    fn contents(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.segment.iter_mut().for_each(|(_, verifier)| verifier.take(bytes));
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some((file, verifier)) = self.segment.take() {
            self.damaged.extend(verifier.end().into_iter().map(|broken| (file.clone(), broken)));
        }
        Ok(())
    }
}
