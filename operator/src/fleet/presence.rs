//! The presence of a broker, whether or not the operator can serve it: its availability for clients, and the channels
//! whose backlog is unknown. A change triggers reconciles of the channels whose status must change.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::runtime::reflector::ObjectRef;
use restante_crds::{
    MessageChannel,
    condition::{self, kind},
};
use tokio::{
    sync::Notify,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    FleetContext, INSPECT_INTERVAL,
    actor::uid_of,
    availability::{Absence, Availability, is_ready, known_before},
    backlog::BacklogLimiter,
    changes::ChannelRef,
    member::lock,
};
use crate::shared::jitter;

/// A broker, served or not.
#[derive(Debug)]
pub struct Presence {
    name: String,
    state: Mutex<State>,
    pub(super) wake: Notify,
}

#[derive(Debug)]
struct State {
    availability: Availability,
    absence: Absence,
    /// The time in the MessageBroker's status since which it has no ready pod. Taken at the first update.
    unready_since: Option<Timestamp>,
    /// Channels whose status must show no backlog, or that wait for their turn to show one again.
    unknown_backlogs: HashSet<Uuid>,
    /// Limits writes and removals of backlogs.
    limiter: BacklogLimiter,
}

impl Presence {
    pub(super) fn new(name: String, unready_since: Option<Timestamp>) -> Self {
        let state = State {
            availability: Availability::default(),
            absence: Absence::default(),
            unready_since,
            unknown_backlogs: HashSet::new(),
            limiter: BacklogLimiter::new(Instant::now()),
        };
        Self { name, state: Mutex::new(state), wake: Notify::new() }
    }

    pub fn availability(&self) -> Availability {
        lock(&self.state).availability
    }

    /// Whether the backlog of a channel is unknown, or may not be written yet.
    pub fn backlog_is_unknown(&self, uid: Uuid) -> bool {
        lock(&self.state).unknown_backlogs.contains(&uid)
    }

    /// When the broker becomes away, unless a pod becomes ready before.
    pub(super) fn due(&self) -> Option<Instant> {
        lock(&self.state).absence.due()
    }

    /// Updates the availability, and triggers the channels that it concerns.
    pub(super) fn update_availability(&self, context: &FleetContext, now: Instant) {
        let pods = context.pods_of(&self.name);
        let pods: Vec<&Pod> = pods.iter().map(Arc::as_ref).collect();
        let is_ready = pods.iter().any(|pod| is_ready(pod));
        let availability = {
            let mut state = lock(&self.state);
            let before = known_before(&pods, state.unready_since.take(), Timestamp::now());
            let availability = state.absence.notice(is_ready, before, now);
            if std::mem::replace(&mut state.availability, availability) == availability {
                return;
            }
            availability
        };
        if availability == Availability::Unsettled {
            return;
        }
        let channels = context.channels.state();
        context.channel_triggers.extend(
            channels
                .iter()
                .filter(|guard| {
                    let concerned = |channel: &MessageChannel| {
                        context.belongs_to(&self.name, channel) && must_change(availability, channel)
                    };
                    guard.0.as_ref().is_ok_and(concerned)
                })
                .map(|guard| ObjectRef::from_obj(guard.as_ref())),
        );
    }

    /// Selects channels whose backlog must be removed from the status, as fast as the limiter allows, and returns them.
    pub(super) fn drop_backlogs(&self, context: &FleetContext, now: Instant) -> HashMap<Uuid, ChannelRef> {
        let shows = |channel: &MessageChannel| {
            channel.status.as_ref().is_some_and(|status| status.backlog.is_some())
                && context.belongs_to(&self.name, channel)
        };
        let State { unknown_backlogs, limiter, .. } = &mut *lock(&self.state);
        let mut news = HashMap::new();
        for guard in context.channels.state() {
            let uid = guard.0.as_ref().ok().filter(|channel| shows(channel)).and_then(uid_of);
            let Some(uid) = uid else { continue };
            if !unknown_backlogs.contains(&uid) && limiter.may_write(uid, now) {
                news.insert(uid, ObjectRef::from_obj(guard.as_ref()));
            }
        }
        unknown_backlogs.extend(news.keys());
        news
    }

    /// Whether a channel's backlog may be written now. If not, a later inspection tries again.
    pub(super) fn may_write(&self, uid: Uuid, now: Instant) -> bool {
        lock(&self.state).limiter.may_write(uid, now)
    }

    /// Sets whether the backlog of a channel is known.
    pub(super) fn set_backlog_known(&self, uid: Uuid, is_known: bool) {
        let unknown_backlogs = &mut lock(&self.state).unknown_backlogs;
        if is_known {
            unknown_backlogs.remove(&uid);
        } else {
            unknown_backlogs.insert(uid);
        }
    }

    /// Forgets a channel that is gone.
    pub(super) fn forget(&self, uid: Uuid) {
        let mut state = lock(&self.state);
        state.limiter.forget(uid);
        state.unknown_backlogs.remove(&uid);
    }

    /// Watches a broker that cannot be served, until `stop` is cancelled.
    pub(super) async fn watch(self: Arc<Self>, context: FleetContext, stop: CancellationToken) {
        let mut seen = context.seen.clone();
        tokio::select! {
            seen = seen.wait_for(|seen| *seen) => if seen.is_err() { return },
            () = stop.cancelled() => return,
        }
        let mut inspect_at = Instant::now();
        loop {
            let now = Instant::now();
            self.update_availability(&context, now);
            if inspect_at <= now {
                inspect_at = now + jitter::around(INSPECT_INTERVAL);
                context.channel_triggers.extend(self.drop_backlogs(&context, now).into_values());
            }
            let due = self.due().map_or(inspect_at, |due| due.min(inspect_at));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = time::sleep_until(due) => {}
            }
        }
    }
}

/// Whether the condition Ready of a channel must change.
fn must_change(availability: Availability, channel: &MessageChannel) -> bool {
    let conditions = channel.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let ready = condition::find(conditions, kind::READY).is_some_and(|ready| ready.status == "True");
    match availability {
        Availability::Ready => !ready,
        Availability::Away => ready,
        Availability::Unsettled => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_channels_whose_ready_must_change_are_reconciled() {
        let channel = |ready: &str| -> MessageChannel {
            let condition = json!({
                "type": "Ready", "status": ready, "reason": "R", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            });
            serde_json::from_value(json!({
                "apiVersion": "restante.dev/v1alpha1",
                "kind": "MessageChannel",
                "metadata": { "name": "orders" },
                "spec": { "access": { "anonymous": true } },
                "status": { "conditions": [condition] },
            }))
            .unwrap()
        };
        for (ready, at_ready, at_away) in
            [("True", false, true), ("False", true, false), ("Unknown", true, false)]
        {
            assert_eq!(must_change(Availability::Ready, &channel(ready)), at_ready, "{ready}");
            assert_eq!(must_change(Availability::Away, &channel(ready)), at_away, "{ready}");
            assert!(!must_change(Availability::Unsettled, &channel(ready)), "{ready}");
        }
    }
}
