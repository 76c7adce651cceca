//! The threads of a broker: each owns a shard, runs the work beside the requests, and calls the shards of others by
//! mail.

mod cut;
mod mailbox;
mod push;
mod redrive;
mod relay;
mod router;
mod shards;
mod shared_shard;
pub mod tasks;

pub use mailbox::{Mailbox, MailboxDriver};
pub use redrive::Redrive;
pub use relay::send_parcels;
pub use router::Router;
pub use shards::Shards;
pub use shared_shard::SharedShard;
