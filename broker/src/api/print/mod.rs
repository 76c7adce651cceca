//! Messages as bytes of an answer: printed in pieces, each with the messages that it completes.

pub(super) mod item;
mod message;
mod pieces;
mod sending;

pub(super) use message::Printing;
pub(super) use pieces::{Messages, Printer, Stopped, body_of, next_piece, sent};
pub(super) use sending::SendingBody;
