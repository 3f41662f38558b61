//! Records on their way to the broker, and what became of them.

use super::{Engine, Owner, slot};
use crate::{
    record::Timestamp,
    runtime::producer::{Handover, Producer, Transactions},
    task::{Event, SendId, transaction::ErrorKind},
};

/// Bits of a send's number that travel with its record; the rest of the word is its owner's.
const SEND_BITS: u32 = 48;

impl Engine {
    pub(super) fn take_reports(&mut self) {
        let now = self.now();
        for producer in [0, 1] {
            let equipment = &self.equipment;
            let producer = if producer == 0 { &equipment.plain } else { &equipment.transactional };
            let Some(producer) = producer else { continue };
            for delivery in producer.deliveries() {
                let Some((owner, send)) = self.sender_of(delivery.opaque) else { continue };
                let event = match delivery.result {
                    Ok(()) => Event::Acknowledged(send),
                    Err(failure) => Event::Refused { send, failure },
                };
                self.tell(owner, event, now);
            }
        }
        self.take_answers();
    }

    pub(super) fn tell(&mut self, owner: Owner, event: Event, now: Timestamp) {
        if let Some(running) = self.task(owner) {
            running.task.handle(event, now);
        }
    }

    /// Hands records to the producers, as far as they have room. Those of a task that is gone are
    /// dropped: its partition is somebody else's, who makes them again.
    pub(super) fn hand_over(&mut self, now: Timestamp) {
        while let Some((owner, send, record)) = self.unsent.pop_front() {
            let Some(running) = self.tasks.get(&(owner.sub, owner.partition)) else { continue };
            if running.owner != owner {
                continue;
            }
            let is_transactional = running.task.is_transactional();
            if is_transactional && !self.open_transaction() {
                self.unsent.push_front((owner, send, record));
                return;
            }
            let equipment = &mut self.equipment;
            let producer =
                if is_transactional { &mut equipment.transactional } else { &mut equipment.plain };
            let Some(producer) = producer else { continue };
            match producer.send(opaque(owner, send), &record) {
                Handover::Taken => {}
                Handover::NoRoom => {
                    self.unsent.push_front((owner, send, record));
                    return;
                }
                Handover::Refused(failure) => {
                    self.tell(owner, Event::Refused { send, failure }, now);
                }
            }
        }
    }

    /// Whether a transaction is open, or could be opened.
    fn open_transaction(&mut self) -> bool {
        if !self.transaction.is_idle() {
            return true;
        }
        let (Some(producer), Some(group)) = (&self.equipment.transactional, &self.membership)
        else {
            return false;
        };
        match self.transaction.open(&mut Transactions { producer, group }) {
            Ok(()) => true,
            Err(error) => {
                if matches!(error.kind, ErrorKind::Fatal | ErrorKind::Other) {
                    self.again.get_or_insert(error.message);
                }
                false
            }
        }
    }

    fn sender_of(&self, opaque: usize) -> Option<(Owner, SendId)> {
        let opaque = u64::try_from(opaque).ok()?;
        let owner = self.owners.get(&u16::try_from(opaque >> SEND_BITS).ok()?)?;
        Some((*owner, SendId(opaque & ((1 << SEND_BITS) - 1))))
    }

    /// A producer that can do nothing more: without transactions that is a halt; with them the thread
    /// is made anew, as the broker's answer to a producer that was fenced or took too long.
    pub(super) fn check_producers(&mut self) {
        if let Some(reason) = self.equipment.plain.as_ref().and_then(Producer::fatal_error) {
            self.stop("producer", &reason);
        }
        if let Some(reason) = self.equipment.transactional.as_ref().and_then(Producer::fatal_error)
        {
            self.again.get_or_insert(reason);
        }
    }
}

fn opaque(owner: Owner, send: SendId) -> usize {
    let word = u64::from(slot(owner)) << SEND_BITS | (send.0 & ((1 << SEND_BITS) - 1));
    usize::try_from(word).unwrap_or_default()
}
