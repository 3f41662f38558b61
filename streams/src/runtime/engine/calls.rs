//! Calls to others, and their answers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc::{Receiver, Sender, channel},
};

use super::{Engine, Owner};
use crate::{
    disposition::Failure,
    node::{Call, Opaque},
    task::{EntryId, Event},
};

/// Calls out from which on the thread looks for answers by itself, as long as there are some: an
/// answer that wakes it costs several times what it takes to handle. With 100 calls of 20 ms out that
/// would be four thousand times a second; once a millisecond is enough.
const CROWD: usize = 32;

pub(super) struct Answer {
    owner: Owner,
    entry: EntryId,
    call: u32,
    result: Result<Opaque, Failure>,
}

/// Answers on their way to the thread.
pub(super) struct Answers {
    sender: Sender<Answer>,
    receiver: Receiver<Answer>,
    /// An answer wakes the thread. Unset while it looks by itself.
    wakes: Arc<AtomicBool>,
}

impl Default for Answers {
    fn default() -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver, wakes: Arc::new(AtomicBool::new(true)) }
    }
}

impl Answers {
    /// Whether the thread has to look by itself.
    pub(super) fn are_many(&self) -> bool {
        !self.wakes.load(Ordering::SeqCst)
    }
}

impl Engine {
    pub(super) fn call(&self, owner: Owner, entry: EntryId, call: u32, wanted: Call) {
        let answers = self.answers.sender.clone();
        let wakes = Arc::clone(&self.answers.wakes);
        let waker = self.equipment.waker.clone();
        let room = Arc::clone(&self.equipment.calls);
        let answered = async move {
            let result = wanted.within(room).await;
            if answers.send(Answer { owner, entry, call, result }).is_err() {
                tracing::debug!("an answer came after the thread had ended");
            }
            if wakes.load(Ordering::SeqCst) {
                waker.wake();
            }
        };
        drop(self.calls.spawn_on(answered, &self.equipment.handle));
    }

    pub(super) fn take_answers(&mut self) {
        let taken = self.drain_answers();
        let are_many = taken > 0 && self.calls.len() >= CROWD;
        let were_many = !self.answers.wakes.swap(!are_many, Ordering::SeqCst);
        if were_many && !are_many {
            // Whoever sent before the swap may have found that it need not wake.
            self.drain_answers();
        }
    }

    fn drain_answers(&mut self) -> usize {
        let now = self.now();
        let mut taken = 0_usize;
        while let Ok(Answer { owner, entry, call, result }) = self.answers.receiver.try_recv() {
            self.tell(owner, Event::Answered { entry, call, answer: result }, now);
            taken = taken.saturating_add(1);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::Semaphore;

    use super::{Arc, CROWD, Call, Engine, EntryId, Opaque, Owner};
    use crate::{
        Context, Fault, Processor, Record,
        runtime::engine::Equipment,
        task::Environment,
        topology::{Effects, Topology},
    };

    struct Nothing;

    impl Processor for Nothing {
        type Key = String;
        type Value = i64;
        type Error = Fault;

        fn process(&mut self, _: &mut Context<'_>, _: &Record<String, i64>) -> Result<(), Fault> {
            Ok(())
        }
    }

    /// In the runtime of the test.
    fn engine() -> Engine {
        let mut builder = Topology::builder("app");
        let mut sub = builder.sub_topology("ask", Effects::Read);
        let source = sub.source("in", "in");
        sub.processor("ask", &source, || Nothing);
        let equipment = Equipment::for_tests(tokio::runtime::Handle::current());
        let topology = Arc::new(builder.build().unwrap());
        Engine::new(topology, Environment::for_tests("app"), equipment)
    }

    const OWNER: Owner = Owner { sub: 0, partition: 0, generation: 1 };

    /// Calls that answer as soon as the gate lets them.
    fn ask(engine: &Engine, gate: &Arc<Semaphore>, calls: usize) {
        for entry in 0..calls {
            let gate = Arc::clone(gate);
            let work = async move {
                if let Ok(permit) = gate.acquire_owned().await {
                    permit.forget();
                }
                Ok(Box::new(()) as Opaque)
            };
            let entry = EntryId(u64::try_from(entry).unwrap_or_default());
            engine.call(OWNER, entry, 1, Call::new(work));
        }
    }

    /// Lets `answers` calls answer and waits until they have.
    async fn answer(engine: &Engine, gate: &Semaphore, answers: usize) {
        let left = engine.calls.len() - answers;
        gate.add_permits(answers);
        while engine.calls.len() > left {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn answers_of_many_calls_wake_nobody_and_the_last_ones_do() {
        let mut engine = engine();
        let gate = Arc::new(Semaphore::new(0));
        ask(&engine, &gate, CROWD + 10);
        answer(&engine, &gate, 5).await;
        assert!(!engine.answers.are_many(), "the first ones wake it");
        engine.take_answers();
        assert!(engine.answers.are_many(), "and it looks by itself while others are out");
        assert_eq!(engine.rest(), Duration::from_millis(1));
        answer(&engine, &gate, CROWD).await;
        engine.take_answers();
        assert!(!engine.answers.are_many(), "a few are waited for");
        answer(&engine, &gate, 5).await;
        assert_eq!(engine.drain_answers(), 5);
    }

    #[tokio::test]
    async fn many_calls_that_take_long_are_waited_for() {
        let mut engine = engine();
        let gate = Arc::new(Semaphore::new(0));
        ask(&engine, &gate, CROWD + 10);
        answer(&engine, &gate, 1).await;
        engine.take_answers();
        assert!(engine.answers.are_many());
        engine.take_answers();
        assert!(!engine.answers.are_many(), "no answer came within a round");
    }
}
