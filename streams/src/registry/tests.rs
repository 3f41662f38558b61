use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use apache_avro::Schema;
use serde_json::{Value, json};
use warp::Filter as _;
use warp::http::StatusCode;

use super::{Compatibility, Registry, RegistryError};
use crate::topology_file::DeclaredSchema;

const OURS: &str = r#"{"type":"record","name":"Seen","fields":[{"name":"id","type":"string"}]}"#;
const OTHER: &str = r#"{"type":"record","name":"Seen","fields":[{"name":"id","type":"long"}]}"#;

/// Answers in the order they are due; what was asked for.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<Vec<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn new(answers: &[(u16, Value)]) -> Self {
        let answers: Vec<(u16, Value)> = answers.iter().rev().cloned().collect();
        Self { answers: Arc::new(Mutex::new(answers)), asked: Arc::default() }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn serve(&self) -> SocketAddr {
        let script = self.clone();
        let route = warp::method()
            .and(warp::path::full())
            .and(warp::query::raw().or(warp::any().map(String::new)).unify())
            .map(move |method: warp::http::Method, path: warp::path::FullPath, query: String| {
                let asked = format!(
                    "{method} {}{}{query}",
                    path.as_str(),
                    if query.is_empty() { "" } else { "?" }
                );
                script.asked.lock().unwrap().push(asked);
                let (status, body) = script.answers.lock().unwrap().pop().unwrap();
                let status = StatusCode::from_u16(status).unwrap();
                warp::reply::with_status(warp::reply::json(&body), status)
            });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = tokio_util::task::TaskTracker::new();
        tasks.spawn(warp::serve(route).incoming(listener).run());
        address
    }

    async fn registry(&self) -> Registry {
        Registry::new(&format!("http://{}/base/", self.serve().await)).unwrap()
    }
}

fn version(id: u32, version: u32, schema: &str) -> (u16, Value) {
    (200, json!({ "id": id, "version": version, "schema": schema, "subject": "s" }))
}

fn not_found() -> (u16, Value) {
    (404, json!({ "error_code": 40401, "message": "No artifact" }))
}

#[tokio::test]
async fn the_newest_version_equal_to_ours_is_pinned() {
    let documented = OURS.replace("\"fields\"", "\"doc\":\"new words\",\"fields\"");
    let script =
        Script::new(&[(200, json!([1, 2, 3])), version(9, 3, OTHER), version(7, 2, &documented)]);
    let registry = script.registry().await;
    let schema = Schema::parse_str(OURS).unwrap();
    assert_eq!(registry.pin("a.b.v1-value", &schema).await.unwrap(), 7);
    assert_eq!(
        script.asked(),
        [
            "GET /base/subjects/a.b.v1-value/versions",
            "GET /base/subjects/a.b.v1-value/versions/3",
            "GET /base/subjects/a.b.v1-value/versions/2",
        ]
    );
}

#[tokio::test]
async fn a_schema_that_is_not_registered_says_what_to_run() {
    let schema = Schema::parse_str(OURS).unwrap();
    for answers in [vec![not_found()], vec![(200, json!([1])), version(1, 1, OTHER)]] {
        let registry = Script::new(&answers).registry().await;
        assert_eq!(
            registry.pin("seen-value", &schema).await.unwrap_err().to_string(),
            "subject `seen-value` has no version equal to the schema of this program; run \
             `bankstream topology apply`"
        );
    }
}

#[tokio::test]
async fn a_declared_schema_is_found_in_any_layout_but_not_with_other_words() {
    let declared = DeclaredSchema {
        topic: "seen".to_owned(),
        subject: "seen-value".to_owned(),
        text: OURS.to_owned(),
        schema: Schema::parse_str(OURS).unwrap(),
    };
    let documented = OURS.replace("\"fields\"", "\"doc\":\"new words\",\"fields\"");
    let pretty = OURS.replace(',', ",\n ");
    let script =
        Script::new(&[(200, json!([1, 2])), version(9, 2, &documented), version(7, 1, &pretty)]);
    let found = script.registry().await.find(&declared).await.unwrap().unwrap();
    assert_eq!((found.id, found.version), (7, 1));
}

#[tokio::test]
async fn nothing_there_is_an_answer_where_it_is_one() {
    let script = Script::new(&[not_found(), not_found(), not_found(), not_found()]);
    let registry = script.registry().await;
    assert_eq!(registry.latest("x").await.unwrap(), None);
    assert_eq!(registry.compatibility("x").await.unwrap(), None);
    assert_eq!(registry.check("x", OURS).await.unwrap(), Compatibility::Compatible);
    assert!(registry.version("x", 1).await.is_err());
}

#[tokio::test]
async fn an_incompatible_schema_comes_with_the_reason() {
    let script = Script::new(&[(200, json!({ "is_compatible": false, "reason": "type changed" }))]);
    let registry = script.registry().await;
    let verdict = registry.check("x", OTHER).await.unwrap();
    assert_eq!(verdict, Compatibility::Incompatible("type changed".to_owned()));
    assert_eq!(script.asked(), ["POST /base/compatibility/subjects/x/versions?verbose=true"]);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_registrys_words() {
    let script = Script::new(&[(409, json!({ "error_code": 409, "message": "incompatible" }))]);
    let registry = script.registry().await;
    let error = registry.register("seen-value", OTHER).await.unwrap_err();
    assert!(!error.is_transient());
    let expect = format!(
        "the schema registry {} refuses to register a schema of `seen-value`: incompatible (status \
         409)",
        registry.url()
    );
    assert_eq!(error.to_string(), expect);
}

#[tokio::test]
async fn an_answer_of_another_kind_is_named() {
    let script = Script::new(&[(200, json!("welcome"))]);
    let error = script.registry().await.versions("x").await.unwrap_err();
    assert!(matches!(error, RegistryError::Answer { .. }), "{error}");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_one_sentence() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let registry = Registry::new(&format!("http://{address}/apis/ccompat/v7")).unwrap();
    let error = registry.subjects().await.unwrap_err();
    assert!(error.is_transient());
    let text = error.to_string();
    assert!(text.starts_with(&format!("the schema registry {} does not answer (", registry.url())));
    assert!(text.ends_with("is it running, and is SCHEMA_REGISTRY_URL right?"), "{text}");
    assert!(registry.by_id(1).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn an_unknown_id_is_asked_for_again() {
    let known = json!({ "schema": OURS, "schemaType": "AVRO" });
    let script = Script::new(&[not_found(), (200, known)]);
    let registry = script.registry().await;
    let error = registry.by_id(4).await.unwrap_err();
    assert!(matches!(error, RegistryError::UnknownId { id: 4, .. }), "{error}");
    assert_eq!(registry.by_id(4).await.unwrap().parsed, Schema::parse_str(OURS).unwrap());
    assert_eq!(registry.by_id(4).await.unwrap().id, 4);
}

#[test]
fn addresses_are_checked_and_a_trailing_slash_is_taken_off() {
    let registry = Registry::new("http://localhost:8081/apis/ccompat/v7/").unwrap();
    assert_eq!(registry.url(), "http://localhost:8081/apis/ccompat/v7");
    for bad in ["", "localhost:8081", "ftp://x", "http://"] {
        assert!(Registry::new(bad).is_err(), "{bad}");
    }
}
