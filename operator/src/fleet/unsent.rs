//! The channels that no pod was ever sent: they hold nothing, and are let go without asking anyone.
//!
//! Kept in memory and not in statuses, whose write may be lost after a channel was sent. An operator puts its finalizer on a
//! channel before it sends it: one that did so, and sent it to no pod, knows that nobody did.

use std::{collections::HashSet, sync::Mutex};

use restante_crds::{MessageChannel, condition::kind};
use uuid::Uuid;

use super::{actor::uid_of, desired::Desired, member::lock};
use crate::conditions::is_true;

/// The channels that this process knows to have been sent to no pod.
#[derive(Debug, Default)]
pub struct Unsent(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Those that this process put the finalizer on. Not twice: they may have been sent after the first time.
    begun: HashSet<Uuid>,
    unsent: HashSet<Uuid>,
}

impl Unsent {
    /// The finalizer is put on a channel. One whose status names its broker had it before, and may have been sent.
    pub fn begin(&self, channel: &MessageChannel) {
        let was_held = channel
            .status
            .as_ref()
            .is_some_and(|status| status.broker.is_some() || is_true(&status.conditions, kind::PROGRAMMED));
        if let (Some(uid), false) = (uid_of(channel), was_held) {
            let mut known = lock(&self.0);
            if known.begun.insert(uid) {
                known.unsent.insert(uid);
            }
        }
    }

    /// Whether no pod was ever sent the channel, for sure.
    pub fn contains(&self, uid: Uuid) -> bool {
        lock(&self.0).unsent.contains(&uid)
    }

    /// A pod is about to be sent these, or shows that it has them.
    pub(super) fn send(&self, desired: &Desired) {
        lock(&self.0).unsent.retain(|uid| !desired.channels().contains_key(uid));
    }

    /// Forgets a channel that is gone.
    pub fn forget(&self, uid: &str) {
        if let Ok(uid) = uid.parse() {
            let mut known = lock(&self.0);
            known.begun.remove(&uid);
            known.unsent.remove(&uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use restante_crds::MessageChannelStatus;
    use serde_json::json;

    use super::*;

    fn channel(number: u128, broker: Option<&str>) -> MessageChannel {
        let mut channel: MessageChannel = serde_json::from_value(json!({
            "apiVersion": "restante.dev/v1alpha1",
            "kind": "MessageChannel",
            "metadata": { "name": format!("c{number}"), "namespace": "acme", "uid": Uuid::from_u128(number), "generation": 1 },
            "spec": { "access": { "anonymous": true } },
        }))
        .unwrap();
        channel.status = Some(MessageChannelStatus { broker: broker.map(Into::into), ..Default::default() });
        channel
    }

    #[test]
    fn a_channel_is_unsent_until_a_set_with_it_is_about_to_be_sent() {
        let unsent = Unsent::default();
        let channels = [1, 2].map(|number| channel(number, None));
        channels.iter().for_each(|channel| unsent.begin(channel));
        let mut desired = Desired::default();
        desired.update(&channels[..1], &HashSet::new());
        unsent.send(&desired);
        unsent.begin(&channels[0]);
        assert!(!unsent.contains(Uuid::from_u128(1)) && unsent.contains(Uuid::from_u128(2)));
        unsent.forget(&Uuid::from_u128(2).to_string());
        assert!(!unsent.contains(Uuid::from_u128(2)));
    }

    #[test]
    fn a_channel_that_had_the_finalizer_before_may_have_been_sent() {
        let unsent = Unsent::default();
        unsent.begin(&channel(1, Some("mq/default")));
        assert!(!unsent.contains(Uuid::from_u128(1)));
    }
}
