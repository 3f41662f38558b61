//! The graph as text.

use std::fmt::Write as _;

use super::{Order, StoreKind, SubTopology, Topology};
use crate::topology_file::format_duration;

pub(super) fn text(topology: &Topology) -> String {
    let mut out = format!("application {}\n", topology.application_id);
    for sub in &topology.subs {
        // Writing to a String cannot fail.
        if block(&mut out, sub, &topology.application_id).is_err() {
            break;
        }
    }
    out
}

fn block(out: &mut String, sub: &SubTopology, application_id: &str) -> std::fmt::Result {
    writeln!(out, "sub-topology {} (effects: {})", sub.name, sub.effects.as_str())?;
    for source in &sub.sources {
        writeln!(out, "  source {} (topic: {})", source.name, source.topic)?;
        if let Some(node) = source.node.and_then(|index| sub.nodes.get(index)) {
            writeln!(out, "    --> {}", node.name)?;
        }
    }
    for node in &sub.nodes {
        let order = match node.order {
            Order::Partition => "in partition order".to_owned(),
            Order::Key => {
                format!("in key order, at most {} calls in flight", node.options.in_flight_max)
            }
        };
        writeln!(out, "  processor {} ({order})", node.name)?;
        for store in node.connections.stores.iter().filter_map(|index| sub.stores.get(*index)) {
            writeln!(out, "    <-> {}", store.name)?;
        }
        for sink in node.connections.sinks.iter().filter_map(|index| sub.sinks.get(*index)) {
            writeln!(out, "    --> {}", sink.name)?;
        }
        if let Some(every) = node.punctuate_every {
            writeln!(out, "    punctuated every {every:?}")?;
        }
        if let Some(every) = node.punctuate_on_stream_time {
            writeln!(out, "    punctuated every {every:?} of stream time")?;
        }
    }
    for store in &sub.stores {
        let topic = store.topic(application_id);
        match store.kind {
            StoreKind::State | StoreKind::Ledger => {
                writeln!(out, "  store {} (topic: {topic})", store.name)?;
            }
            StoreKind::Seen { window } => {
                let window = format_duration(window);
                writeln!(out, "  dedupe store {} (window: {window}, topic: {topic})", store.name)?;
            }
        }
    }
    for sink in &sub.sinks {
        writeln!(out, "  sink {} (topic: {})", sink.name, sink.topic)?;
    }
    Ok(())
}
