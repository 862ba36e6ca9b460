//! A source task against the client's model cluster. Time is virtual.

mod forgotten;
mod letters;
mod tasks;
mod transactional;
mod waiting;

use forebay_client::model::{Fault, Model};
use forebay_connect_api::{OffsetMap, PluginType, SchemaAndValue};
use forebay_protocol::{ErrorCode, Request};

use super::*;
use crate::config::Config;
use crate::store::offset::OffsetStore;

fn runner(model: &Arc<Model>, records: usize) -> SourceTaskRunner {
    runner_with(model, records, &[])
}

fn runner_with(model: &Arc<Model>, records: usize, more: &[(&str, &str)]) -> SourceTaskRunner {
    let client = model.client(&[]);
    let context = crate::testing::context(&client, OffsetStore::detached(&client));
    let string = "org.apache.kafka.connect.storage.StringConverter";
    let properties = [
        ("name", "c"),
        ("connector.class", "Counter"),
        ("key.converter", string),
        ("value.converter", string),
    ];
    let properties: Properties = properties
        .iter()
        .chain(more)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let config = ConnectorConfig::new(PluginType::Source, Arc::new(properties)).expect("sound");
    let id = TaskId {
        connector: "c".into(),
        task: 0,
    };
    SourceTaskRunner::new(context, id, config, (tasks::counter(records), "Task".to_owned()))
        .expect("sound converters")
}

/// LOW 24 of the second attack review: what the next start sends again must not come from the old one as well. Whether the task
/// is told to stop, or its supervisor has lost its patience.
#[tokio::test(start_paused = true)]
async fn what_was_not_acknowledged_in_time_is_sent_no_more() {
    for is_told in [true, false] {
        let model = Model::new(1);
        model.create_topic("t", 1);
        model.faults(|_, request| match request {
            Request::Produce(_) => Fault::Refuse(ErrorCode::NotEnoughReplicas),
            _ => Fault::None,
        });
        let (command, commands) = watch::channel(Command::Be(TargetState::Started));
        let running = tokio::spawn(runner(&model, 3).run(Arc::default(), commands));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(model.values("t", 0).is_empty() && !running.is_finished());
        if is_told {
            command.send_replace(Command::Stop);
            running.await.expect("no panic").expect("it ends well");
        } else {
            running.abort();
            assert!(running.await.is_err_and(|error| error.is_cancelled()));
        }
        model.faults(|_, _| Fault::None);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(model.values("t", 0), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_be_delivered_while_it_stops_is() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.faults(|_, request| match request {
        Request::Produce(_) => Fault::Delay(Duration::from_secs(1)),
        _ => Fault::None,
    });
    let (command, commands) = watch::channel(Command::Be(TargetState::Started));
    let running = tokio::spawn(runner(&model, 3).run(Arc::default(), commands));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let stopped = Instant::now();
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
    assert!(
        stopped.elapsed() > Duration::from_millis(400),
        "it waits for the answer"
    );
    assert_eq!(model.values("t", 0), ["2", "1", "0"]);
}

/// Records go through the connector's transformations before they are converted; what is filtered, or skipped with an error that is
/// tolerated, holds up nobody.
#[tokio::test(start_paused = true)]
async fn records_are_transformed_before_they_are_converted() {
    let route = [
        ("transforms", "r"),
        ("transforms.r.type", "RegexRouter"),
        ("transforms.r.regex", "t"),
        ("transforms.r.replacement", "u"),
    ];
    let filter = [("transforms", "f"), ("transforms.f.type", "Filter")];
    let fail = [
        ("transforms", "x"),
        ("transforms.x.type", "ExtractField$Value"),
        ("transforms.x.field", "a"),
    ];
    let tolerant = [&fail[..], &[("errors.tolerance", "all")]].concat();
    for (keys, routed, failure) in [
        (&route[..], &["2", "1", "0"][..], None),
        (&filter, &[], None),
        (&tolerant, &[], None),
        (
            &fail,
            &[],
            Some("Only Struct objects supported for [field extraction], found: java.lang.String"),
        ),
    ] {
        let model = Model::new(1);
        model.create_topic("t", 1);
        model.create_topic("u", 1);
        let (command, commands) = watch::channel(Command::Be(TargetState::Started));
        let running = tokio::spawn(runner_with(&model, 3, keys).run(Arc::default(), commands));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(model.values("t", 0), [""; 0]);
        assert_eq!(model.values("u", 0), routed);
        assert_eq!(running.is_finished(), failure.is_some());
        command.send_replace(Command::Stop);
        let ended = running.await.expect("no panic");
        match (ended, failure) {
            (Ok(()), None) => {}
            (Err(Failure::Run(error)), Some(message)) => {
                assert!(error.trace().ends_with(message), "{}", error.trace());
            }
            (ended, _) => panic!("{ended:?}"),
        }
    }
}
