//! The task: makes the records that are due.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use forebay_connect_api::{
    BoxFuture, Error, Headers, OffsetMap, Progress, Schema, SchemaAndValue, SourceRecord, SourceTask,
    SourceTaskContext, Value, config::Properties, schema::Type,
};
use tokio::time::Instant;

use crate::{
    CURRENT_ITERATION, RANDOM_SEED, TASK_GENERATION, TASK_ID,
    config::{Config, Model, Pace},
    random::Random,
};

/// Records given out at once, at most.
const BATCH_RECORDS: u64 = 1000;
/// Who is later than this, by a pause or a slow broker, goes on from now: nobody wants what was missed in one burst.
const LATE_MAX: Duration = Duration::from_secs(1);

/// What chance is for.
const FOR_VALUES: u64 = 0;
const FOR_INTERVALS: u64 = 1;

/// Makes the records of one sequence.
#[derive(Debug, Default)]
pub(crate) struct DatagenTask {
    started: Option<Started>,
}

#[derive(Debug)]
struct Started {
    context: Arc<dyn SourceTaskContext>,
    config: Config,
    model: Model,
    partition: Arc<OffsetMap>,
    seed: i64,
    /// How often the task was started with records to go on from.
    generation: i64,
    /// The place of the next record.
    iteration: u64,
    /// When that is due, or, of a rate, from when and which record on it counts.
    clock: Option<(Instant, u64)>,
}

impl SourceTask for DatagenTask {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SourceTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let config = Config::parse(properties)?;
            let model = config.load(context.access()).await?;
            let partition = OffsetMap::new().with(TASK_ID, i64::from(config.task));
            let found = context
                .offset_reader()
                .offsets(std::slice::from_ref(&partition))
                .await?;
            let offset = found.into_iter().next().flatten().unwrap_or_default();
            let iteration = offset.get_int64(CURRENT_ITERATION).unwrap_or(0);
            let iteration = u64::try_from(iteration)
                .map_err(|_| Error::fatal(format!("{offset} is no source offset")))?;
            let drawn = || RandomState::new().hash_one(config.task).cast_signed();
            let seed = config
                .seed
                .or_else(|| offset.get_int64(RANDOM_SEED))
                .unwrap_or_else(drawn);
            self.started = Some(Started {
                context,
                partition: Arc::new(partition),
                seed,
                generation: offset.get_int64(TASK_GENERATION).unwrap_or(0),
                iteration,
                clock: None,
                config,
                model,
            });
            Ok(())
        })
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, Error>> {
        Box::pin(async {
            match &mut self.started {
                Some(started) => Ok(started.poll().await),
                None => Err(Error::fatal("the task has not started")),
            }
        })
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.started = None;
        Box::pin(std::future::ready(()))
    }
}

impl Started {
    async fn poll(&mut self) -> Vec<SourceRecord> {
        loop {
            let left = self
                .config
                .records
                .map_or(u64::MAX, |end| end.saturating_sub(self.iteration));
            if left == 0 {
                self.tell();
                return std::future::pending().await;
            }
            match self.due(Instant::now()) {
                Ok(count) => {
                    let records = (0..count.min(left).min(BATCH_RECORDS))
                        .map(|_| self.make())
                        .collect();
                    self.tell();
                    return records;
                }
                Err(at) => tokio::time::sleep_until(at).await,
            }
        }
    }

    /// Says how far it is, if there is an end.
    fn tell(&self) {
        if let Some(end) = self.config.records {
            let done = self.iteration.min(end);
            self.context.report_progress(Progress::records(done, end));
        }
    }

    /// How many records are due, at least one, or when the next is.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    fn due(&mut self, now: Instant) -> Result<u64, Instant> {
        match self.config.pace {
            Pace::Unlimited => Ok(BATCH_RECORDS),
            Pace::Rate(rate) => {
                let clock = self.clock.get_or_insert((now, self.iteration));
                let behind = |clock: &(Instant, u64), iteration: u64| {
                    let due = (now - clock.0).as_secs_f64() * rate + 1.0;
                    due as u64 - (iteration - clock.1).min(due as u64)
                };
                if behind(clock, self.iteration) as f64 > (rate * LATE_MAX.as_secs_f64()).max(1.0) {
                    *clock = (now, self.iteration);
                }
                match behind(clock, self.iteration) {
                    // A little later than exact, so that rounding cannot make it wait in circles.
                    0 => {
                        let place = (self.iteration - clock.1) as f64;
                        Err(clock.0 + Duration::from_secs_f64(place / rate) + Duration::from_micros(1))
                    }
                    count => Ok(count),
                }
            }
            Pace::Interval(max) => {
                let mut at = match self.clock {
                    Some((at, _)) if at + LATE_MAX < now => now,
                    Some((at, _)) => at,
                    None => now + self.interval(max, self.iteration),
                };
                let mut count = 0;
                while at <= now && count < BATCH_RECORDS {
                    count += 1;
                    at += self.interval(max, self.iteration + count);
                }
                self.clock = Some((at, 0));
                if count == 0 { Err(at) } else { Ok(count) }
            }
        }
    }

    /// The time before a record, in whole milliseconds as Confluent's.
    fn interval(&self, max: Duration, iteration: u64) -> Duration {
        let mut random = Random::new(self.seed, self.config.task, iteration, FOR_INTERVALS);
        let milliseconds = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random.below(milliseconds.max(1)))
    }

    fn make(&mut self) -> SourceRecord {
        let iteration = self.iteration;
        self.iteration += 1;
        let mut random = Random::new(self.seed, self.config.task, iteration, FOR_VALUES);
        let template = &self.model.template;
        let value = SchemaAndValue::new(
            Arc::clone(&template.schema),
            template.value(iteration, &mut random),
        );
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let offset = OffsetMap::new()
            .with(CURRENT_ITERATION, count(self.iteration))
            .with(RANDOM_SEED, self.seed)
            .with(TASK_GENERATION, self.generation + 1);
        SourceRecord {
            key: self.key(&value),
            headers: self.headers(count(iteration)),
            ..SourceRecord::new(
                Arc::clone(&self.partition),
                Some(offset),
                Arc::clone(&self.config.topic),
                value,
            )
        }
    }

    fn key(&self, value: &SchemaAndValue) -> SchemaAndValue {
        let found = self
            .model
            .key_field
            .as_deref()
            .and_then(|field| match &value.value {
                Value::Struct(record) => record.schema().field(field).zip(record.get(field)),
                _ => None,
            });
        match found {
            Some((field, key)) => SchemaAndValue {
                schema: Some(Arc::clone(&field.schema)),
                value: key.clone(),
            },
            None => SchemaAndValue::new(Schema::optional_string_schema(), Value::Null),
        }
    }

    fn headers(&self, iteration: i64) -> Headers {
        let schema = Schema::primitive(Type::Int64, false).expect("INT64 is primitive");
        let mut headers = Headers::new();
        for (name, number) in [
            (TASK_GENERATION, self.generation),
            (TASK_ID, i64::from(self.config.task)),
            (CURRENT_ITERATION, iteration),
        ] {
            headers.add(name, SchemaAndValue::new(Arc::clone(&schema), number));
        }
        headers
    }
}
