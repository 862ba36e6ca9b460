//! Log levels as a configuration (KIP-412): told, changed for this process, and gone with it.

use std::sync::{Arc, Mutex};

use forebay_protocol::messages::describe_configs_request::DescribeConfigsResource;
use forebay_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use forebay_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use super::*;
use crate::{LogLevel, LogLevels, Loggers};

const BROKER_LOGGER: i8 = 8;

/// A broker with loggers, and what was applied last.
async fn start() -> (Broker, Handle, Arc<Mutex<LogLevels>>, TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let applied = Arc::new(Mutex::new(LogLevels::new()));
    let loggers = Loggers::new(
        [("root".to_owned(), LogLevel::Warn)].into(),
        || {
            ["forebay_client", "forebay_client::admin"]
                .map(str::to_owned)
                .into()
        },
        {
            let applied = Arc::clone(&applied);
            move |levels| applied.lock().expect("no panic").clone_from(levels)
        },
    );
    let options = Options {
        loggers: Some(Arc::new(loggers)),
        ..Options::new(config(directory.path(), &[]))
    };
    let broker = Broker::start(options).await.expect("the broker starts");
    let handle = broker.handle();
    (broker, handle, applied, directory)
}

async fn call<R: ApiRequest>(handle: &Handle, version: i16, request: R) -> R::Response {
    let context = CallContext::in_process("test", "PLAINTEXT");
    let response = handle.router().call(context, version, request.into()).await;
    R::Response::try_from(response.expect("an answer")).expect("its own response")
}

/// Codes of the changes, and the levels after them.
async fn alter(
    handle: &Handle,
    changes: &[(&str, i8, Option<&str>)],
    validate_only: bool,
) -> (i16, Vec<String>) {
    let config = |(name, operation, value): &(&str, i8, Option<&str>)| AlterableConfig {
        name: (*name).into(),
        config_operation: *operation,
        value: value.map(Into::into),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: BROKER_LOGGER,
        resource_name: "1".into(),
        configs: changes.iter().map(config).collect(),
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![resource],
        validate_only,
        ..Default::default()
    };
    let code = call(handle, 1, request).await.responses.remove(0).error_code;
    let resource = DescribeConfigsResource {
        resource_type: BROKER_LOGGER,
        resource_name: "1".into(),
        ..Default::default()
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        ..Default::default()
    };
    let told = call(handle, 4, request).await.results.remove(0);
    assert_eq!(told.error_code, 0, "{told:?}");
    assert!(
        told.configs
            .iter()
            .all(|one| one.config_source == 6 && one.synonyms.is_empty())
    );
    let level =
        |one: &forebay_protocol::messages::describe_configs_response::DescribeConfigsResourceResult| {
            format!("{}={}", one.name, one.value.as_deref().unwrap_or_default())
        };
    (code, told.configs.iter().map(level).collect())
}

#[tokio::test]
async fn levels_are_told_and_changed_for_this_process() {
    let (broker, handle, applied, _directory) = start().await;
    let told = |client: &str, admin: &str, root: &str| {
        vec![
            format!("forebay_client={client}"),
            format!("forebay_client::admin={admin}"),
            format!("root={root}"),
        ]
    };
    let set = [("forebay_client", 0, Some("DEBUG")), ("root", 0, Some("ERROR"))];
    let before = told("WARN", "WARN", "WARN");
    assert_eq!(
        alter(&handle, &set, true).await,
        (0, before.clone()),
        "only looked at"
    );
    // One that is wrong spoils the others.
    let wrong = [("forebay_client", 0, Some("DEBUG")), ("nosuch", 0, Some("ERROR"))];
    assert_eq!(alter(&handle, &wrong, false).await, (40, before));
    assert!(applied.lock().expect("no panic").is_empty());
    assert_eq!(
        alter(&handle, &set, false).await,
        (0, told("DEBUG", "DEBUG", "ERROR"))
    );
    let expected = [("forebay_client", LogLevel::Debug), ("root", LogLevel::Error)];
    let expected = expected.map(|(name, level)| (name.to_owned(), level));
    assert_eq!(*applied.lock().expect("no panic"), expected.into());
    let back = [("forebay_client", 1, None)];
    assert_eq!(
        alter(&handle, &back, false).await,
        (0, told("ERROR", "ERROR", "ERROR"))
    );
    broker.run(std::future::ready(())).await.expect("it ends");
}
