//! A bank that answers every question after 20 ms: HTTP/1.1, one request after the other on a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long the bank thinks.
const DELAY: Duration = Duration::from_millis(20);
/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A running bank; it ends when dropped.
#[derive(Debug)]
pub(super) struct Bank {
    pub(super) url: String,
    thought: Arc<Thought>,
    _serving: JoinSet<()>,
}

/// What its answers took, from the whole question to the first byte of the answer: more than it is
/// told to, since its timer counts in milliseconds and its machine has other work.
#[derive(Debug, Default)]
struct Thought {
    answers: AtomicU64,
    micros: AtomicU64,
}

impl Bank {
    pub(super) async fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("opening a bank")?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut serving = JoinSet::new();
        let thought = Arc::new(Thought::default());
        serving.spawn(accept(listener, Arc::clone(&thought)));
        Ok(Self { url, thought, _serving: serving })
    }

    /// What an answer took in the mean, microseconds.
    pub(super) fn mean_us(&self) -> Option<u64> {
        let Thought { answers, micros } = &*self.thought;
        micros.load(Ordering::Relaxed).checked_div(answers.load(Ordering::Relaxed))
    }
}

async fn accept(listener: TcpListener, thought: Arc<Thought>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // A connection that breaks is its client's to open again.
        let thought = Arc::clone(&thought);
        connections.spawn(async move { drop(serve(&stream, &thought).await) });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: &TcpStream, thought: &Thought) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            stream.readable().await?;
            let mut buffer = [0; 2_048];
            match stream.try_read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => head.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if head.len() > HEAD_BYTES_MAX {
                return Ok(());
            }
        }
        let asked = Instant::now();
        tokio::time::sleep(DELAY).await;
        let text = String::from_utf8_lossy(&head);
        let path = text.split(' ').nth(1).unwrap_or_default();
        let body = answer(path.rsplit('/').next().unwrap_or_default());
        let response = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
        thought.micros.fetch_add(took, Ordering::Relaxed);
        thought.answers.fetch_add(1, Ordering::Relaxed);
        write(stream, response.as_bytes()).await?;
    }
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// As much of a transaction as an enrichment reads.
fn answer(id: &str) -> String {
    serde_json::json!({"data": {
        "type": "transactions",
        "id": id,
        "attributes": {
            "status": "SETTLED", "rawText": "LIGHTHOUSE BOOKS SYDNEY", "description": "Lighthouse Books",
            "message": null, "isCategorizable": true, "holdInfo": null, "cashback": null,
            "roundUp": {"amount": {"currencyCode": "AUD", "value": "-0.45", "valueInBaseUnits": -45}},
            "amount": {"currencyCode": "AUD", "value": "-12.55", "valueInBaseUnits": -1255},
            "foreignAmount": null, "cardPurchaseMethod": {"method": "CONTACTLESS"},
            "settledAt": "2026-01-03T10:15:30+10:00", "createdAt": "2026-01-02T09:00:00+10:00",
        },
        "relationships": {
            "category": {"data": {"type": "categories", "id": "books"}},
            "tags": {"data": []},
        },
    }})
    .to_string()
}
