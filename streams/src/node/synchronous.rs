//! A [`Processor`] as a node.

use super::{Call, Input, Node, Opaque, Step, fail, mixed_up};
use crate::{context::Context, disposition::Failure, processor::Processor, record::RawRecord};

pub(crate) struct SyncNode<P> {
    pub(crate) processor: P,
    pub(crate) input: Input,
}

impl<P: Processor> Node for SyncNode<P> {
    fn begin(&mut self, ctx: &mut Context<'_>, record: &RawRecord) -> Result<Step, Failure> {
        let record = self.input.decode(record).map_err(fail)?;
        self.processor.process(ctx, &record).map_err(fail)?;
        Ok(Step::Done)
    }

    fn call(&self, _pending: &Opaque) -> Call {
        Call::new(async { Err(mixed_up()) })
    }

    fn complete(
        &mut self,
        _ctx: &mut Context<'_>,
        _pending: &Opaque,
        _answer: Opaque,
        _calls: u32,
    ) -> Result<(), Failure> {
        Err(mixed_up())
    }

    fn punctuate(&mut self, ctx: &mut Context<'_>) -> Result<(), Failure> {
        self.processor.punctuate(ctx).map_err(fail)
    }
}
