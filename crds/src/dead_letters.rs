//! Checks the dead-letter channels of one broker's channels.
//!
//! A channel whose dead-letter channel is missing stays in service: its dead letters stay in it, in the state dead. So
//! the deletion of one channel does not stop the traffic of another; the operator only reports it. A cycle, however,
//! must not exist: a message that no receiver can process would travel in it for ever. In a cycle, the youngest channel
//! keeps its dead letters.

use std::collections::HashMap;

use restante_wire::ChannelConfig;

use crate::conflicts::{Claim, by_age};

/// Why the dead letters of a channel do not go to the channel of its spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeadLetterFault {
    /// The broker has no such channel.
    #[error(
        "spec.deadLetter.channelRef: MessageChannel {0} does not exist, is not accepted, or is at another broker; create \
         it, or name another. Until then, this channel stays in service and keeps its dead letters"
    )]
    NotFound(String),
    /// The dead-letter channel is being deleted and accepts no more messages.
    #[error(
        "spec.deadLetter.channelRef: MessageChannel {0} is being deleted and accepts no more messages; name another. \
         Until then, this channel stays in service and keeps its dead letters"
    )]
    Closing(String),
    /// The dead letters would return to their channel.
    #[error(
        "spec.deadLetter.channelRef: cycle: dead letters in MessageChannel {0} would return to this channel; name \
         another, or none. Until then, this channel stays in service and keeps its dead letters"
    )]
    Cycle(String),
}

impl DeadLetterFault {
    /// The reason in a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::Closing(_) => "DeadLetterNotFound",
            Self::Cycle(_) => "DeadLetterCycle",
        }
    }

    /// The dead-letter channel, as `namespace/name`.
    pub fn channel(&self) -> &str {
        match self {
            Self::NotFound(channel) | Self::Closing(channel) | Self::Cycle(channel) => channel,
        }
    }

    /// The configuration without its dead-letter channel, if that would close a cycle. The broker itself handles a
    /// missing dead-letter channel, and uses it once it exists, but it must never get a cycle.
    pub fn without_cycle(&self, config: &ChannelConfig) -> Option<ChannelConfig> {
        matches!(self, Self::Cycle(_)).then(|| {
            let mut config = config.clone();
            config.dead_letter.channel = None;
            config
        })
    }
}

/// Checks the dead-letter channels of one broker's channels, all of which won their claims. Returns the fault of each
/// channel, in the order given.
pub fn check(winners: &[Claim<'_>]) -> Vec<Option<DeadLetterFault>> {
    let places: HashMap<(&str, &str), usize> = winners
        .iter()
        .enumerate()
        .map(|(index, Claim { config, .. })| ((config.namespace.as_str(), config.name.as_str()), index))
        .collect();
    let mut ends = ChainEnds((0..winners.len()).collect());
    let mut faults = vec![None; winners.len()];
    for index in by_age(winners) {
        let config = winners[index].config;
        let Some(name) = &config.dead_letter.channel else { continue };
        let target = format!("{}/{name}", config.namespace);
        faults[index] = match places.get(&(config.namespace.as_str(), name.as_str())) {
            None => Some(DeadLetterFault::NotFound(target)),
            Some(&to) if ends.of(to) == index => Some(DeadLetterFault::Cycle(target)),
            Some(&to) => {
                ends.0[index] = to;
                // While the target is closing, the broker leaves dead letters in their own channel.
                winners[to].config.closing.then_some(DeadLetterFault::Closing(target))
            }
        };
    }
    faults
}

/// Per channel, the index of a channel further along the path of its dead letters; its own index if it keeps them.
struct ChainEnds(Vec<usize>);

impl ChainEnds {
    /// The index of the channel in which the dead letters of a channel end. Afterwards every channel on the path points
    /// directly to it (path compression), so a chain of a million channels takes linear time.
    fn of(&mut self, index: usize) -> usize {
        let mut end = index;
        while self.0[end] != end {
            end = self.0[end];
        }
        let mut at = index;
        while at != end {
            at = std::mem::replace(&mut self.0[at], end);
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use restante_wire::Address;
    use uuid::Uuid;

    use super::*;

    /// A channel `name` with the dead-letter channel `to`.
    fn config(name: &str, to: &str) -> ChannelConfig {
        let uid = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
        let mut config = ChannelConfig::new(uid, "acme", name, Address::new("acme", name).unwrap());
        config.dead_letter.channel = (!to.is_empty()).then(|| to.to_owned());
        config
    }

    /// The reasons for channels that are given from the oldest to the youngest.
    fn reasons(configs: &[ChannelConfig]) -> Vec<Option<&'static str>> {
        let created = |second: usize| Some(Timestamp::from_second(second as i64).unwrap());
        let claims: Vec<_> =
            configs.iter().enumerate().map(|(age, config)| Claim { config, created: created(age) }).collect();
        let faults = check(&claims);
        // The order of the claims does not matter.
        let reversed: Vec<_> = claims.iter().rev().copied().collect();
        assert_eq!(check(&reversed).into_iter().rev().collect::<Vec<_>>(), faults);
        faults.iter().map(|fault| fault.as_ref().map(DeadLetterFault::reason)).collect()
    }

    #[test]
    fn an_existing_channel_takes_dead_letters_at_any_age() {
        assert_eq!(reasons(&[config("orders", "dead"), config("dead", "")]), [None, None]);
        assert_eq!(
            reasons(&[config("dead", ""), config("orders", "dead"), config("bills", "dead")]),
            [None; 3]
        );
    }

    #[test]
    fn a_missing_dead_letter_channel_is_reported_and_stays_in_the_configuration() {
        let orders = config("orders", "dead");
        assert_eq!(reasons(std::slice::from_ref(&orders)), [Some("DeadLetterNotFound")]);
        assert_eq!(DeadLetterFault::NotFound("acme/dead".into()).without_cycle(&orders), None);
    }

    #[test]
    fn a_channel_of_the_same_name_in_another_namespace_is_not_found() {
        let elsewhere = ChannelConfig { namespace: "other".into(), ..config("dead", "") };
        assert_eq!(reasons(&[elsewhere, config("orders", "dead")]), [None, Some("DeadLetterNotFound")]);
    }

    #[test]
    fn a_channel_that_drains_takes_no_dead_letters() {
        let draining = ChannelConfig { closing: true, ..config("dead", "") };
        assert_eq!(reasons(&[draining, config("orders", "dead")]), [None, Some("DeadLetterNotFound")]);
    }

    #[test]
    fn the_youngest_channel_of_a_cycle_keeps_its_dead_letters() {
        let cycle = [config("a", "b"), config("b", "c"), config("c", "a")];
        assert_eq!(reasons(&cycle), [None, None, Some("DeadLetterCycle")]);
        let fault = DeadLetterFault::Cycle("acme/a".into());
        let without_cycle = fault.without_cycle(&cycle[2]).unwrap();
        assert_eq!(without_cycle, config("c", ""));
        assert_eq!(reasons(&[cycle[0].clone(), cycle[1].clone(), without_cycle]), [None; 3]);
    }

    #[test]
    fn a_channel_that_names_itself_is_a_cycle() {
        assert_eq!(reasons(&[config("a", "a")]), [Some("DeadLetterCycle")]);
    }

    #[test]
    fn two_paths_to_one_channel_are_not_a_cycle() {
        let configs = [config("d", ""), config("b", "d"), config("c", "d"), config("a", "b")];
        assert_eq!(reasons(&configs), [None; 4]);
    }

    #[test]
    fn a_long_chain_is_checked_in_linear_time() {
        let mut row: Vec<_> = (0..50_000).map(|n| config(&format!("c{n}"), &format!("c{}", n + 1))).collect();
        row.push(config("c50000", "c0"));
        let expected = reasons(&row);
        assert_eq!(expected.iter().flatten().collect::<Vec<_>>(), [&"DeadLetterCycle"]);
        assert_eq!(expected[50_000], Some("DeadLetterCycle"));
    }
}
