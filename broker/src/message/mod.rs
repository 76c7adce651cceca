//! A message as its sender sent it: its body, and the headers that are kept with it.

mod content;
mod dead_letter_note;
mod kept_headers;

pub use content::{Content, StoredMessage};
pub use dead_letter_note::{DeadLetterNote, Origin, with_note};
pub use kept_headers::{HeadersTooLarge, decode_kept, encode_kept};
