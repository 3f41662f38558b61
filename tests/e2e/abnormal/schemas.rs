//! A registry that does not know, or does not say.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use apache_avro::AvroSchema as _;
use harness::{
    payments::{PAYMENT_SCHEMA_ID, Payment, SUM_SCHEMA_ID, Sum},
    wait_until,
};
use serde_json::json;
use tokio::task::JoinSet;
use warp::{Filter as _, Reply as _, http::StatusCode, reply::Response};

use super::case::{Case, DEADLINE};

/// Payments under an id that the registry keeps to itself at first.
const SECRET: u32 = 3;
/// An id that it does not know.
const UNKNOWN: u32 = 4;
/// How often a registry that does not answer is asked again, in seconds.
const ASK_AGAIN_AFTER: u64 = 5;
/// How often an open request looks whether it may be answered.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Clone, Default)]
struct Answers {
    is_talking: Arc<AtomicBool>,
    /// Requests for the schema it keeps to itself.
    asked: Arc<AtomicUsize>,
}

impl Answers {
    async fn schema(self, id: u32) -> Result<Response, std::convert::Infallible> {
        if id == UNKNOWN {
            let said = json!({ "error_code": 40403, "message": "Schema 4 not found" });
            let said = warp::reply::json(&said);
            return Ok(warp::reply::with_status(said, StatusCode::NOT_FOUND).into_response());
        }
        if id == SECRET {
            self.asked.fetch_add(1, Ordering::SeqCst);
            while !self.is_talking.load(Ordering::SeqCst) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        let schema = serde_json::to_string(&Payment::get_schema()).unwrap();
        Ok(warp::reply::json(&json!({ "schema": schema })).into_response())
    }
}

/// A registry on a free port, until the set is dropped.
async fn registry(answers: Answers) -> anyhow::Result<(SocketAddr, JoinSet<()>)> {
    let sum = serde_json::to_string(&Sum::get_schema())?;
    let versions = warp::path!("subjects" / String / "versions").map(|_| warp::reply::json(&[1]));
    let version =
        warp::path!("subjects" / String / "versions" / u32).map(move |subject, version| {
            let id = SUM_SCHEMA_ID;
            let found = json!({ "subject": subject, "id": id, "version": version, "schema": sum });
            warp::reply::json(&found)
        });
    let by_id = warp::path!("schemas" / "ids" / u32).and_then(move |id| answers.clone().schema(id));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let mut server = JoinSet::new();
    server.spawn(warp::serve(versions.or(version).or(by_id)).incoming(listener).run());
    Ok((address, server))
}

#[expect(clippy::disallowed_methods, reason = "the bound is on real time")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_schema_is_a_dead_letter_and_a_silent_registry_holds_up_its_partition_alone()
-> anyhow::Result<()> {
    let answers = Answers::default();
    let (address, _server) = registry(answers.clone()).await?;
    let mut case = Case::new("schemas", 2).await?;
    let app = case.start(&["--schema-registry", &format!("http://{address}")])?;
    let send = |case: &mut Case, partition, schema_id, id: &str| {
        let bytes = case.bytes(schema_id, id)?;
        case.send_bytes(partition, "account", &bytes)
    };
    send(&mut case, 1, UNKNOWN, "unknown")?;
    send(&mut case, 1, PAYMENT_SCHEMA_ID, "behind the unknown one")?;
    case.wait_for_outputs(1).await?;
    let letters = case.dead_letters(1).await?;
    ensure!(letters.len() == 1 && letters[0].message.contains("schema id 4"), "{letters:?}");

    let silent_since = now();
    send(&mut case, 0, SECRET, "secret")?;
    send(&mut case, 0, PAYMENT_SCHEMA_ID, "behind the secret one")?;
    let asked = || answers.asked.load(Ordering::SeqCst);
    wait_until("a question", DEADLINE, async || Ok(asked() > 0)).await?;
    for number in 0..5 {
        send(&mut case, 1, PAYMENT_SCHEMA_ID, &format!("meanwhile {number}"))?;
        case.wait_for_outputs(2 + number).await?;
    }
    ensure!(app.get("/livez").await?.contains("alive"));
    wait_until("another question", DEADLINE, async || {
        // The first one was given up, or it would be the only one.
        Ok(asked() > 1 || silent_since.elapsed().as_secs() > 3 * ASK_AGAIN_AFTER)
    })
    .await?;
    let most = silent_since.elapsed().as_secs() / ASK_AGAIN_AFTER + 1;
    ensure!(u64::try_from(asked())? <= most, "{} questions, {most} at most", asked());
    ensure!(case.read_outputs()?.len() == 6, "{:?}", case.sums());

    answers.is_talking.store(true, Ordering::SeqCst);
    case.wait_for_outputs(8).await?;
    let last: Vec<&str> = case.sums().iter().skip(6).map(|(_, sum)| &*sum.id).collect();
    ensure!(last == ["secret", "behind the secret one"], "{last:?}");
    ensure!(case.dead_letters(1).await?.len() == 1, "waiting is no failure");
    app.stop().await
}
