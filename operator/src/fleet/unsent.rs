//! The channels that were never sent to a pod. They have no messages, so they are released without asking a broker.
//!
//! The list is in memory and not in statuses, because a status write may be lost after the channel was sent. An
//! operator adds its finalizer to a channel before it sends the channel. If this process added the finalizer and did
//! not send the channel, no operator has sent it.

use std::{collections::HashSet, sync::Mutex};

use restante_crds::{MessageChannel, condition::kind};
use uuid::Uuid;

use super::{actor::uid_of, desired::Desired, member::lock};
use crate::shared::conditions::is_true;

/// The channels that, as this process knows, were sent to no pod.
#[derive(Debug, Default)]
pub struct Unsent(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Channels to which this process added the finalizer. A channel whose finalizer is added a second time may have
    /// been sent after the first time.
    begun: HashSet<Uuid>,
    unsent: HashSet<Uuid>,
}

impl Unsent {
    /// Records that the finalizer is being added to a channel. A channel whose status names its broker had the
    /// finalizer before, and may have been sent.
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

    /// Whether the channel was certainly never sent to a pod.
    pub fn contains(&self, uid: Uuid) -> bool {
        lock(&self.0).unsent.contains(&uid)
    }

    /// Records that these channels are about to be sent to a pod.
    pub(super) fn send(&self, channels: impl IntoIterator<Item = Uuid>) {
        let mut known = lock(&self.0);
        for uid in channels {
            known.unsent.remove(&uid);
        }
    }

    /// Records that the complete set is about to be sent to a pod, or that a pod already has it.
    pub(super) fn send_set(&self, desired: &Desired) {
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
        desired.set(&channels[0]);
        desired.update();
        unsent.send_set(&desired);
        unsent.begin(&channels[0]);
        assert!(!unsent.contains(Uuid::from_u128(1)) && unsent.contains(Uuid::from_u128(2)));
        unsent.forget(&Uuid::from_u128(2).to_string());
        assert!(!unsent.contains(Uuid::from_u128(2)));
    }

    #[test]
    fn a_channel_is_unsent_until_it_is_about_to_be_sent_alone() {
        let unsent = Unsent::default();
        for number in [1, 2] {
            unsent.begin(&channel(number, None));
        }
        unsent.send([Uuid::from_u128(1)]);
        assert!(!unsent.contains(Uuid::from_u128(1)) && unsent.contains(Uuid::from_u128(2)));
    }

    #[test]
    fn a_channel_that_had_the_finalizer_before_may_have_been_sent() {
        let unsent = Unsent::default();
        unsent.begin(&channel(1, Some("mq/default")));
        assert!(!unsent.contains(Uuid::from_u128(1)));
    }
}
