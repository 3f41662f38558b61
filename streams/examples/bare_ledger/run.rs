//! One life of the program: start, restore, loop, end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::signal::unix::{SignalKind, signal};

use crate::clients::Settings;
use crate::codec::Codec;
use crate::keeper::Keeper;
use crate::pipeline::Pipeline;
use crate::report::{Report, now, say};
use crate::restore;

/// Runs until SIGTERM; says what it took on standard error.
pub(crate) fn run(settings: &Settings, keeper: &mut dyn Keeper) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("starting the signal handler")?;
    let stop = Arc::new(AtomicBool::new(false));
    let tracker = tokio_util::task::TaskTracker::new();
    let mut terminate = {
        let _inside = runtime.enter();
        signal(SignalKind::terminate()).context("watching for SIGTERM")?
    };
    let flag = Arc::clone(&stop);
    let watch = async move {
        terminate.recv().await;
        flag.store(true, Ordering::Relaxed);
    };
    drop(tracker.spawn_on(watch, runtime.handle()));
    let report = live(settings, keeper, &stop, runtime.handle())?;
    say(&report.line());
    Ok(())
}

fn live(
    settings: &Settings,
    keeper: &mut dyn Keeper,
    stop: &AtomicBool,
    handle: &tokio::runtime::Handle,
) -> Result<Report> {
    let began = now();
    let consumer = settings.consumer()?;
    let partitions = settings.partitions(&consumer)?;
    let topics = handle.block_on(settings.changelogs(partitions))?;
    // Before anything is read: this ends what a predecessor left open.
    let taking = now();
    let producer = settings.producer()?;
    let fenced = taking.elapsed();
    let committed = restore::committed(settings, &consumer, partitions)?;
    let loading = now();
    let mut state = keeper.load(partitions)?;
    let (restored, entries) = restore::catch_up(settings, &topics, &mut state, &committed)?;
    if !entries.is_empty() {
        keeper.keep_restored(&entries, &state)?;
    }
    let loaded = loading.elapsed();
    let mut assignment = TopicPartitionList::new();
    for (partition, offset) in committed.iter().enumerate() {
        let number = i32::try_from(partition)?;
        assignment.add_partition_offset(&settings.input, number, Offset::Offset(*offset))?;
    }
    consumer.assign(&assignment).context("assigning the input")?;
    let report = Report {
        records: 0,
        restored,
        keys: state
            .iter()
            .map(|kept| kept.ledger.seen.len().saturating_add(kept.ledger.balances.len()))
            .sum(),
        began,
        fenced,
        loaded,
        ready: began.elapsed(),
        commits: Vec::new(),
        keeps: Vec::new(),
    };
    let pipeline = Pipeline {
        settings,
        topics: &topics,
        consumer: &consumer,
        producer: &producer,
        keeper,
        state,
        codec: Codec::new()?,
        report,
    };
    pipeline.run(stop)
}
