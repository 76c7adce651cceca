//! Messages as bytes of an answer, a part at a time: no message is so large that printing it holds up the other requests of its
//! thread, and no answer takes more memory than its messages and a part of their text.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use restante_wire::batch::DeliveredHead;

/// What is printed of a content at a time: a multiple of three, so that its parts are whole in base64. Printing it takes some
/// 50 µs.
const PART_BYTES: usize = 48 * 1024;
/// What is looked at, at a time, for whether it is UTF-8.
const LOOK_BYTES: usize = 256 * 1024;

/// One message on its way to being printed.
#[derive(Debug)]
pub(super) struct Printing {
    head: Vec<u8>,
    body: Bytes,
    /// How much of the body is done with in this step.
    at: usize,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// JSON: whether it is text.
    Look,
    Text,
    Base64,
    /// JSON: the head, whose object the body began.
    Head,
    Frame,
    /// The frame's body.
    Bytes,
    Done,
}

/// How printing went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Printed {
    /// More is to come.
    Some,
    /// More is to come, and nothing was printed.
    Nothing,
    /// The message is whole.
    All,
}

impl Printing {
    /// As one JSON object, the content first.
    pub(super) fn json(head: &DeliveredHead, body: Bytes) -> Self {
        Self { head: json(head), body, at: 0, step: Step::Look }
    }

    /// As a frame of [`restante_wire::batch::FRAMES_CONTENT_TYPE`].
    pub(super) fn frame(head: &DeliveredHead, body: Bytes) -> Self {
        Self { head: json(head), body, at: 0, step: Step::Frame }
    }

    /// Prints some more.
    pub(super) fn print(&mut self, out: &mut Vec<u8>) -> Printed {
        let rest = &self.body[self.at..];
        match self.step {
            Step::Look => match looked_at(rest) {
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
                let text = std::str::from_utf8(rest).unwrap_or_else(|_| unreachable!("it was looked at"));
                let part = &text[..text.floor_char_boundary(PART_BYTES)];
                let start = out.len();
                serde_json::to_writer(&mut *out, part).expect("a text is JSON");
                // Without the quotes around it.
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
                // The object goes on after the content.
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

/// How many bytes of a part are text; none if they are not.
fn looked_at(rest: &[u8]) -> Option<usize> {
    let part = &rest[..rest.len().min(LOOK_BYTES)];
    match std::str::from_utf8(part) {
        Ok(_) => Some(part.len()),
        // A character that the part cuts, and not the end of all.
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

    fn whole(body: &[u8]) -> Vec<u8> {
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
            assert!(all == whole(&body) && longest <= 6 * PART_BYTES, "{longest}");
            let (all, longest) = printed(Printing::frame(&head(), body.clone().into()));
            assert!(all == frame(&body) && longest <= PART_BYTES, "{longest}");
        }
    }

    proptest! {
        #[test]
        fn parts_are_the_whole_whatever_the_content(
            start in prop::collection::vec(any::<u8>(), 0..20),
            text in "\\PC{0,40}",
            times in 0_usize..9000,
        ) {
            for body in [start.clone(), text.repeat(times).into_bytes(), [text.repeat(times).as_bytes(), &start].concat()] {
                prop_assert!(printed(Printing::json(&head(), body.clone().into())).0 == whole(&body));
                prop_assert!(printed(Printing::frame(&head(), body.clone().into())).0 == frame(&body));
            }
        }
    }
}
