//! Asks Kafka whether it is there while no record tells.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Stopwatch;
use crate::publish::Publisher;
use crate::receive::Ingress;

/// Pause between two probes: one small request, and none while records are acknowledged.
const PERIOD: Duration = Duration::from_secs(3);

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// Probes until `stop`, and tells the log when Kafka falls silent and when it is back.
pub(crate) async fn watch<P: Publisher>(ingress: Arc<Ingress<P>>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = watch_on(ingress) => {}
    }
}

async fn watch_on<P: Publisher>(ingress: Arc<Ingress<P>>) {
    let (mut ticks, mut was_silent) = (tokio::time::interval(PERIOD), false);
    loop {
        ticks.tick().await;
        if ingress.readiness.missing().is_some() {
            continue;
        }
        if !ingress.readiness.kafka.is_fresh(PERIOD) {
            probe(&ingress).await;
        }
        let silence = ingress.readiness.kafka.silence();
        match &silence {
            Some(silence) if !was_silent => {
                tracing::warn!("not ready: waiting for {silence}");
            }
            None if was_silent => tracing::info!("ready: Kafka is back"),
            Some(_) | None => {}
        }
        was_silent = silence.is_some();
    }
}

/// The question blocks. One that is asked at a stop is left behind.
async fn probe<P: Publisher>(ingress: &Arc<Ingress<P>>) {
    let asked = tokio::task::spawn_blocking({
        let ingress = Arc::clone(ingress);
        move || {
            let Some(publisher) = ingress.publisher.get() else { return };
            let watch = Stopwatch::start();
            let answer = publisher.probe(ANSWER_TIME_MAX);
            ingress.readiness.kafka.probed(watch.elapsed(), answer);
        }
    });
    if let Err(error) = asked.await {
        tracing::debug!("Kafka was not probed: {error}");
    }
}
