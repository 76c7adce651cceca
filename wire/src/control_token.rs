//! The format of the control port's token: one rule for the broker that reads the token, the operator that generates it
//! and keeps it in a Secret, and the commands that send it.

/// The minimum number of characters. The least dense output of generators is hexadecimal, with four bits per character:
/// 32 characters are 128 bits, which cannot be guessed over a network or from a hash (NIST SP 800-131A section 1.2
/// requires 112).
pub const CONTROL_TOKEN_CHARACTERS_MIN: usize = 32;
/// The maximum number of characters: servers and proxies accept header lines of 8 KiB.
pub const CONTROL_TOKEN_CHARACTERS_MAX: usize = 4096;
/// How many bytes of a file must be read to know whether it holds a token: the longest token, the end of its line, and
/// one byte to notice that there is more.
pub const CONTROL_TOKEN_FILE_BYTES: u64 = CONTROL_TOKEN_CHARACTERS_MAX as u64 + 3;

/// Why a text is not a token: a sentence that continues after "the token". It never quotes the text, which may be a
/// secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlTokenError {
    /// The text has no character except the end of a line.
    #[error("is empty")]
    Empty,
    /// The token is so short that it can be guessed.
    #[error(
        "has fewer than {CONTROL_TOKEN_CHARACTERS_MIN} characters (not counting = at its end) and can be guessed"
    )]
    TooShort,
    /// The token is longer than a header line.
    #[error("is longer than {CONTROL_TOKEN_CHARACTERS_MAX} characters")]
    TooLong,
    /// The text has more than one line.
    #[error("has more than one line")]
    Lines,
    /// A character is not allowed in a bearer token (RFC 6750 section 2.1).
    #[error(
        "has an invalid character at position {position}; letters, digits and - . _ ~ + / are valid, and = at the end"
    )]
    Character {
        /// The position of the character, from 1.
        position: usize,
    },
}

/// The command line that generates a token, for error messages.
pub const MAKE_CONTROL_TOKEN: &str = "head -c 32 /dev/urandom | base64";

/// The token in the text of a file or a Secret: one line, with or without a line end. A token is a `b64token` (RFC 6750
/// section 2.1), so it passes through every header unchanged.
pub fn control_token(text: &[u8]) -> Result<&str, ControlTokenError> {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let line = line.strip_suffix(b"\r").filter(|_| line.len() < text.len()).unwrap_or(line);
    if line.is_empty() {
        return Err(ControlTokenError::Empty);
    }
    if line.contains(&b'\n') {
        return Err(ControlTokenError::Lines);
    }
    if line.len() > CONTROL_TOKEN_CHARACTERS_MAX {
        return Err(ControlTokenError::TooLong);
    }
    let padding = line.iter().rev().take_while(|byte| **byte == b'=').count();
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    let (characters, _) = line.split_at(line.len() - padding);
    if let Some(index) = characters.iter().position(|byte| !is_valid(byte)) {
        return Err(ControlTokenError::Character { position: index + 1 });
    }
    // Padding adds no entropy, so it does not count.
    if characters.len() < CONTROL_TOKEN_CHARACTERS_MIN {
        return Err(ControlTokenError::TooShort);
    }
    str::from_utf8(line).map_err(|error| ControlTokenError::Character { position: error.valid_up_to() + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line_with_or_without_a_line_break() {
        let hexadecimal = "0123456789abcdef".repeat(2);
        let base64 = "QmFzZTY0IG9mIDMyIHJhbmRvbSBieXRlcyBsb29rcy4=";
        let longest = "~".repeat(CONTROL_TOKEN_CHARACTERS_MAX);
        for token in [hexadecimal.as_str(), base64, "a-Z_0.9~+/aaaaaaaaaaaaaaaaaaaaaaaa==", &longest] {
            for end in ["", "\n", "\r\n"] {
                assert_eq!(control_token(format!("{token}{end}").as_bytes()), Ok(token), "{token}{end:?}");
            }
        }
        assert!(longest.len() as u64 + 2 < CONTROL_TOKEN_FILE_BYTES);
    }

    #[test]
    fn an_invalid_token_is_refused_with_its_fault() {
        use ControlTokenError::{Character, Empty, Lines, TooLong, TooShort};
        let good = "t".repeat(32);
        let at = |position| Character { position };
        for (text, error) in [
            (String::new(), Empty),
            ("\n".into(), Empty),
            ("\r\n".into(), Empty),
            ("t".repeat(31), TooShort),
            ("changeme".into(), TooShort),
            (format!("{}====================", "t".repeat(31)), TooShort),
            ("=".repeat(40), TooShort),
            ("t".repeat(4097), TooLong),
            (format!("{good}\n{good}"), Lines),
            (format!("{good}\n\n"), Lines),
            (format!("\n{good}"), Lines),
            (format!(" {good}"), at(1)),
            (format!("{good} \n"), at(33)),
            (format!("{good}\r"), at(33)),
            (format!("{good}\0"), at(33)),
            (format!("\u{feff}{good}"), at(1)),
            (format!("Bearer {good}"), at(7)),
            (format!("tt=t{good}"), at(3)),
            (format!("{good}ü"), at(33)),
            (format!("\"{good}\""), at(1)),
        ] {
            assert_eq!(control_token(text.as_bytes()), Err(error), "{text:?}");
        }
        assert_eq!(control_token(&[0xff; 40]), Err(at(1)));
    }

    #[test]
    fn no_refusal_repeats_the_token() {
        let error = control_token(b"hunter2 and then some more of the secret").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
