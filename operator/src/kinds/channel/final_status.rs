//! The final status of a released channel, if foreign finalizers keep the resource. Pure.

use k8s_openapi::jiff::Timestamp;
use restante_crds::{MessageChannel, MessageChannelStatus, condition::kind};

use super::blocked::DELETING;
use crate::reconcile::status::own;
use crate::{
    shared::conditions::{Assertion, conditions},
    shared::finalizer,
};

/// How the deletion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The channel was deleted at its broker, or never was there.
    Deleted,
    /// The broker was not asked, and may still have the channel.
    Released,
}

/// The final status, if foreign finalizers keep the resource. The operator ignores the channel afterwards.
pub(super) fn final_status(
    channel: &MessageChannel,
    operator: &str,
    end: End,
    now: Timestamp,
) -> Option<MessageChannelStatus> {
    let ours = finalizer::of(operator);
    let others: Vec<&str> =
        channel.metadata.finalizers.iter().flatten().map(String::as_str).filter(|one| *one != ours).collect();
    if others.is_empty() {
        return None;
    }
    let what = match end {
        End::Deleted => "the channel is deleted, and its broker does not have it",
        End::Released => "the channel is deleted, and the operator has released it",
    };
    let message =
        format!("{what}; the resource stays until these finalizers are removed: {}", others.join(", "));
    let old = own(channel);
    let generation = channel.metadata.generation;
    let fails = |kind| Assertion::fails(kind, DELETING, message.clone());
    let asserted = [kind::PROGRAMMED, kind::READY].map(fails);
    let mut reported = old.conditions.clone();
    reported.retain(|condition| condition.type_ == kind::ACCEPTED);
    reported.extend(conditions(&old.conditions, generation, now, asserted));
    Some(MessageChannelStatus {
        observed_generation: generation,
        conditions: reported,
        push_url: None,
        pull_url: None,
        backlog: None,
        ..old
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::channel::blocked::tests::programmed;

    fn reported(finalizers: &[&str], end: End) -> Option<MessageChannelStatus> {
        let mut channel = programmed();
        channel.metadata.finalizers = Some(finalizers.iter().map(|one| (*one).to_owned()).collect());
        final_status(&channel, "mq", end, Timestamp::from_second(200).unwrap())
    }

    #[test]
    fn a_channel_without_foreign_finalizers_has_no_final_status() {
        assert_eq!(reported(&["restante.dev/mq"], End::Deleted), None);
    }

    #[test]
    fn the_final_status_names_the_foreign_finalizers() {
        let status = reported(&["restante.dev/mq", "example.com/a", "example.com/b"], End::Deleted).unwrap();
        let kinds: Vec<_> =
            status.conditions.iter().map(|one| (&*one.type_, &*one.status, &*one.reason)).collect();
        let expected = [
            ("Accepted", "True", "Accepted"),
            ("Programmed", "False", "Deleting"),
            ("Ready", "False", "Deleting"),
        ];
        assert_eq!(kinds, expected);
        let message = &status.conditions[2].message;
        assert!(message.ends_with("removed: example.com/a, example.com/b"), "{message}");
        assert!(message.contains("does not have it"), "{message}");
        let remove_finalizer = reported(&["example.com/a"], End::Released).unwrap();
        assert!(!remove_finalizer.conditions[2].message.contains("does not have it"));
        assert_eq!((status.push_url, status.backlog), (None, None));
    }
}
