//! Memory of messages and channels, measured by a counting allocator.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bench;
mod counting;
mod idle_channels;
mod queued_messages;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;
