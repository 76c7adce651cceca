//! The credential of the control port.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use restante_wire::control_token::{
    CONTROL_TOKEN_FILE_BYTES, ControlTokenError, MAKE_CONTROL_TOKEN, control_token,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The bearer token, kept as its hash: all hashes have the same length, and comparing them reveals nothing about the
/// token.
#[derive(Clone)]
pub struct Token([u8; 32]);

/// Why a file has no valid token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the control port's token {path} (--control-token-file): {source}", path = path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The content of the file is not a token.
    #[error(
        "the control port's token {path} (--control-token-file) {source}; make one by: {MAKE_CONTROL_TOKEN} > {path}",
        path = path.display()
    )]
    Malformed {
        /// The path of the file.
        path: PathBuf,
        /// Why the content is not a token.
        source: ControlTokenError,
    },
}

impl Token {
    /// Reads the token from a file.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        Ok(Self(Sha256::digest(read(path)?).into()))
    }

    /// Whether `claimed` is the token. Takes constant time, so that the duration does not reveal how much of it is
    /// right.
    pub(super) fn is(&self, claimed: &[u8]) -> bool {
        let claimed: [u8; 32] = Sha256::digest(claimed).into();
        self.0.ct_eq(&claimed).into()
    }
}

/// Reads the text of the token from a file.
pub(crate) fn read(path: &Path) -> Result<String, TokenError> {
    let mut text = Vec::new();
    // The file may be a pipe or a device without an end; anything longer than this is not a token.
    let read = File::open(path).and_then(|file| file.take(CONTROL_TOKEN_FILE_BYTES).read_to_end(&mut text));
    read.map_err(|source| TokenError::Io { path: path.to_owned(), source })?;
    let token = control_token(&text).map(str::to_owned);
    token.map_err(|source| TokenError::Malformed { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_the_exact_line_of_the_token_file_is_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "a-token-that-nobody-guesses-at-all\n").unwrap();
        let token = Token::read(&path).unwrap();
        assert!(token.is(b"a-token-that-nobody-guesses-at-all"));
        let near: [&[u8]; 3] =
            [b"a-token-that-nobody-guesses-at-alL", b"a-token-that-nobody-guesses-at-all\n", b""];
        assert!(near.into_iter().all(|other| !token.is(other)));
    }

    #[test]
    fn a_file_without_a_valid_token_is_refused_with_its_name_the_fault_and_advice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (text, wrong) in [
            ("", "is empty"),
            ("sixteen-or-more-c", "fewer than 32"),
            ("two lines, each of them long enough\nof them", "more than one line"),
            ("with a space in it and yet long enough", "position 5"),
            (&"x".repeat(1 << 20), "longer than 4096"),
        ] {
            fs::write(&path, text).unwrap();
            let error = Token::read(&path).err().unwrap().to_string();
            for part in [wrong, &path.display().to_string(), "--control-token-file", "/dev/urandom"] {
                assert!(error.contains(part), "{error}");
            }
        }
        assert!(matches!(Token::read(&folder.path().join("none")), Err(TokenError::Io { .. })));
    }
}
