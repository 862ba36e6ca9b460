//! Source tasks that do nothing but give records, and what runs them.

use std::sync::Mutex;

use super::*;
use crate::converter::Converter;
use crate::testing::asked;

/// Gives so many records, one with each poll, and then no more.
pub(super) fn counter(mut left: usize) -> Box<dyn SourceTask> {
    asked(move || {
        if left == 0 {
            return Box::pin(std::future::pending());
        }
        left -= 1;
        let value = SchemaAndValue::string(left.to_string());
        let record = SourceRecord::new(Arc::new(OffsetMap::new()), None, "t".into(), value);
        Box::pin(std::future::ready(Ok(vec![record])))
    })
}

/// Gives all records at once, and then no more.
pub(super) fn given(records: Vec<SourceRecord>) -> Box<dyn SourceTask> {
    let records = Arc::new(Mutex::new(records));
    asked(move || {
        let records = Arc::clone(&records);
        Box::pin(async move {
            let records = std::mem::take(&mut *records.lock().expect("no panic"));
            if records.is_empty() {
                std::future::pending::<()>().await;
            }
            Ok(records)
        })
    })
}

/// A number as a record of the one source partition that there is.
pub(super) fn record(number: i64) -> SourceRecord {
    let offset = OffsetMap::new().with("number", number);
    let value = SchemaAndValue::string(number.to_string());
    SourceRecord::new(Arc::new(OffsetMap::new()), Some(offset), "t".into(), value)
}

pub(super) type Running = tokio::task::JoinHandle<Result<(), Failure>>;

/// Runs a task; what is sent tells it to stop.
pub(super) fn spawn(
    context: &Arc<Context>,
    exactly_once: bool,
    config: ConnectorConfig,
    task: Box<dyn SourceTask>,
) -> (Running, watch::Sender<Command>) {
    spawn_with(context, exactly_once, config, (task, None))
}

/// The same with another converter of values.
pub(super) fn spawn_with(
    context: &Arc<Context>,
    exactly_once: bool,
    config: ConnectorConfig,
    (task, converter): (Box<dyn SourceTask>, Option<Arc<dyn Converter>>),
) -> (Running, watch::Sender<Command>) {
    let (context, id) = (Arc::clone(context), transactional::id());
    let task = (task, "org.example.Task".to_owned());
    let (command, commands) = watch::channel(Command::Be(TargetState::Started));
    let running = if exactly_once {
        let mut runner = TransactionalRunner::new(context, id, config, task).expect("sound");
        if let Some(converter) = converter {
            runner.converters = runner.converters.clone().with_value(converter);
        }
        tokio::spawn(runner.run(Arc::default(), commands, std::future::ready(Ok(()))))
    } else {
        let mut runner = SourceTaskRunner::new(context, id, config, task).expect("sound");
        if let Some(converter) = converter {
            runner.converters = runner.converters.clone().with_value(converter);
        }
        tokio::spawn(runner.run(Arc::default(), commands))
    };
    (running, command)
}
