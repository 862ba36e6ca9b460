//! Against a small registry on loopback that counts what it is asked.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::*;

type Asked = Arc<AtomicUsize>;

async fn schema(State(asked): State<Asked>, Path(id): Path<i32>) -> (StatusCode, Json<Value>) {
    asked.fetch_add(1, Ordering::Relaxed);
    let references =
        json!([{"name": "n.A", "subject": "a", "version": 1}, {"name": "n.B", "subject": "b", "version": 1}]);
    let body = match id {
        1 => json!({"schema": "\"string\""}),
        2 => {
            json!({"schema": r#"{"type":"record","name":"n.C","fields":[{"name":"a","type":"n.A"},{"name":"b","type":"n.B"}]}"#,
            "references": references})
        }
        // What is deep: 16 levels, 17 of them, and a circle.
        4..=6 => {
            let (first, version) = [("d1", 1), ("d0", 1), ("d0", 2)][usize::try_from(id).unwrap() - 4];
            let name = first.to_uppercase();
            json!({"schema": format!(r#"{{"type":"array","items":"{name}v{version}"}}"#),
                "references": [{"name": name, "subject": first, "version": version}]})
        }
        // What is wide: as many as may be, and one more.
        7 | 8 => {
            let wide = (0..250 + id - 7)
                .map(|n| json!({"name": format!("n.W{n}"), "subject": format!("w{n}"), "version": 1}));
            json!({"schema": "\"n.W249\"", "references": wide.collect::<Vec<_>>()})
        }
        3 => json!({"schema": "{}", "schemaType": "JSON"}),
        _ => {
            let refusal = json!({"error_code": 40403, "message": "Schema 9 not found"});
            return (StatusCode::NOT_FOUND, Json(refusal));
        }
    };
    (StatusCode::OK, Json(body))
}

/// Of `d0` to `d16`, each refers to the next twice, in version 2 in a circle; others stand for themselves, but for `b`.
async fn version(State(asked): State<Asked>, Path((subject, version)): Path<(String, i32)>) -> Json<Value> {
    asked.fetch_add(1, Ordering::Relaxed);
    if let Some(level) = subject.strip_prefix('d') {
        let level: i32 = level.parse().unwrap();
        let name = |level| format!("D{level}v{version}");
        let (end, next) = if version == 1 {
            (16, level + 1)
        } else {
            (i32::MAX, (level + 1) % 3)
        };
        if level == end {
            return Json(
                json!({"id": level, "schema": format!(r#"{{"type":"fixed","name":"{}","size":1}}"#, name(level))}),
            );
        }
        let next_name = name(next);
        let schema = format!(
            r#"{{"type":"record","name":"{}","fields":[{{"name":"a","type":"{next_name}"}},{{"name":"b","type":"{next_name}"}}]}}"#,
            name(level)
        );
        let reference = json!({"name": next_name, "subject": format!("d{next}"), "version": version});
        return Json(json!({"id": level, "schema": schema, "references": [reference, reference]}));
    }
    let record = |fields: &str| {
        format!(
            r#"{{"type":"record","name":"n.{}","fields":[{fields}]}}"#,
            subject.to_uppercase()
        )
    };
    let to_a = json!([{"name": "n.A", "subject": "a", "version": 1}]);
    Json(match subject.as_str() {
        "b" => {
            json!({"id": 5, "version": 1, "schema": record(r#"{"name":"a","type":"n.A"}"#), "references": to_a})
        }
        _ => json!({"id": 4, "version": 1, "schema": record("")}),
    })
}

async fn client() -> (Client, Asked) {
    let asked = Asked::default();
    let router = Router::new()
        .route("/schemas/ids/{id}", get(schema))
        .route(
            "/schemas/ids/{id}/versions",
            get(|| async {
                Json(json!([{"subject": "t-value", "version": 3}, {"subject": "u-value", "version": 1}]))
            }),
        )
        .route("/subjects/{subject}/versions/{version}", get(version))
        .route(
            "/subjects/{subject}/versions",
            post(|State(asked): State<Asked>| async move {
                Json(json!({"id": asked.fetch_add(1, Ordering::Relaxed)}))
            }),
        )
        .with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (Client::new(Options::new(&url)).unwrap(), asked)
}

#[tokio::test]
async fn a_schema_is_asked_for_once() {
    let (client, asked) = client().await;
    for _ in 0..3 {
        assert_eq!(client.schema(SchemaId(1)).await.unwrap().text, "\"string\"");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let first = client.register("a/b c", "\"int\"").await.unwrap();
    assert_eq!(client.register("a/b c", "\"int\"").await.unwrap(), first);
    assert_ne!(client.register("other", "\"int\"").await.unwrap(), first);
    let versions = client.versions(SchemaId(1)).await.unwrap();
    assert_eq!(versions, [("t-value".to_owned(), 3), ("u-value".to_owned(), 1)]);
}

#[tokio::test]
async fn references_are_followed_also_where_two_ways_lead_to_one() {
    let (client, _) = client().await;
    let schema = client.schema(SchemaId(2)).await.unwrap();
    assert_eq!(
        schema.avro.to_string(),
        r#"{"type":"record","name":"C","namespace":"n","fields":[{"name":"a","type":"A"},{"name":"b","type":"B"}]}"#
    );
}

#[tokio::test]
async fn each_schema_that_is_referred_to_is_asked_for_once() {
    for (id, requests) in [(4, 16), (7, 250)] {
        let (client, asked) = client().await;
        client.schema(SchemaId(id)).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1 + requests);
    }
    for (id, requests, refusal) in [
        (5, 17, "deeper than 16 levels"),
        (6, 3, "in a circle"),
        (8, 0, "more than 250 others"),
    ] {
        let (client, asked) = client().await;
        let refused = client.schema(SchemaId(id)).await.unwrap_err().to_string();
        assert!(refused.contains(refusal), "{refused}");
        assert_eq!(asked.load(Ordering::Relaxed), 1 + requests);
    }
}

#[tokio::test]
async fn refusals_and_absence_are_told_apart() {
    let (client, _) = client().await;
    let refused = client.schema(SchemaId(9)).await.unwrap_err();
    assert!(
        matches!(
            &refused,
            Error::Refused {
                code: 40403,
                retriable: false,
                ..
            }
        ),
        "{refused}"
    );
    let unsupported = client.schema(SchemaId(3)).await.unwrap_err();
    assert!(
        unsupported
            .to_string()
            .contains("JSON schemas are not supported yet"),
        "{unsupported}"
    );
    let nobody = Client::new(Options::new("http://127.0.0.1:1")).unwrap();
    let unreachable = nobody.schema(SchemaId(1)).await.unwrap_err();
    assert!(
        unreachable.is_retriable() && unreachable.to_string().contains("127.0.0.1:1"),
        "{unreachable}"
    );
}
