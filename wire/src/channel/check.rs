//! Validation of a channel's configuration.

use uuid::Uuid;

use super::{
    ChannelConfig, DeadLetter,
    bounds::{DEDUPLICATION_WINDOW_SECONDS_MAX, DESTINATIONS_MAX, NAME_BYTES_MAX},
    limits::TTL_SECONDS_MAX,
};
use crate::address::is_label;

/// Why a configuration is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("channel {channel}: {field} {reason}")]
pub struct ConfigError {
    /// The UID of the channel.
    pub uid: Uuid,
    /// `namespace/name` of the channel.
    pub channel: String,
    /// The path of the field in JSON.
    pub field: &'static str,
    /// What is wrong with the field; the sentence continues after its name.
    pub reason: String,
}

/// The path of an invalid field in JSON, and what is wrong with it.
pub(super) type Checked = Result<(), (&'static str, String)>;

impl ChannelConfig {
    /// Checks every bound of this module. The CRD checks them as well, but the broker does not rely on its callers.
    pub fn check(&self) -> Result<(), ConfigError> {
        [self.check_names(), self.check_addresses(), self.delivery.check(), self.limits.check()]
            .into_iter()
            .chain([self.check_dead_letter(), self.check_rest()])
            .collect::<Result<(), _>>()
            .map_err(|(field, reason)| ConfigError {
                uid: self.uid,
                channel: self.qualified_name(),
                field,
                reason,
            })
    }

    fn check_names(&self) -> Checked {
        for (field, text) in [("namespace", &self.namespace), ("name", &self.name)] {
            if text.len() > NAME_BYTES_MAX || !is_label(text) {
                return Err((field, format!("must be a DNS label of at most {NAME_BYTES_MAX} bytes")));
            }
        }
        Ok(())
    }

    fn check_addresses(&self) -> Checked {
        if self.destinations.is_empty() || self.destinations.len() > DESTINATIONS_MAX {
            return Err(("destinations", format!("must be 1 to {DESTINATIONS_MAX} addresses")));
        }
        for (field, address) in
            self.destinations.iter().map(|one| ("destinations", one)).chain([("source", &self.source)])
        {
            if address.namespace() != self.namespace {
                let reason = format!("{address} is not in the channel's namespace {}", self.namespace);
                return Err((field, reason));
            }
        }
        for (index, address) in self.destinations.iter().enumerate() {
            if self.destinations[..index].contains(address) {
                return Err(("destinations", format!("names {address} more than once")));
            }
        }
        Ok(())
    }

    fn check_dead_letter(&self) -> Checked {
        let DeadLetter { channel, ttl_seconds } = &self.dead_letter;
        if let Some(name) = channel {
            if name.len() > NAME_BYTES_MAX || !is_label(name) {
                return Err((
                    "deadLetter.channel",
                    format!("must be a DNS label of at most {NAME_BYTES_MAX} bytes"),
                ));
            }
            if *name == self.name {
                return Err((
                    "deadLetter.channel",
                    "must name another channel; leave it out to keep dead letters in this one".into(),
                ));
            }
        }
        at_most("deadLetter.ttlSeconds", *ttl_seconds, TTL_SECONDS_MAX)
    }

    fn check_rest(&self) -> Checked {
        at_most(
            "deduplicationWindowSeconds",
            self.deduplication_window_seconds,
            DEDUPLICATION_WINDOW_SECONDS_MAX,
        )?;
        self.keep_headers.check().map_err(|reason| ("keepHeaders", reason))?;
        if !self.access.anonymous {
            return Err((
                "access.anonymous",
                "must be true; this broker does not check credentials yet".into(),
            ));
        }
        Ok(())
    }
}

pub(super) fn at_most(field: &'static str, value: u32, max: u32) -> Checked {
    if value > max { Err((field, format!("must be at most {max}"))) } else { Ok(()) }
}

/// A channel for the tests of this crate.
#[cfg(test)]
pub(crate) fn example(name: &str) -> ChannelConfig {
    use crate::Address;
    let uid = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
    ChannelConfig::new(uid, "acme", name, Address::new("acme", name).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change that makes a good configuration a bad one.
    type Spoil = fn(&mut ChannelConfig);

    #[test]
    fn a_configuration_out_of_bounds_is_refused_by_field() {
        assert_eq!(example("orders").check(), Ok(()));
        let spoiled: [(&str, Spoil); 23] = [
            ("namespace", |config| config.namespace = "Acme".into()),
            ("name", |config| config.name = "n".repeat(64)),
            ("destinations", |config| config.destinations.clear()),
            ("destinations", |config| config.destinations.push(config.destinations[0].clone())),
            ("source", |config| config.source = "other/orders".parse().unwrap()),
            ("delivery.maxWaitSeconds", |config| config.delivery.max_wait_seconds = 301),
            ("delivery.waitSeconds", |config| config.delivery.wait_seconds = 21),
            ("delivery.maxLeaseSeconds", |config| config.delivery.max_lease_seconds = 43_201),
            ("delivery.leaseSeconds", |config| config.delivery.lease_seconds = 0),
            ("delivery.maxDeliveries", |config| config.delivery.max_deliveries = 0),
            ("delivery.backoff.maxSeconds", |config| config.delivery.backoff.max_seconds = 43_201),
            ("delivery.backoff.initialSeconds", |config| config.delivery.backoff.initial_seconds = 301),
            ("deadLetter.channel", |config| config.dead_letter.channel = Some("orders".into())),
            ("deadLetter.ttlSeconds", |config| config.dead_letter.ttl_seconds = u32::MAX),
            ("limits.ttlSeconds", |config| config.limits.ttl_seconds = u32::MAX),
            ("limits.maxDelaySeconds", |config| config.limits.max_delay_seconds = u32::MAX),
            ("limits.pushesPerSecond", |config| config.limits.pushes_per_second = u32::MAX),
            ("limits.messages", |config| config.limits.messages = 0),
            ("limits.bytes", |config| config.limits.bytes = 0),
            ("limits.messageBytes", |config| config.limits.message_bytes = (16 << 20) + 1),
            ("limits.messageBytes", |config| config.limits.message_bytes = 0),
            ("limits.messageBytes", |config| config.limits.bytes = config.limits.message_bytes - 1),
            ("access.anonymous", |config| config.access.anonymous = false),
        ];
        for (field, spoil) in spoiled {
            let mut config = example("orders");
            spoil(&mut config);
            assert_eq!(config.check().expect_err(field).field, field);
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let mut value = serde_json::to_value(example("orders")).unwrap();
        value["colour"] = "red".into();
        assert!(serde_json::from_value::<ChannelConfig>(value).unwrap_err().to_string().contains("colour"));
    }

    #[test]
    fn a_channel_of_0_1_0_has_the_defaults_of_later_fields() {
        let mut value = serde_json::to_value(example("orders")).unwrap();
        let object = value.as_object_mut().unwrap();
        for later in
            ["sharedDestination", "paused", "closing", "deadLetter", "expired", "whenFull", "durability"]
        {
            object.remove(later).expect(later);
        }
        for (within, later) in [
            ("delivery", ["maxDeliveries", "backoff", "order"]),
            ("limits", ["ttlSeconds", "maxDelaySeconds", "pushesPerSecond"]),
        ] {
            for field in later {
                object[within].as_object_mut().unwrap().remove(field).expect(field);
            }
        }
        assert_eq!(serde_json::from_value::<ChannelConfig>(value).unwrap(), example("orders"));
    }
}
