//! Makes what is declared, one change at a time, each said when it is done.
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;

use super::{Cluster, code};
use crate::output;
use crate::plan::{Change, Obstacle, SettingChange};

#[derive(Serialize)]
struct Report<'a> {
    applied: &'a [Change],
    by_hand: &'a [Obstacle],
}

pub(super) async fn run(cluster: &Cluster, json: bool) -> anyhow::Result<ExitCode> {
    let plan = cluster.plan().await?;
    let mut applied = Vec::new();
    let is_blocked = plan.is_blocked();
    if !is_blocked {
        for change in &plan.changes {
            rehearse(cluster, change).await?;
        }
        for change in plan.changes {
            apply(cluster, &change).await?;
            if !json {
                output::line(&format!("  + {change}"))?;
            }
            applied.push(change);
        }
    }
    let by_hand = plan.by_hand;
    if json {
        output::json(&Report { applied: &applied, by_hand: &by_hand })?;
    } else {
        for obstacle in &by_hand {
            output::line(&format!("  ! {obstacle}"))?;
        }
        let blocked =
            if is_blocked { "; nothing can be applied before that is solved" } else { "" };
        output::line(&format!("{} applied, {} by hand{blocked}", applied.len(), by_hand.len()))?;
    }
    Ok(code(by_hand.is_empty()))
}

/// Asks whether the broker would take new settings, before anything is changed.
async fn rehearse(cluster: &Cluster, change: &Change) -> anyhow::Result<()> {
    if let Change::AlterSettings { topic, settings } = change {
        cluster.admin.alter_settings(topic, &pairs(settings), true).await?;
    }
    Ok(())
}

fn pairs(settings: &[SettingChange]) -> Vec<(&str, &str)> {
    settings.iter().map(|setting| (setting.key.as_str(), setting.declared.as_str())).collect()
}

async fn apply(cluster: &Cluster, change: &Change) -> anyhow::Result<()> {
    match change {
        Change::CreateTopic { topic, .. } => {
            let spec = cluster.topics.iter().find(|spec| spec.name == *topic);
            cluster.admin.create(spec.context("finding a planned topic again")?).await?;
        }
        Change::AlterSettings { topic, settings } => {
            cluster.admin.alter_settings(topic, &pairs(settings), false).await?;
        }
        Change::SetCompatibility { subject, .. } => {
            cluster.registry.set_compatibility(subject).await?;
        }
        Change::RegisterSchema { subject, .. } => {
            let schema = cluster.schemas.iter().find(|schema| schema.subject == *subject);
            let schema = schema.context("finding a planned schema again")?;
            cluster.registry.register(subject, &schema.text).await?;
        }
    }
    Ok(())
}
