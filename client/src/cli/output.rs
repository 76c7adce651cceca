//! Output of message bodies: standard output or a file. A body is written completely before its message is settled.

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

/// Writes bytes, and returns after the system has accepted all of them.
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

/// Destination of message bodies.
pub(crate) enum Output {
    /// With `raw`, the exact bytes; otherwise control characters are escaped.
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
    /// A file or standard output. The file is opened at the first write: a pull without a message must not truncate it.
    pub(crate) fn new(path: Option<PathBuf>, append: bool, raw: bool) -> Self {
        match path {
            None => Self::stdout(raw),
            Some(path) => Self::File { path, append },
        }
    }

    /// Standard output. On a terminal, control characters are escaped, because a stranger wrote the body. A pipe, or
    /// `--raw`, gets the exact bytes.
    pub(crate) fn stdout(raw: bool) -> Self {
        Self::Stdout { stdout: stdout(), raw: raw || !std::io::stdout().is_terminal() }
    }

    /// Writes a message's body. Afterwards the system has accepted it; a file is synced to disk.
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
                // A pipe or a device cannot be synced.
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
