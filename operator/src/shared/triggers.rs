//! Triggers reconciles of objects that did not change in Kubernetes. Repeats are dropped, so that the queue stays
//! bounded.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{Stream, stream};
use kube::runtime::reflector::{Lookup, ObjectRef};
use tokio::sync::Notify;

/// Objects to reconcile, each at most once.
#[derive(Debug)]
pub struct Triggers<K: Lookup<DynamicType = ()> + 'static> {
    waiting: Arc<(Mutex<Waiting<K>>, Notify)>,
}

#[derive(Debug)]
struct Waiting<K: Lookup<DynamicType = ()> + 'static> {
    order: VecDeque<ObjectRef<K>>,
    objects: HashSet<ObjectRef<K>>,
}

impl<K: Lookup<DynamicType = ()>> Clone for Triggers<K> {
    fn clone(&self) -> Self {
        Self { waiting: Arc::clone(&self.waiting) }
    }
}

impl<K: Lookup<DynamicType = ()>> Default for Triggers<K> {
    fn default() -> Self {
        let waiting = Waiting { order: VecDeque::new(), objects: HashSet::new() };
        Self { waiting: Arc::new((Mutex::new(waiting), Notify::new())) }
    }
}

impl<K: Lookup<DynamicType = ()> + 'static> Triggers<K> {
    /// Triggers a reconcile of these objects.
    pub fn extend(&self, objects: impl IntoIterator<Item = ObjectRef<K>>) {
        let (waiting, arrived) = &*self.waiting;
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for object in objects {
            if waiting.objects.insert(object.clone()) {
                waiting.order.push_back(object);
            }
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
                let next = waiting.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
                match next {
                    Some(object) => return Some((object, waiting)),
                    None => waiting.1.notified().await,
                }
            }
        })
    }
}

impl<K: Lookup<DynamicType = ()> + 'static> Waiting<K> {
    fn pop(&mut self) -> Option<ObjectRef<K>> {
        let object = self.order.pop_front()?;
        self.objects.remove(&object);
        Some(object)
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
        // What was taken is triggered again.
        triggers.extend(["a"].map(ObjectRef::new));
        assert_eq!(stream.next().await.unwrap().name, "b");
        assert_eq!(stream.next().await.unwrap().name, "a");
    }

    #[test]
    fn repeats_are_dropped() {
        let triggers: Triggers<MessageChannel> = Triggers::default();
        triggers.extend((0..1_000).map(|number| ObjectRef::new(&format!("c{}", number % 7))));
        triggers.extend([ObjectRef::new("c3")]);
        assert_eq!(triggers.waiting.0.lock().unwrap().order.len(), 7);
    }
}
