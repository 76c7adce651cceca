//! Commands of a broker's task: deletions requested by a finalizer. Only this code deletes channels at a broker.

use restante_wire::ProblemType;
use tokio::time::Instant;
use uuid::Uuid;

use super::{actor::Actor, member::Command, outcome::Deletion};

impl Actor {
    pub(super) async fn execute(&mut self, command: Command) {
        match command {
            Command::Delete { uid, force, store, reply } => {
                let deletion = self.delete(uid, force, store).await;
                if matches!(deletion, Deletion::Deleted(_)) {
                    self.released.insert(uid);
                    self.member.presence.forget(uid);
                    self.member.wake();
                }
                // The caller may have given up. The next reconcile then sends the command again, and repeats have no
                // effect.
                let _gave_up = reply.send(deletion);
            }
            Command::DiscardUnsent { uid, reply } => {
                let is_unsent = self.context.unsent.contains(uid);
                if is_unsent {
                    self.released.insert(uid);
                }
                let _gave_up = reply.send(is_unsent);
            }
            Command::Release { uid, reply } => {
                self.released.insert(uid);
                self.member.presence.forget(uid);
                self.member.wake();
                let _gave_up = reply.send(());
            }
        }
    }

    async fn delete(&mut self, uid: Uuid, force: bool, store: Option<Uuid>) -> Deletion {
        self.update_pods(Instant::now());
        if self.links.is_empty() {
            return Deletion::Unreachable(format!("no pod of MessageBroker {} is running", self.member.name));
        }
        let token = self.member.facts().token;
        let mut messages = 0;
        for link in self.links.values_mut() {
            let control = link.control(&self.context.http, &token);
            // A new pod may have another volume, which knows nothing about the channels of the earlier one.
            if store.is_some() && link.known.store.is_none() {
                match control.revision().await {
                    Ok(shown) => link.known.store = Some(shown),
                    Err(error) => return Deletion::Unreachable(format!("pod {}: {error}", link.pod)),
                }
            }
            let shown = link.known.store.as_ref().map(|shown| shown.store_id);
            if let Some(another) = another(store, shown) {
                return Deletion::AnotherStore(another);
            }
            match control.delete(uid, force).await {
                Ok(deleted) => {
                    // The pod may have been replaced since its last answer.
                    if let Some(another) = another(store, Some(deleted.store.store_id)) {
                        link.known.store = Some(deleted.store);
                        return Deletion::AnotherStore(another);
                    }
                    messages += deleted.messages;
                    if let Some(known) = &mut link.known.channels {
                        known.remove(&uid);
                    }
                    link.known.store = Some(deleted.store);
                }
                Err(error) if error.problem_type() == Some(ProblemType::ChannelNotEmpty) => {
                    // The last message may have left meanwhile. The next try shows that.
                    let stats = control.channel_stats(uid).await.ok();
                    return Deletion::NotEmpty(stats.filter(|stats| stats.messages() > 0));
                }
                Err(error) => return Deletion::Unreachable(format!("pod {}: {error}", link.pod)),
            }
        }
        self.desired.remove(uid);
        Deletion::Deleted(messages)
    }
}

/// The pod's store, if it differs from the expected one.
fn another(expected: Option<Uuid>, shown: Option<Uuid>) -> Option<Uuid> {
    shown.filter(|shown| expected.is_some_and(|expected| expected != *shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_store_counts_only_if_one_is_expected() {
        let [one, other] = [1, 2].map(Uuid::from_u128);
        assert_eq!(another(Some(one), Some(other)), Some(other));
        assert_eq!(another(Some(one), Some(one)), None);
        assert_eq!(another(None, Some(other)), None);
    }
}
