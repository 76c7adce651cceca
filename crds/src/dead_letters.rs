//! Which channels take the dead letters of which, and what is wrong with that.
//!
//! A channel whose dead letters have nowhere to go goes on all the same: they stay in it, dead, and nobody's traffic stops
//! because somebody deleted another channel. It is only told. What must not be is a circle, in which a message that nobody
//! can process would travel for ever: of those that make one, the youngest keeps its dead letters to itself.

use std::collections::HashMap;

use restante_wire::ChannelConfig;

use crate::conflicts::{Claim, by_age};

/// Why the dead letters of a channel do not go where its spec says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeadLetterFault {
    /// There is no such channel at this broker.
    #[error(
        "spec.deadLetter.channelRef: MessageChannel {0} does not exist, is not accepted, or is at another broker. This \
         channel goes on, and keeps the dead letters of the meantime: create that one, or name another"
    )]
    NotFound(String),
    /// The channel is there and takes nothing more.
    #[error(
        "spec.deadLetter.channelRef: MessageChannel {0} is being deleted and takes no more messages. This channel goes \
         on, and keeps its dead letters: name another"
    )]
    Closing(String),
    /// From there they would come back.
    #[error(
        "spec.deadLetter.channelRef: dead letters that go to MessageChannel {0} would come back to this one. This channel \
         goes on, and keeps its dead letters: name another, or none"
    )]
    Cycle(String),
}

impl DeadLetterFault {
    /// The reason as a condition has it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::Closing(_) => "DeadLetterNotFound",
            Self::Cycle(_) => "DeadLetterCycle",
        }
    }

    /// The channel that it names, as `namespace/name`.
    pub fn channel(&self) -> &str {
        match self {
            Self::NotFound(channel) | Self::Closing(channel) | Self::Cycle(channel) => channel,
        }
    }

    /// The channel as its broker is told of it. Where there is nobody to take dead letters, the broker finds that out by
    /// itself, and when somebody is there; a circle it is never told of.
    pub fn defused(&self, config: &ChannelConfig) -> Option<ChannelConfig> {
        matches!(self, Self::Cycle(_)).then(|| {
            let mut config = config.clone();
            config.dead_letter.channel = None;
            config
        })
    }
}

/// Judges the channels that one broker has, all of which won their claims: for each, in the order given, what is wrong
/// with where its dead letters go.
pub fn judge(winners: &[Claim<'_>]) -> Vec<Option<DeadLetterFault>> {
    let places: HashMap<(&str, &str), usize> = winners
        .iter()
        .enumerate()
        .map(|(index, Claim { config, .. })| ((config.namespace.as_str(), config.name.as_str()), index))
        .collect();
    let mut ends = Ends((0..winners.len()).collect());
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
                // The broker leaves dead letters where they are while the target is closing.
                winners[to].config.closing.then_some(DeadLetterFault::Closing(target))
            }
        };
    }
    faults
}

/// For each channel, one further on the way of its dead letters; itself for a channel that keeps its own.
struct Ends(Vec<usize>);

impl Ends {
    /// Where dead letters of a channel end. Every channel on the way is one step from there afterwards, so that a million
    /// channels in a row cost no more than the row.
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

    /// A channel and to which its dead letters go.
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
        let faults = judge(&claims);
        // The order in which they are given says nothing.
        let reversed: Vec<_> = claims.iter().rev().copied().collect();
        assert_eq!(judge(&reversed).into_iter().rev().collect::<Vec<_>>(), faults);
        faults.iter().map(|fault| fault.as_ref().map(DeadLetterFault::reason)).collect()
    }

    #[test]
    fn a_channel_that_is_there_takes_dead_letters_whatever_its_age() {
        assert_eq!(reasons(&[config("orders", "dead"), config("dead", "")]), [None, None]);
        assert_eq!(
            reasons(&[config("dead", ""), config("orders", "dead"), config("bills", "dead")]),
            [None; 3]
        );
    }

    #[test]
    fn a_channel_that_is_not_there_is_told_of_and_the_broker_keeps_looking_for_it() {
        let orders = config("orders", "dead");
        assert_eq!(reasons(std::slice::from_ref(&orders)), [Some("DeadLetterNotFound")]);
        assert_eq!(DeadLetterFault::NotFound("acme/dead".into()).defused(&orders), None);
    }

    #[test]
    fn a_channel_of_the_same_name_in_another_namespace_is_not_there() {
        let elsewhere = ChannelConfig { namespace: "other".into(), ..config("dead", "") };
        assert_eq!(reasons(&[elsewhere, config("orders", "dead")]), [None, Some("DeadLetterNotFound")]);
    }

    #[test]
    fn a_channel_that_drains_takes_no_dead_letters() {
        let draining = ChannelConfig { closing: true, ..config("dead", "") };
        assert_eq!(reasons(&[draining, config("orders", "dead")]), [None, Some("DeadLetterNotFound")]);
    }

    #[test]
    fn the_youngest_of_a_circle_keeps_its_dead_letters_and_the_others_go_on() {
        let circle = [config("a", "b"), config("b", "c"), config("c", "a")];
        assert_eq!(reasons(&circle), [None, None, Some("DeadLetterCycle")]);
        let fault = DeadLetterFault::Cycle("acme/a".into());
        let defused = fault.defused(&circle[2]).unwrap();
        assert_eq!(defused, config("c", ""));
        assert_eq!(reasons(&[circle[0].clone(), circle[1].clone(), defused]), [None; 3]);
    }

    #[test]
    fn a_channel_that_names_itself_is_a_circle() {
        assert_eq!(reasons(&[config("a", "a")]), [Some("DeadLetterCycle")]);
    }

    #[test]
    fn two_ways_to_one_channel_are_no_circle() {
        let configs = [config("d", ""), config("b", "d"), config("c", "d"), config("a", "b")];
        assert_eq!(reasons(&configs), [None; 4]);
    }

    #[test]
    fn a_long_row_is_judged_at_once() {
        let mut row: Vec<_> = (0..50_000).map(|n| config(&format!("c{n}"), &format!("c{}", n + 1))).collect();
        row.push(config("c50000", "c0"));
        let told = reasons(&row);
        assert_eq!(told.iter().flatten().collect::<Vec<_>>(), [&"DeadLetterCycle"]);
        assert_eq!(told[50_000], Some("DeadLetterCycle"));
    }
}
