//! The channels that changed in Kubernetes since a broker's task last looked.

use std::collections::HashMap;

use kube::{core::DeserializeGuard, runtime::reflector::ObjectRef};
use restante_crds::MessageChannel;
use uuid::Uuid;

/// More changes than this count as a change of every channel, so that the list stays bounded.
const CHANGES_MAX: usize = 10_000;

/// A reference to a MessageChannel in the store.
pub(super) type ChannelRef = ObjectRef<DeserializeGuard<MessageChannel>>;

/// Changed channels.
#[derive(Debug)]
pub(super) enum Changes {
    /// Any channel may have changed.
    All,
    /// These channels, by UID.
    Some(HashMap<Uuid, ChannelRef>),
}

impl Default for Changes {
    fn default() -> Self {
        Self::Some(HashMap::new())
    }
}

impl Changes {
    pub(super) fn add(&mut self, uid: Uuid, channel: ChannelRef) {
        if let Self::Some(changed) = self {
            changed.insert(uid, channel);
            if changed.len() > CHANGES_MAX {
                *self = Self::All;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_many_changes_are_a_change_of_every_channel() {
        let mut changes = Changes::default();
        for number in 0..=CHANGES_MAX as u128 {
            assert!(matches!(changes, Changes::Some(_)));
            changes.add(Uuid::from_u128(number), ObjectRef::new("orders").within("acme"));
        }
        assert!(matches!(changes, Changes::All));
    }
}
