//! The faults of the dead-letter channels of one broker's channels. After a change of one channel, only the channels
//! that send their dead letters to it, and the channels on a cycle through it, are checked again. Pure.
//!
//! [`dead_letters::check`] has the rules. It gets the channels on the path of a channel's dead letters. No other channel
//! affects the fault.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use restante_crds::{
    conflicts::Claim,
    dead_letters::{self, DeadLetterFault},
};
use restante_wire::ChannelConfig;
use uuid::Uuid;

use super::claims::{Claims, Touched};

/// If more than one in this number of channels changed, all channels are checked together, in linear time. Separate
/// checks of many long paths would take longer.
const CHECK_ALL_SHARE: usize = 4;

/// The faults of the channels that won their claims.
#[derive(Debug, Default)]
pub(super) struct DeadLetters {
    faults: HashMap<Uuid, DeadLetterFault>,
    /// The channels that name a channel, `namespace/name`, as their dead-letter channel.
    senders: HashMap<String, HashSet<Uuid>>,
    /// The channels on a cycle, each with the channel that has the fault.
    cycles: HashMap<Uuid, Uuid>,
}

impl DeadLetters {
    pub(super) fn faults(&self) -> &HashMap<Uuid, DeadLetterFault> {
        &self.faults
    }

    /// Updates the faults after a decision, and returns the channels that were checked.
    pub(super) fn update(&mut self, claims: &Claims, touched: &[Touched]) -> HashSet<Uuid> {
        let mut open = HashSet::new();
        for Touched { uid, before, after } in touched {
            self.replace_target(*uid, before.as_ref(), after.as_ref());
            open.insert(*uid);
            open.extend(self.cycles.get(uid));
        }
        for config in touched.iter().flat_map(|one| [&one.before, &one.after]).flatten() {
            open.extend(self.senders.get(&config.qualified_name()).into_iter().flatten());
        }
        if touched.len() > claims.len() / CHECK_ALL_SHARE {
            open.extend(self.check_all(claims));
            return open;
        }
        for Touched { uid, .. } in touched {
            let path = path(claims, *uid);
            if path.is_cycle {
                open.extend(path.channels.iter().copied().max_by_key(|one| claims.age(*one)));
            }
        }
        for uid in &open {
            let path = path(claims, *uid);
            let on_path: Vec<Claim<'_>> =
                path.channels.iter().filter_map(|uid| claims.winner(*uid)).collect();
            let fault = dead_letters::check(&on_path).into_iter().next().flatten();
            self.set_fault(*uid, fault, &path);
        }
        open
    }

    /// Checks all channels, and returns the channels with a fault now or before.
    fn check_all(&mut self, claims: &Claims) -> HashSet<Uuid> {
        let winners: Vec<Claim<'_>> = claims.winners().collect();
        let found = dead_letters::check(&winners).into_iter();
        let found = winners.iter().zip(found).filter_map(|(claim, fault)| Some((claim.config.uid, fault?)));
        let before = std::mem::replace(&mut self.faults, found.collect());
        self.cycles.clear();
        for (uid, fault) in &self.faults {
            if let DeadLetterFault::Cycle(_) = fault {
                self.cycles.extend(path(claims, *uid).channels.into_iter().map(|one| (one, *uid)));
            }
        }
        before.keys().chain(self.faults.keys()).copied().collect()
    }

    fn set_fault(&mut self, uid: Uuid, fault: Option<DeadLetterFault>, path: &Path) {
        let is_cycle = matches!(fault, Some(DeadLetterFault::Cycle(_)));
        let before = match fault {
            Some(fault) => self.faults.insert(uid, fault),
            None => self.faults.remove(&uid),
        };
        if matches!(before, Some(DeadLetterFault::Cycle(_))) {
            self.cycles.retain(|_, faulty| *faulty != uid);
        }
        if is_cycle {
            self.cycles.extend(path.channels.iter().map(|one| (*one, uid)));
        }
    }

    fn replace_target(
        &mut self,
        uid: Uuid,
        before: Option<&Arc<ChannelConfig>>,
        after: Option<&Arc<ChannelConfig>>,
    ) {
        if let Some(target) = before.and_then(|config| target(config))
            && let Some(senders) = self.senders.get_mut(&target)
        {
            senders.remove(&uid);
            if senders.is_empty() {
                self.senders.remove(&target);
            }
        }
        if let Some(target) = after.and_then(|config| target(config)) {
            self.senders.entry(target).or_default().insert(uid);
        }
    }
}

fn target(config: &ChannelConfig) -> Option<String> {
    let name = config.dead_letter.channel.as_ref()?;
    Some(format!("{}/{name}", config.namespace))
}

/// The path of a channel's dead letters.
struct Path {
    /// The channel, its dead-letter channel, and so on; each once.
    channels: Vec<Uuid>,
    /// Whether the path returns to its first channel.
    is_cycle: bool,
}

fn path(claims: &Claims, from: Uuid) -> Path {
    let (mut channels, mut visited) = (Vec::new(), HashSet::new());
    let mut next = Some(from);
    while let Some(uid) = next {
        let Some(claim) = claims.winner(uid) else { break };
        if !visited.insert(uid) {
            break;
        }
        channels.push(uid);
        let Claim { config, .. } = claim;
        let name = config.dead_letter.channel.as_deref();
        next = name.and_then(|name| claims.winner_of_name(&config.namespace, name));
    }
    Path { channels, is_cycle: next == Some(from) && !visited.is_empty() }
}
