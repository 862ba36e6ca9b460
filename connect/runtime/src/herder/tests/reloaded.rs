//! A config provider's value that changes: connector and task are started anew with it.

use std::fs;

use super::*;

type Seen = Arc<Mutex<Vec<String>>>;

/// Notes what it is started with.
struct Noting {
    seen: Seen,
    value: String,
}

fn note(seen: &Seen, who: &str, properties: &Properties) {
    let value = properties.get("value").map_or("", String::as_str);
    seen.lock().expect("no panic").push(format!("{who} {value}"));
}

impl Connector for Noting {
    fn config(&self) -> ConfigDef {
        ConfigDef::new()
    }

    fn start<'a>(
        &'a mut self,
        _: Arc<dyn ConnectorContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), ConnectorError>> {
        note(&self.seen, "connector", properties);
        self.value = properties.get("value").cloned().unwrap_or_default();
        Box::pin(std::future::ready(Ok(())))
    }

    fn task_configs(&self, _: u32) -> BoxFuture<'_, Result<Vec<Properties>, ConnectorError>> {
        let task = Properties::from([("value".to_owned(), self.value.clone())]);
        Box::pin(std::future::ready(Ok(vec![task])))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SourceConnector for Noting {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(NotingTask(Arc::clone(&self.seen)))
    }
}

struct NotingTask(Seen);

impl SourceTask for NotingTask {
    fn start<'a>(
        &'a mut self,
        _: Arc<dyn SourceTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), ConnectorError>> {
        note(&self.0, "task", properties);
        Box::pin(std::future::ready(Ok(())))
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, ConnectorError>> {
        Box::pin(std::future::pending())
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        note(&self.0, "end of a task", &Properties::new());
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn a_value_that_is_another_starts_connector_and_task_anew() {
    for support in ["enabled", "disabled"] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("values.properties");
        fs::write(&path, "key=first-value").expect("written");
        let keys = [
            ("config.providers", "file"),
            ("config.providers.file.class", "FileConfigProvider"),
            ("config.providers.file.param.ttl.ms", "20"),
            ("exactly.once.source.support", support),
        ];
        let seen = Seen::default();
        let noting = {
            let seen = Arc::clone(&seen);
            let new = move || Noting {
                seen: Arc::clone(&seen),
                value: String::new(),
            };
            Plugin::source("org.example.NotingConnector", "1", new)
        };
        let model = Model::new(1);
        let herder = worker_with(&model.client(&[]), &keys, [noting]).await;
        let reference = format!("${{file:{}:key}}", path.display());
        let config = [("connector.class", "Noting"), ("value", &reference)];
        let config = config.map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
        let created = herder.put_connector("c", config.into(), None, false).await;
        created.map(drop).expect("it is sound");
        let has = |what: &str| seen.lock().expect("no panic").iter().any(|one| one == what);
        until_true("both begin", || {
            has("connector first-value") && has("task first-value")
        })
        .await;
        // Another, as a whole.
        let next = directory.path().join("next");
        fs::write(&next, "key=second-value").expect("written");
        fs::rename(&next, &path).expect("replaced");
        until_true("both begin anew", || {
            has("connector second-value") && has("task second-value")
        })
        .await;
        assert!(has("end of a task "), "{seen:?}");
        {
            let state = herder.cluster.state();
            let connector = state.get("c").expect("it is there");
            assert_eq!(connector.config.get("value"), Some(&reference));
            assert_eq!(
                connector.tasks[0].get("value"),
                Some(&reference),
                "what is stored stays"
            );
        }
        herder.stop().await;
    }
}
