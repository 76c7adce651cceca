//! Input of a push: a file or standard input, whole or line by line.

use std::path::{Path, PathBuf};

use restante_client::options::MESSAGE_BYTES_MAX;
use tokio::{
    fs::File,
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
};

use super::failure::Failure;

/// A file or standard input.
pub(crate) struct Input {
    reader: Box<dyn AsyncBufRead + Unpin>,
    path: PathBuf,
}

impl Input {
    /// Opens a file; `-` is standard input.
    pub(crate) async fn open(path: PathBuf) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::from_reader(tokio::io::stdin(), "standard input".into()));
        }
        match File::open(&path).await {
            Ok(file) => Ok(Self::from_reader(file, path)),
            Err(source) => Err(Failure::Read { path, source }),
        }
    }

    fn from_reader(reader: impl AsyncRead + Unpin + 'static, path: PathBuf) -> Self {
        Self { reader: Box::new(BufReader::new(reader)), path }
    }

    /// Reads to the end, at most the largest message.
    pub(crate) async fn read_all(self) -> Result<Vec<u8>, Failure> {
        let Self { reader, path } = self;
        let mut body = Vec::new();
        match reader.take(MESSAGE_BYTES_MAX + 1).read_to_end(&mut body).await {
            Err(source) => Err(Failure::Read { path, source }),
            Ok(_) if body.len() as u64 > MESSAGE_BYTES_MAX => {
                Err(Failure::TooLarge { path, max: MESSAGE_BYTES_MAX })
            }
            Ok(_) => Ok(body),
        }
    }

    /// Reads the next line without its `\n`, otherwise unchanged; `None` at the end of the input.
    pub(crate) async fn line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut line = Vec::new();
        // One byte more for the newline, and one to detect a line that is too long.
        let mut limited = (&mut self.reader).take(MESSAGE_BYTES_MAX + 2);
        match limited.read_until(b'\n', &mut line).await {
            Err(source) => {
                return Err(Failure::Read { path: self.path.clone(), source });
            }
            Ok(0) => return Ok(None),
            Ok(_) => {}
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.len() as u64 > MESSAGE_BYTES_MAX {
            return Err(Failure::TooLarge { path: self.path.clone(), max: MESSAGE_BYTES_MAX });
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &'static [u8]) -> Vec<Vec<u8>> {
        let mut input = Input::from_reader(text, "test".into());
        let mut lines = Vec::new();
        while let Some(line) = input.line().await.unwrap() {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn a_line_has_the_exact_bytes_before_its_newline() {
        assert_eq!(lines(b"a\n\n b \r\n\xff").await, [&b"a"[..], b"", b" b \r", b"\xff"]);
        assert_eq!(lines(b"").await, Vec::<Vec<u8>>::new());
        assert_eq!(lines(b"a\n").await, [b"a"]);
    }

    #[tokio::test]
    async fn input_above_the_largest_message_is_refused_before_it_fills_the_memory() {
        let endless = || Input::from_reader(tokio::io::repeat(b'x'), "test".into());
        assert!(matches!(endless().read_all().await, Err(Failure::TooLarge { .. })));
        assert!(matches!(endless().line().await, Err(Failure::TooLarge { .. })));
    }
}
