//! Calls to others, and their answers.

use std::sync::Arc;

use super::{Engine, Owner};
use crate::{
    disposition::Failure,
    node::{Call, Opaque},
    task::{EntryId, Event},
};

pub(super) struct Answer {
    owner: Owner,
    entry: EntryId,
    call: u32,
    result: Result<Opaque, Failure>,
}

impl Engine {
    pub(super) fn call(&self, owner: Owner, entry: EntryId, call: u32, wanted: Call) {
        let answers = self.answers.0.clone();
        let waker = self.equipment.waker.clone();
        let room = Arc::clone(&self.equipment.calls);
        let answered = async move {
            let result = wanted.within(room).await;
            if answers.send(Answer { owner, entry, call, result }).is_err() {
                tracing::debug!("an answer came after the thread had ended");
            }
            waker.wake();
        };
        drop(self.calls.spawn_on(answered, &self.equipment.handle));
    }

    pub(super) fn take_answers(&mut self) {
        let now = self.now();
        while let Ok(Answer { owner, entry, call, result }) = self.answers.1.try_recv() {
            self.tell(owner, Event::Answered { entry, call, answer: result }, now);
        }
    }
}
