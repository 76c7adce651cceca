//! Prints messages as bytes of an answer, part by part. So printing a large message does not delay the other requests
//! of its thread, and an answer takes no more memory than its messages and one part of their text.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use restante_wire::batch::DeliveredHead;

/// The size of a part of a content: a multiple of three, so that base64 can be printed in parts. Printing a part takes
/// some 50 µs.
const PART_BYTES: usize = 48 * 1024;
/// How many bytes are checked for UTF-8 at a time.
const CHECKED_BYTES: usize = 256 * 1024;

/// The progress of printing one message.
#[derive(Debug)]
pub(in crate::api) struct Printing {
    head: Vec<u8>,
    body: Bytes,
    /// The number of bytes of the body that this step has processed.
    at: usize,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// JSON: check whether the content is UTF-8.
    CheckUtf8,
    Text,
    Base64,
    /// JSON: the head's fields, which follow the content in the same object.
    Head,
    Frame,
    /// The content of a frame.
    Bytes,
    Done,
}

/// The result of printing one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Printed {
    /// A part was printed, and there is more.
    Some,
    /// Nothing was printed yet, and there is more.
    Nothing,
    /// The message is complete.
    All,
}

impl Printing {
    /// As one JSON object, the content first.
    pub(in crate::api) fn json(head: &DeliveredHead, body: Bytes) -> Self {
        Self { head: json(head), body, at: 0, step: Step::CheckUtf8 }
    }

    /// As a frame of [`restante_wire::batch::FRAMES_CONTENT_TYPE`].
    pub(in crate::api) fn frame(head: &DeliveredHead, body: Bytes) -> Self {
        Self { head: json(head), body, at: 0, step: Step::Frame }
    }

    /// Prints the next part.
    pub(in crate::api) fn print(&mut self, out: &mut Vec<u8>) -> Printed {
        let rest = &self.body[self.at..];
        match self.step {
            Step::CheckUtf8 => match utf8_bytes(rest) {
                Some(bytes) => {
                    self.at += bytes;
                    if self.at < self.body.len() {
                        return Printed::Nothing;
                    }
                    out.extend(br#"{"content":""#);
                    (self.at, self.step) = (0, Step::Text);
                }
                None => {
                    out.extend(br#"{"content64":""#);
                    (self.at, self.step) = (0, Step::Base64);
                }
            },
            Step::Text => {
                let text =
                    std::str::from_utf8(rest).unwrap_or_else(|_| unreachable!("the first step checked it"));
                let part = &text[..text.floor_char_boundary(PART_BYTES)];
                let start = out.len();
                serde_json::to_writer(&mut *out, part).expect("a text is JSON");
                // Remove the quotes that serde_json puts around the part.
                out.pop();
                out.remove(start);
                self.at += part.len();
                self.when_at_end(Step::Head);
            }
            Step::Base64 => {
                let part = &rest[..rest.len().min(PART_BYTES)];
                let start = out.len();
                out.resize(start + part.len().div_ceil(3) * 4, 0);
                STANDARD.encode_slice(part, &mut out[start..]).expect("there is room for it");
                self.at += part.len();
                self.when_at_end(Step::Head);
            }
            Step::Head => {
                // The head's fields continue the object after the content.
                out.extend(b"\",");
                out.extend_from_slice(&self.head[1..]);
                self.step = Step::Done;
            }
            Step::Frame => {
                out.extend((4 + self.head.len() as u32 + self.body.len() as u32).to_be_bytes());
                out.extend((self.head.len() as u32).to_be_bytes());
                out.extend_from_slice(&self.head);
                self.step = Step::Bytes;
                self.when_at_end(Step::Done);
            }
            Step::Bytes => {
                let part = &rest[..rest.len().min(PART_BYTES)];
                out.extend_from_slice(part);
                self.at += part.len();
                self.when_at_end(Step::Done);
            }
            Step::Done => {}
        }
        if self.step == Step::Done { Printed::All } else { Printed::Some }
    }

    fn when_at_end(&mut self, next: Step) {
        if self.at == self.body.len() {
            self.step = next;
        }
    }
}

fn json(head: &DeliveredHead) -> Vec<u8> {
    serde_json::to_vec(head).expect("an item's head has only JSON's own types")
}

/// The number of bytes of the next part that are UTF-8, or `None` if the part is not UTF-8.
fn utf8_bytes(rest: &[u8]) -> Option<usize> {
    let part = &rest[..rest.len().min(CHECKED_BYTES)];
    match std::str::from_utf8(part) {
        Ok(_) => Some(part.len()),
        // The end of the part cuts a character, and it is not the end of the content.
        Err(error) if error.error_len().is_none() && part.len() < rest.len() => Some(error.valid_up_to()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use restante_wire::batch::{Content, DeliveredItem, encode_frame};

    use super::*;

    fn head() -> DeliveredHead {
        DeliveredHead { id: "019ab7c2".into(), deliveries: 1, ..DeliveredHead::default() }
    }

    /// All of a message, and the longest part of it.
    fn printed(mut printing: Printing) -> (Vec<u8>, usize) {
        let (mut all, mut longest) = (Vec::new(), 0);
        loop {
            let mut part = Vec::new();
            let printed = printing.print(&mut part);
            longest = longest.max(part.len());
            all.append(&mut part);
            if printed == Printed::All {
                return (all, longest);
            }
        }
    }

    fn json_of(body: &[u8]) -> Vec<u8> {
        serde_json::to_vec(&DeliveredItem { content: Content(body.to_vec()), head: head() }).unwrap()
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        encode_frame(&head(), body, &mut frame);
        frame
    }

    #[test]
    fn a_large_message_is_printed_in_small_parts() {
        for body in [vec![b'x'; 1 << 20], vec![0xff; 1 << 20], vec![1; 1 << 20]] {
            let (all, longest) = printed(Printing::json(&head(), body.clone().into()));
            assert!(all == json_of(&body) && longest <= 6 * PART_BYTES, "{longest}");
            let (all, longest) = printed(Printing::frame(&head(), body.clone().into()));
            assert!(all == frame(&body) && longest <= PART_BYTES, "{longest}");
        }
    }

    proptest! {
        #[test]
        fn the_parts_of_any_printed_body_add_up_to_the_whole(
            start in prop::collection::vec(any::<u8>(), 0..20),
            text in "\\PC{0,40}",
            times in 0_usize..9000,
        ) {
            for body in [start.clone(), text.repeat(times).into_bytes(), [text.repeat(times).as_bytes(), &start].concat()] {
                prop_assert!(printed(Printing::json(&head(), body.clone().into())).0 == json_of(&body));
                prop_assert!(printed(Printing::frame(&head(), body.clone().into())).0 == frame(&body));
            }
        }
    }
}
