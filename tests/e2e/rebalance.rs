//! A second instance of each processor takes over from the first in mid-stream.
use ctl::pipeline::PROCESSORS;
use harness::{Pipeline, Setup, Size};

/// Events between two steps, so that each happens in a stream and not in a silence.
const EVENTS_BETWEEN: u64 = 20;

#[tokio::test]
async fn a_second_instance_joins_and_the_first_leaves_without_a_loss() -> anyhow::Result<()> {
    let size = Size::of_this_run();
    let mut pipeline = Pipeline::start("rebalance", Setup::default()).await?;
    pipeline.bank.run_day(size.rate, 3_600).await?;
    for app in PROCESSORS {
        pipeline.progress(EVENTS_BETWEEN).await?;
        let mut second = pipeline.instance(app, "2")?;
        second.start().await?;
        pipeline.processors.push(second);
    }
    pipeline.progress(EVENTS_BETWEEN).await?;
    for app in PROCESSORS {
        let ended = pipeline.program(app)?.terminate().await?;
        assert!(ended.is_some_and(|status| status.success()), "{app} ended with {ended:?}");
    }
    pipeline.progress(EVENTS_BETWEEN).await?;
    pipeline.bank.stop_day().await?;

    let summary = pipeline.at_rest(None).await?;
    assert_eq!(summary.findings, Vec::<String>::new(), "{summary:#?}");
    pipeline.stop().await
}
