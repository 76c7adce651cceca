//! Triggers reconciles of objects that did not change in Kubernetes. Repeats are dropped, so that the queue stays
//! bounded.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{Stream, stream};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

/// Above this length, each addition removes repeats from the queue.
const REPEATS_MAX: usize = 100_000;

/// Objects to reconcile.
#[derive(Debug)]
pub struct Triggers<K: kube::runtime::reflector::Lookup<DynamicType = ()> + 'static> {
    waiting: Arc<(Mutex<VecDeque<ObjectRef<K>>>, Notify)>,
}

impl<K: kube::runtime::reflector::Lookup<DynamicType = ()>> Clone for Triggers<K> {
    fn clone(&self) -> Self {
        Self { waiting: Arc::clone(&self.waiting) }
    }
}

impl<K: kube::runtime::reflector::Lookup<DynamicType = ()>> Default for Triggers<K> {
    fn default() -> Self {
        Self { waiting: Arc::default() }
    }
}

impl<K: kube::runtime::reflector::Lookup<DynamicType = ()> + 'static> Triggers<K> {
    /// Triggers a reconcile of these objects.
    pub fn extend(&self, objects: impl IntoIterator<Item = ObjectRef<K>>) {
        let (waiting, arrived) = &*self.waiting;
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(objects);
        // The controller's own queue drops repeats. This queue must only stay bounded while the controller does not
        // read it.
        if waiting.len() > REPEATS_MAX {
            let mut seen = std::collections::HashSet::new();
            waiting.retain(|object| seen.insert(object.clone()));
        }
        arrived.notify_one();
    }

    /// The triggered objects. There must be only one reader.
    pub fn stream(&self) -> impl Stream<Item = ObjectRef<K>> + Send + 'static
    where
        ObjectRef<K>: Send,
    {
        stream::unfold(Arc::clone(&self.waiting), |waiting| async move {
            loop {
                let next = waiting.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                match next {
                    Some(object) => return Some((object, waiting)),
                    None => waiting.1.notified().await,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use restante_crds::MessageChannel;

    use super::*;

    #[tokio::test]
    async fn triggers_are_kept_until_the_stream_is_polled() {
        let triggers: Triggers<MessageChannel> = Triggers::default();
        let mut stream = std::pin::pin!(triggers.stream());
        triggers.extend(["a", "b"].map(ObjectRef::new));
        assert_eq!(stream.next().await.unwrap().name, "a");
        assert_eq!(stream.next().await.unwrap().name, "b");
    }

    #[test]
    fn repeats_are_dropped() {
        let triggers: Triggers<MessageChannel> = Triggers::default();
        triggers.extend((0..=REPEATS_MAX).map(|number| ObjectRef::new(&format!("c{}", number % 7))));
        assert_eq!(lock(&triggers), 7);
    }

    fn lock(triggers: &Triggers<MessageChannel>) -> usize {
        triggers.waiting.0.lock().unwrap().len()
    }
}
