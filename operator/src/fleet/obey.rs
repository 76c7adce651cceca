//! A broker's task, obeying: deletions that a finalizer asks for. Only here is anything deleted at a broker.

use restante_wire::ProblemType;
use tokio::time::Instant;
use uuid::Uuid;

use super::{actor::Actor, member::Command, outcome::Deletion};

impl Actor {
    pub(super) async fn obey(&mut self, command: Command) {
        match command {
            Command::Delete { uid, force, reply } => {
                let deletion = self.delete(uid, force).await;
                if matches!(deletion, Deletion::Deleted(_)) {
                    self.released.insert(uid);
                    self.pace.forget(uid);
                    self.member.wake();
                }
                // Whoever asked may have given up; the next reconcile asks again, and a repeat is harmless.
                let _gave_up = reply.send(deletion);
            }
            Command::LetGo { uid, reply } => {
                self.released.insert(uid);
                self.pace.forget(uid);
                self.member.wake();
                let _gave_up = reply.send(());
            }
        }
    }

    async fn delete(&mut self, uid: Uuid, force: bool) -> Deletion {
        self.see_pods(Instant::now());
        if self.links.is_empty() {
            return Deletion::Unreachable(format!("no pod of MessageBroker {} runs", self.member.name));
        }
        let token = self.member.facts().token;
        let mut messages = 0;
        for link in self.links.values_mut() {
            let control = link.control(&self.around.http, &token);
            match control.delete(uid, force).await {
                Ok(deleted) => {
                    messages += deleted.messages;
                    if let Some(known) = &mut link.known.channels {
                        known.remove(&uid);
                    }
                    link.known.store = Some(deleted.store);
                }
                Err(error) if error.problem_type() == Some(ProblemType::ChannelNotEmpty) => {
                    // The last message may have gone meanwhile: that is known at the next try.
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
