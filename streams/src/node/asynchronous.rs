//! An [`AsyncProcessor`] as a node.

use std::sync::Arc;

use super::{Call, Hosts, Input, Node, Opaque, Step, fail, mixed_up};
use crate::{
    context::Context,
    disposition::Failure,
    processor::{AsyncProcessor, Begin},
    record::{RawRecord, Record},
};

pub(crate) struct AsyncNode<P> {
    pub(crate) processor: P,
    /// Limits per host, where the processor names hosts.
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) input: Input,
}

struct Pending<P: AsyncProcessor> {
    record: Record<P::Key, P::Value>,
    request: P::Request,
}

impl<P: AsyncProcessor> Node for AsyncNode<P> {
    fn begin(&mut self, ctx: &mut Context<'_>, record: &RawRecord) -> Result<Step, Failure> {
        let record = self.input.decode(record).map_err(fail)?;
        Ok(match self.processor.begin(ctx, &record).map_err(fail)? {
            Begin::Done => Step::Done,
            Begin::Call(request) => Step::Call(Box::new(Pending::<P> { record, request })),
        })
    }

    fn call(&self, pending: &Opaque) -> Call {
        let Some(pending) = pending.downcast_ref::<Pending<P>>() else {
            return Call::new(async { Err(mixed_up()) });
        };
        let call = self.processor.call(pending.request.clone());
        let host = self.processor.host(&pending.request).map(std::borrow::Cow::into_owned);
        let wanted = Call::new(async move {
            let answer = call.await.map_err(fail)?;
            Ok(Box::new(answer) as Opaque)
        });
        match host {
            Some(host) => wanted.for_host(Arc::clone(&self.hosts), host),
            None => wanted,
        }
    }

    fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        pending: &Opaque,
        answer: Opaque,
        _calls: u32,
    ) -> Result<(), Failure> {
        let pending = pending.downcast_ref::<Pending<P>>().ok_or_else(mixed_up)?;
        let answer = answer.downcast::<P::Answer>().map_err(|_| mixed_up())?;
        self.processor.complete(ctx, &pending.record, *answer).map_err(fail)
    }

    fn copy(&self, answer: &Opaque) -> Option<Opaque> {
        let answer = answer.downcast_ref::<P::Answer>()?;
        Some(Box::new(answer.clone()))
    }

    fn punctuate(&mut self, ctx: &mut Context<'_>) -> Result<(), Failure> {
        self.processor.punctuate(ctx).map_err(fail)
    }
}
