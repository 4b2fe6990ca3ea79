//! The objects that are to be looked at.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use super::stores::reference;
use crate::config::ObjectKey;
use crate::object::Object;

/// Takes objects that are to be looked at, for the kinds that are.
///
/// A queue has no bound of its own: it is emptied at once into a set, which has every object once.
#[derive(Default)]
pub(crate) struct Queues(BTreeMap<&'static str, mpsc::UnboundedSender<ObjectKey>>);

/// The objects of a kind that are to be looked at, as they come.
pub(crate) struct Next<K>(mpsc::UnboundedReceiver<ObjectKey>, PhantomData<fn() -> K>);

impl Queues {
    /// Has objects of a kind looked at by who takes them.
    pub(crate) fn add<K: Object>(&mut self) -> Next<K> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.insert(K::KIND, sender);
        Next(receiver, PhantomData)
    }

    /// Has an object looked at.
    pub(crate) fn push(&self, key: &ObjectKey) {
        if let Some(queue) = self.0.get(key.kind.as_str()) {
            // Nobody takes it where the process ends.
            let _ = queue.send(key.clone());
        }
    }
}

impl<K: Object> Stream for Next<K> {
    type Item = Result<ObjectRef<K>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.0.poll_recv(context);
        next.map(|it| it.map(|key| Ok(reference(&key))))
    }
}
