//! The task. Reading happens on a blocking thread; what is under way there stays in the task, so that `poll` can be dropped at
//! any time.

use std::{sync::Arc, time::Duration};

use forebay_connect_api::{
    BoxFuture, Error, OffsetMap, SourceRecord, SourceTask, SourceTaskContext, config::Properties,
};
use tokio::{task::JoinHandle, time::Instant};

use super::{
    completion::Completion,
    config::Config,
    reader::{Call, Reader},
};

/// How often files that do not grow are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Reads a share of a directory's files.
#[derive(Debug, Default)]
pub(super) struct DirectorySourceTask {
    started: Option<Started>,
}

#[derive(Debug)]
struct Started {
    context: Arc<dyn SourceTaskContext>,
    config: Arc<Config>,
    completion: Arc<Completion>,
    begun: Instant,
    list_at: Instant,
    work: Work,
}

type Polled = Result<Vec<SourceRecord>, Error>;

#[derive(Debug)]
enum Work {
    Idle(Box<Reader>),
    /// A thread has the reader; the handle gives it back.
    Busy(JoinHandle<(Box<Reader>, Polled)>),
    /// The last read panicked or was cancelled with the runtime.
    Lost,
}

impl SourceTask for DirectorySourceTask {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SourceTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let parsed = Config::parse(properties).map_err(Error::from).map(|config| {
            let (config, access) = (Arc::new(config), context.access().clone());
            let completion = Arc::new(Completion::new(Arc::clone(&config), access.clone()));
            let reader = Reader::new(Arc::clone(&config), access, Arc::clone(&completion));
            let now = Instant::now();
            self.started = Some(Started {
                context,
                config,
                completion,
                begun: now,
                list_at: now,
                work: Work::Idle(Box::new(reader)),
            });
        });
        Box::pin(std::future::ready(parsed))
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, Error>> {
        Box::pin(async {
            match &mut self.started {
                Some(started) => started.poll().await,
                None => Err(Error::fatal("the task has not started")),
            }
        })
    }

    fn commit<'a>(
        &'a mut self,
        offsets: &'a [(Arc<OffsetMap>, OffsetMap)],
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let Some(started) = &self.started else {
                return Ok(());
            };
            if !started.completion.matters() {
                return Ok(());
            }
            started.completion.committed(offsets);
            let completion = Arc::clone(&started.completion);
            let cleaned = tokio::task::spawn_blocking(move || completion.clean());
            cleaned
                .await
                .map_err(|error| Error::fatal("the thread that cleans up files ended").with_source(error))
        })
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.started = None;
        Box::pin(std::future::ready(()))
    }
}

impl Started {
    async fn poll(&mut self) -> Result<Vec<SourceRecord>, Error> {
        loop {
            let records = self.read().await?;
            if !records.is_empty() {
                return Ok(records);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Lists the directory if it is time to, and reads, on a blocking thread.
    async fn read(&mut self) -> Result<Vec<SourceRecord>, Error> {
        if let Work::Idle(reader) = &self.work {
            let now = Instant::now();
            let lists = self.list_at <= now || reader.wants_listing();
            let mut offsets = None;
            if lists && reader.wants_offsets() {
                offsets = Some(self.context.offset_reader().all().await?);
            }
            if lists {
                self.list_at = now + self.config.listing_interval;
            }
            self.begin(
                lists,
                Call {
                    now: now - self.begun,
                    offsets,
                },
            );
        }
        match &mut self.work {
            Work::Busy(handle) => {
                let ended = handle.await;
                let (mut reader, records) = ended.map_err(|error| {
                    Error::fatal("the thread that reads the files ended").with_source(error)
                })?;
                if let Some(progress) = reader.take_progress() {
                    self.context.report_progress(progress);
                }
                self.work = Work::Idle(reader);
                records
            }
            Work::Idle(_) | Work::Lost => Err(Error::fatal("the files were lost by a read that failed")),
        }
    }

    fn begin(&mut self, lists: bool, call: Call) {
        match std::mem::replace(&mut self.work, Work::Lost) {
            Work::Idle(mut reader) => {
                self.work = Work::Busy(tokio::task::spawn_blocking(move || {
                    let now = call.now;
                    let listed = if lists { reader.list(call) } else { Ok(()) };
                    let records = listed.and_then(|()| reader.read(now));
                    (reader, records)
                }));
            }
            other => self.work = other,
        }
    }
}
