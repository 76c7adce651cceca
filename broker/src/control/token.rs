//! The credential of the control port.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The fewest characters of a token: what nobody guesses over a network. The operator draws 32 random bytes.
const TOKEN_BYTES_MIN: usize = 16;
/// The most: a header line of common servers and proxies holds 8 KiB.
const TOKEN_BYTES_MAX: usize = 4096;
/// How much of the file is read: a token with much white space around it.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The credential, kept as its hash: hashes have one length, and comparing them tells nothing about the token.
#[derive(Clone)]
pub struct Token([u8; 32]);

/// Why a file holds no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("cannot read the control port's token {path} (--control-token-file): {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is no token.
    #[error(
        "{path} (--control-token-file) holds no token: it must be one line of {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} \
         visible ASCII characters, such as `head -c 32 /dev/urandom | base64`",
        path = path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl Token {
    /// Reads the token from a file, white space around it left out.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let mut text = Vec::new();
        // From wherever it comes, and not for ever: what is longer is no token.
        let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut text));
        read.map_err(|source| TokenError::Io { path: path.to_owned(), source })?;
        Self::new(text.trim_ascii()).ok_or_else(|| TokenError::Malformed { path: path.to_owned() })
    }

    fn new(text: &[u8]) -> Option<Self> {
        let fits = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&text.len());
        (fits && text.iter().all(u8::is_ascii_graphic)).then(|| Self(Sha256::digest(text).into()))
    }

    /// Whether this is the token, in a time that does not tell how nearly.
    pub(super) fn is(&self, claimed: &[u8]) -> bool {
        let claimed: [u8; 32] = Sha256::digest(claimed).into();
        self.0.ct_eq(&claimed).into()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_token_is_one_line_of_visible_characters() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, " a-token-of-some-length\n").unwrap();
        let token = Token::read(&path).unwrap();
        assert!(token.is(b"a-token-of-some-length"));
        assert!(
            !token.is(b"a-token-of-some-lengtH") && !token.is(b"a-token-of-some-length\n") && !token.is(b"")
        );
        for bad in [
            "",
            "\n",
            "short",
            "two lines, each\nof them long enough",
            "with a space in it ",
            &"x".repeat(5000),
        ] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(Token::read(&path), Err(TokenError::Malformed { .. })), "{bad:?}");
        }
        assert!(matches!(Token::read(&folder.path().join("none")), Err(TokenError::Io { .. })));
    }
}
