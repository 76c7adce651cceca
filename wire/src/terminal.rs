//! Escapes untrusted text before it reaches a terminal. All untrusted text for terminals and logs passes through this
//! module.
//!
//! A message's headers, a problem's detail and a file's name are untrusted. A terminal executes some of their
//! characters (control codes, U+009B as well as ESC), reorders others (the bidirectional controls of CVE-2021-42574),
//! and hides others. All of these are shown as escapes, so that people see what the text contains.
//!
//! An escape looks the same as these characters in the text itself: the output is for people, and cannot be parsed
//! back. The exception is [`json`]: a JSON parser restores its escapes.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write},
};

/// The kind of text to escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Part of a line, such as a cell of a table: line ends and tabs are escaped too.
    Line,
    /// Whole lines: line ends and tabs stay.
    Lines,
    /// Whole lines of a formatter that adds colours and has already escaped every ESC of untrusted text.
    Coloured,
    /// A JSON document, whose parser restores the escapes.
    Json,
}

impl Form {
    /// Whether a character must be escaped.
    fn escapes(self, letter: char) -> bool {
        match letter {
            '\n' | '\t' => self == Self::Line,
            '\u{1b}' if self == Self::Coloured => false,
            // Controls: C0, DEL and C1.
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
            // Bidirectional controls.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
            // Line and paragraph separators.
            '\u{2028}' | '\u{2029}' => true,
            // Invisible characters: soft hyphen, joiners, zero-width spaces, fillers, variation selectors, tags.
            '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}' => true,
            _ => false,
        }
    }

    fn escape(self, letter: char, to: &mut String) {
        let written = match (self, letter) {
            (Self::Json, _) => {
                let mut units = [0; 2];
                letter.encode_utf16(&mut units).iter().try_for_each(|unit| write!(to, "\\u{unit:04x}"))
            }
            (_, '\n') => to.write_str("\\n"),
            (_, '\r') => to.write_str("\\r"),
            (_, '\t') => to.write_str("\\t"),
            (_, '\0'..='\u{7f}') => write!(to, "\\x{:02x}", u32::from(letter)),
            _ => write!(to, "\\u{{{:x}}}", u32::from(letter)),
        };
        debug_assert!(written.is_ok(), "a String takes everything");
    }

    /// The text with escapes for the characters that a terminal would execute, reorder or hide.
    pub fn of(self, text: &str) -> Cow<'_, str> {
        if !text.contains(|letter| self.escapes(letter)) {
            return Cow::Borrowed(text);
        }
        let mut escaped = String::with_capacity(text.len() + 16);
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            // CR LF ends a line in HTTP and on Windows; a CR alone would overwrite the line.
            let ends_line = self == Self::Lines && letter == '\r' && letters.peek() == Some(&'\n');
            if self.escapes(letter) && !ends_line {
                self.escape(letter, &mut escaped);
            } else {
                escaped.push(letter);
            }
        }
        Cow::Owned(escaped)
    }
}

/// Part of a line: see [`Form::Line`].
pub fn line(text: &str) -> Cow<'_, str> {
    Form::Line.of(text)
}

/// Whole lines: see [`Form::Lines`].
pub fn lines(text: &str) -> Cow<'_, str> {
    Form::Lines.of(text)
}

/// A JSON document: see [`Form::Json`].
pub fn json(document: &str) -> Cow<'_, str> {
    Form::Json.of(document)
}

/// Bytes that may be text, as whole lines. Bytes that are not UTF-8 become `\xNN`.
pub fn bytes(content: &[u8]) -> String {
    let mut escaped = String::with_capacity(content.len());
    for chunk in content.utf8_chunks() {
        escaped.push_str(&lines(chunk.valid()));
        for byte in chunk.invalid() {
            let written = write!(escaped, "\\x{byte:02x}");
            debug_assert!(written.is_ok(), "a String takes everything");
        }
    }
    escaped
}

/// A writer that escapes text. Each write must end between two characters, as with `write!`, serde_json and log
/// formatters; bytes that are not UTF-8 become U+FFFD.
#[derive(Debug)]
pub struct Escaped<W> {
    to: W,
    form: Form,
}

impl<W: Write> Escaped<W> {
    /// A writer that escapes text and writes it to `to`.
    pub fn new(to: W, form: Form) -> Self {
        Self { to, form }
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write_all(self.form.of(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second, independent list of what a terminal executes, reorders or hides.
    fn is_hostile(letter: char) -> bool {
        letter.is_control()
            || matches!(u32::from(letter), 0x202a..=0x202e | 0x2066..=0x2069 | 0x200b..=0x200f | 0x61c)
            || matches!(u32::from(letter), 0x2028 | 0x2029 | 0xfeff | 0x2060 | 0xad | 0xe0001..=0xe007f)
    }

    #[test]
    fn no_character_that_a_terminal_executes_reorders_or_hides_is_printed() {
        for letter in '\0'..=char::MAX {
            let text = letter.to_string();
            for form in [Form::Line, Form::Lines, Form::Coloured, Form::Json] {
                let stays = match form {
                    Form::Line => "",
                    Form::Lines | Form::Json => "\n\t",
                    Form::Coloured => "\n\t\u{1b}",
                };
                let out = form.of(&text);
                let hostile = out.chars().find(|out| is_hostile(*out) && !stays.contains(*out));
                assert_eq!(hostile, None, "{letter:?} {form:?}");
                assert!(out == text || out.is_ascii(), "{letter:?} became {out:?}");
            }
        }
    }

    #[test]
    fn letters_of_all_scripts_private_use_characters_and_emoji_stay_unchanged() {
        for text in
            ["seven bolts", "Grüße, 你好, שלום, नमस्ते, Ελλάδα", "🚀 €", "\u{e000}\u{10fffd}\u{378}", "C:\\new"]
        {
            assert_eq!(line(text), text);
            assert_eq!(json(text), text);
        }
    }

    #[test]
    fn an_escape_names_its_character() {
        assert_eq!(line("a\u{1b}[31m\u{9b}2J\r\n\t\u{202e}"), r"a\x1b[31m\u{9b}2J\r\n\t\u{202e}");
        assert_eq!(lines("a\tb\r\nc\rd\n"), "a\tb\r\nc\\rd\n");
        assert_eq!(lines("a\r\r\n"), "a\\r\r\n");
        assert_eq!(bytes(b"a\xff\x9b\xc2\x9bz\n"), "a\\xff\\x9b\\u{9b}z\n");
    }

    #[test]
    fn escaped_json_is_parsed_to_the_original_value() {
        let all: String = ('\0'..=char::MAX).collect();
        let document = serde_json::to_string_pretty(&[&all]).unwrap();
        let escaped = json(&document);
        assert_ne!(escaped, document);
        assert_eq!(serde_json::from_str::<Vec<String>>(&escaped).unwrap(), [all]);
    }

    #[test]
    fn a_writer_escapes_the_written_text() {
        let mut to = Vec::new();
        let hostile = "\u{9b}2J";
        writeln!(Escaped::new(&mut to, Form::Lines), "{hostile} ü").unwrap();
        assert_eq!(to, "\\u{9b}2J ü\n".as_bytes());
    }
}
