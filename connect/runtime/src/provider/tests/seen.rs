//! A secret is looked for in everything that a worker shows: every answer, the bytes of its topics, the log. The connector of this test
//! shows it wherever a connector can.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_client::model::Model;
use forebay_config::{ConfigDef, ConfigKey, ConfigType, ConfigValue, Properties};
use forebay_connect_api::{
    BoxFuture, Connector, ConnectorContext, Error, Plugin, Plugins, SourceConnector, SourceRecord,
    SourceTask, SourceTaskContext,
};
use forebay_http::{Listeners, Options};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::redact;
use super::directory;
use crate::config::Config;
use crate::service::Service;

const SECRET: &str = "first-password";

/// How long the worker may take to get somewhere.
const PATIENCE: Duration = Duration::from_secs(30);

struct Talkative(Properties);

fn password(properties: &Properties) -> String {
    properties.get("password").cloned().unwrap_or_default()
}

impl Connector for Talkative {
    fn config(&self) -> ConfigDef {
        ConfigDef::new()
            .define(ConfigKey::new("password", ConfigType::String))
            .define(ConfigKey::new("number", ConfigType::Int).default(1))
    }

    fn validate(&self, properties: &Properties) -> Vec<ConfigValue> {
        let mut values = self.config().validate(properties);
        if properties.contains_key("wrong") {
            values[0]
                .errors
                .push(format!("{} is too short", password(properties)));
        }
        values
    }

    fn start<'a>(
        &'a mut self,
        _context: Arc<dyn ConnectorContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        tracing::error!("the connector starts with {}", password(properties));
        self.0 = properties.clone();
        Box::pin(std::future::ready(Ok(())))
    }

    fn task_configs(&self, _tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>> {
        let mut task = self.0.clone();
        task.insert("url".to_owned(), format!("http://al:{}@host", password(&self.0)));
        Box::pin(std::future::ready(Ok(vec![task])))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SourceConnector for Talkative {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(TalkativeTask)
    }
}

struct TalkativeTask;

impl SourceTask for TalkativeTask {
    fn start<'a>(
        &'a mut self,
        _context: Arc<dyn SourceTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let url = properties.get("url").cloned().unwrap_or_default();
        let message = format!("{url}: login of {:?} refused", password(properties));
        Box::pin(std::future::ready(Err(Error::fatal(message))))
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, Error>> {
        Box::pin(std::future::pending())
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What was logged, as it was said and as the program writes it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<(String, String)>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        let mut log = self.0.lock().expect("nobody panics with it");
        log.0.push_str(&line);
        log.1.push_str(&redact(&line));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Rest(std::net::SocketAddr);

impl Rest {
    async fn ask(&self, method: &str, path: &str, body: Option<&Json>) -> String {
        let mut stream = TcpStream::connect(self.0).await.expect("it listens");
        let body = body.map(Json::to_string).unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}",
            self.0
        );
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }
}

fn connector(path: &str, more: &[(&str, &str)]) -> Json {
    let mut config = serde_json::json!({
        "connector.class": "Talkative",
        "password": format!("${{file:{path}/a.properties:password}}"),
    });
    for (key, value) in more {
        config[*key] = (*value).into();
    }
    config
}

/// What is answered to all that can be asked of a connector whose task fails.
async fn everything(rest: &Rest, path: &str) -> Vec<String> {
    let created = serde_json::json!({"name": "c", "config": connector(path, &[])});
    let mut answers = vec![rest.ask("POST", "/connectors", Some(&created)).await];
    let failed = async {
        loop {
            let status = rest.ask("GET", "/connectors/c/status", None).await;
            if status.contains("refused") {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, failed)
        .await
        .expect("the task fails");
    for path in [
        "/connectors?expand=info&expand=status",
        "/connectors/c",
        "/connectors/c/config",
        "/connectors/c/status",
        "/connectors/c/tasks",
        "/connectors/c/tasks-config",
        "/connectors/c/tasks/0/status",
        "/connectors/c/offsets",
        "/connectors/c/topics",
    ] {
        answers.push(rest.ask("GET", path, None).await);
    }
    let wrong = connector(path, &[("wrong", "yes"), ("name", "c")]);
    let validate = "/connector-plugins/Talkative/config/validate";
    answers.push(rest.ask("PUT", validate, Some(&wrong)).await);
    answers.push(rest.ask("PUT", "/connectors/c/config", Some(&wrong)).await);
    let as_number = connector(
        path,
        &[("number", &format!("${{file:{path}/a.properties:password}}"))],
    );
    answers.push(rest.ask("PUT", validate, Some(&as_number)).await);
    answers
}

/// What the worker has written into its topics.
fn stored(model: &Model) -> String {
    let mut stored = String::new();
    for (topic, partitions) in [
        ("connect-configs", 1),
        ("connect-status", 5),
        ("connect-offsets", 25),
    ] {
        for partition in 0..partitions {
            for batch in model.batches(topic, partition) {
                for record in batch.records().expect("ours") {
                    let value = record.expect("ours").value.unwrap_or_default();
                    stored.push_str(&String::from_utf8_lossy(&value));
                }
            }
        }
    }
    stored
}

#[tokio::test]
async fn no_answer_no_topic_and_no_log_shows_what_was_resolved() {
    let (_kept, path) = directory();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let worker = super::properties(&super::WORKER);
    let model = Model::new(1);
    let plugins = Plugins::new([Plugin::source("org.example.TalkativeConnector", "1", || {
        Talkative(Properties::new())
    })]);
    let listeners = Listeners::loopback("connect", 0).await.expect("a port is free");
    let client = model.client(&[]);
    let config = Config::new(&worker).expect("it is valid");
    let service = Service::start(&client, config, plugins, listeners, Options::default());
    let service = service.await.expect("the model does all that it needs");
    let rest = Rest(service.addresses()[0]);

    let answers = everything(&rest, &path).await;
    service.stop().await;

    let said = log.0.lock().expect("nobody panics with it").clone();
    assert!(
        said.0.contains(SECRET),
        "the connector has the secret, and says it"
    );
    assert!(!said.1.contains(SECRET), "{}", said.1);
    let reference = format!("${{file:{path}/a.properties:password}}");
    for answer in &answers {
        assert!(!answer.contains(SECRET), "{answer}");
    }
    let with_reference = answers
        .iter()
        .filter(|answer| answer.contains(&reference))
        .count();
    assert!(
        with_reference >= 8,
        "{with_reference} answers have the reference: {answers:#?}"
    );
    assert!(
        answers[4].contains("al:${file:"),
        "the state says why, without the secret: {}",
        answers[4]
    );
    let stored = stored(&model);
    assert!(
        stored.contains("FAILED") && stored.contains(&reference),
        "{stored}"
    );
    assert!(!stored.contains(SECRET), "{stored}");
}
