//! `restante-broker backup`: asks a broker for a backup, and looks at every byte of it on its way.

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
    data_folder::plain_file,
    log::disk::{BrokenFrame, SegmentVerifier},
};

/// Pieces of the body between the connection and whoever looks at them.
const PIECES_MAX: usize = 4;
/// How the name begins and ends of a file that is not whole; between them it is random.
const UNFINISHED_BEGINS: &str = ".restante-backup-";
const UNFINISHED_ENDS: &str = ".part";

/// Why no backup was taken.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The address is none.
    #[error("--control-url {url} is no address of a control port: it looks like http://127.0.0.1:8082")]
    Url {
        /// What was said.
        url: String,
    },
    /// The token cannot be read, or is none.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The broker cannot be reached, or hung up.
    #[error("cannot talk to the broker at {url}: {reason}")]
    Connection {
        /// Where it was looked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The broker said no.
    #[error("the broker at {url} refused the backup: {detail}")]
    Refused {
        /// Where it is.
        url: String,
        /// What it said.
        detail: String,
    },
    /// What came is no whole backup.
    #[error("what the broker at {url} sent is no whole backup: {source}")]
    Archive {
        /// Where it is.
        url: String,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// The system gives no thread.
    #[error("cannot look at the backup: the system gives no thread: {source}")]
    Thread {
        /// The system's reason.
        source: io::Error,
    },
    /// Something that is no file has the output's name.
    #[error(
        "{} is {is}, and --output replaces nothing but a file: name a file, or a name that is free; or leave --output out, and send \
         standard output there",
        path.display()
    )]
    OutputNotAFile {
        /// The output.
        path: PathBuf,
        /// What has its name.
        is: &'static str,
    },
    /// The backup cannot be written.
    #[error("cannot write the backup to {to}: {source}")]
    Output {
        /// Where to.
        to: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// Takes a backup. A file has its name only once it is whole.
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
        return Ok(Verdict::Sound);
    }
    for (file, BrokenFrame { offset, rest }) in &damaged {
        let place = match rest {
            false => format!("at offset {offset}"),
            true => format!("from offset {offset} on, and where that ends cannot be told here"),
        };
        say(&format!("{file} is damaged {place}: the broker's disk has it so, and so has the backup"));
    }
    say("keep earlier backups; restante-broker check, with the broker stopped, tells all that is damaged");
    Ok(Verdict::Damaged)
}

/// Writes beside the file, under a name of its own, and gives it its name at the end.
fn to_file(arguments: &BackupArguments, path: &Path) -> Result<TakenBackup, BackupError> {
    let failed = |source| BackupError::Output { to: path.display().to_string(), source };
    refuse_special_file(path)?;
    let folder = path.parent().filter(|folder| *folder != "").unwrap_or(Path::new("."));
    // Dropping it removes the file: a part of a backup must not be taken for one.
    let mut unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED_BEGINS)
        .suffix(UNFINISHED_ENDS)
        // As of any file that is made: the umask takes from it.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    let taken = take(arguments, unfinished.as_file_mut(), &path.display().to_string())?;
    unfinished.as_file().sync_all().map_err(failed)?;
    unfinished.persist(path).map_err(|error| failed(error.error))?;
    crate::data_folder::durable::sync_folder_of(path).map_err(failed)?;
    Ok(taken)
}

/// Refuses a pipe, a device, a link or a folder: the backup's file would replace it.
fn refuse_special_file(path: &Path) -> Result<(), BackupError> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => Err(BackupError::OutputNotAFile {
            path: path.to_owned(),
            is: plain_file::name(found.file_type()),
        }),
        // Any other error comes again, and is told, when the file is made.
        _ => Ok(()),
    }
}

/// A whole backup, and what is damaged in it.
type TakenBackup = (Manifest, Vec<DamagedFrame>);
/// A place of a segment that is not as it was written.
type DamagedFrame = (String, BrokenFrame);

/// Writes what the broker sends, and says what it is once all of it is there.
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
            // Whoever looks has found something wrong, and says what it is.
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

/// Asks for the backup, and hands on what comes.
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
                "it ended the backup early ({error}); its log says why, and nothing of it can be restored"
            ))
        })?;
        if let Ok(piece) = frame.into_data() {
            hand_on(piece)?;
        }
    }
    connection.abort();
    Ok(())
}

/// Pieces as they come, read.
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

/// Looks at the segments of an archive, and keeps nothing.
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
