//! Where contents go: standard output or a file, whole before a message is settled.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use restante_wire::terminal;
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncWrite, AsyncWriteExt, Stdout, stdout},
};

use super::failure::Failure;

/// Writes, and does not return before the bytes are the system's.
pub(crate) async fn write(
    output: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    what: &str,
) -> Result<(), Failure> {
    let written = async {
        output.write_all(bytes).await?;
        output.flush().await
    };
    written.await.map_err(|source| Failure::Write { what: what.to_owned(), source })
}

/// Where the contents of messages go.
pub(crate) enum Output {
    /// On a terminal a content is shown, and else it is handed over: with `raw` on a terminal too.
    Stdout {
        stdout: Stdout,
        raw: bool,
    },
    File {
        path: PathBuf,
        append: bool,
    },
}

impl Output {
    /// A file or standard output. A file is opened when there is something to write: a pull that gets nothing must not
    /// empty it.
    pub(crate) fn new(path: Option<PathBuf>, append: bool, raw: bool) -> Self {
        match path {
            None => Self::stdout(raw),
            Some(path) => Self::File { path, append },
        }
    }

    /// Standard output. A terminal gets contents with escapes in place of what it would obey: a stranger wrote them, and who
    /// wants the bytes pipes them on or says `--raw`.
    pub(crate) fn stdout(raw: bool) -> Self {
        Self::Stdout { stdout: stdout(), raw: raw || !std::io::stdout().is_terminal() }
    }

    /// Writes a message's content. After this it is the system's, and where it is a file, on the disk.
    pub(crate) async fn write(&mut self, body: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout { stdout, raw: true } => write(stdout, body, "standard output").await,
            Self::Stdout { stdout, raw: false } => {
                write(stdout, terminal::bytes(body).as_bytes(), "standard output").await
            }
            Self::File { path, append } => {
                let what = path.display().to_string();
                let mut file = open(path, *append)
                    .await
                    .map_err(|source| Failure::Write { what: what.clone(), source })?;
                write(&mut file, body, &what).await?;
                // A pipe or a device has no disk to sync to.
                match file.sync_data().await {
                    Err(error) if error.kind() != std::io::ErrorKind::InvalidInput => {
                        Err(Failure::Write { what, source: error })
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

async fn open(path: &Path, append: bool) -> std::io::Result<File> {
    OpenOptions::new().create(true).write(true).append(append).truncate(!append).open(path).await
}
