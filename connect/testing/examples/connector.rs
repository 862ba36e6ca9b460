//! A source and a sink of one's own, and how they are tested: `cargo test -p forebay-connect-testing`. To use them, hand `plugins()` to
//! the worker. `cargo run -p forebay-connect-testing --example connector` prints the reference page of their configurations.

use std::{io::Write as _, path::PathBuf, sync::Arc};

use forebay_connect_api::{
    Error, ExactlyOnceSupport, OffsetMap, Plugin, SchemaAndValue, SimpleSink, SimpleSource, SinkRecord,
    SinkTaskContext, SourceRecord, SourceTaskContext, config::Configuration,
};

/// What the source is told.
#[derive(Configuration)]
struct NumbersConfig {
    /// The topic to produce to.
    #[config(importance = High, validator = Validator::NonEmpty)]
    topic: Arc<str>,
    /// The first number that is not produced any more.
    #[config(default = 1000)]
    end: u64,
}

/// Counts. Its source offset is the next number, so that none comes twice or never.
struct Numbers {
    config: NumbersConfig,
    next: u64,
}

impl SimpleSource for Numbers {
    type Config = NumbersConfig;
    const EXACTLY_ONCE: ExactlyOnceSupport = ExactlyOnceSupport::Supported;

    async fn start(config: NumbersConfig, context: Arc<dyn SourceTaskContext>) -> Result<Self, Error> {
        let committed = context.offset_reader().offsets(&[OffsetMap::new()]).await?;
        let next = committed[0].as_ref().and_then(|offset| offset.get_int64("next"));
        Ok(Self {
            config,
            next: next.map_or(0, i64::unsigned_abs),
        })
    }

    async fn poll(&mut self) -> Result<Vec<SourceRecord>, Error> {
        if self.next >= self.config.end {
            std::future::pending::<()>().await;
        }
        let value = SchemaAndValue::string(self.next.to_string());
        self.next += 1;
        let offset = OffsetMap::new().with("next", self.next.cast_signed());
        let (partition, topic) = (Arc::new(OffsetMap::new()), Arc::clone(&self.config.topic));
        Ok(vec![SourceRecord::new(partition, Some(offset), topic, value)])
    }
}

/// What the sink is told.
#[derive(Configuration)]
struct AppendConfig {
    /// The file to append to; it is made where it is missing.
    #[config(importance = High)]
    file: PathBuf,
}

/// Appends values to a file, one in a line.
struct Append(std::fs::File);

impl SimpleSink for Append {
    type Config = AppendConfig;

    async fn start(config: AppendConfig, context: Arc<dyn SinkTaskContext>) -> Result<Self, Error> {
        context.access().check_path(&config.file)?;
        let file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(&config.file);
        file.map(Self)
            .map_err(|error| Error::fatal("cannot open the file").with_source(error))
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<(), Error> {
        let lines: String = records
            .iter()
            .map(|record| format!("{}\n", record.value.value))
            .collect();
        let written = self.0.write_all(lines.as_bytes());
        written.map_err(|error| Error::retriable("cannot write").with_source(error))
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.0
            .sync_data()
            .map_err(|error| Error::retriable("cannot sync").with_source(error))
    }
}

/// Both, for the worker's table.
fn plugins() -> [Plugin; 2] {
    [
        Plugin::simple_source::<Numbers>("org.example.NumbersConnector", "1.0"),
        Plugin::simple_sink::<Append>("org.example.AppendConnector", "1.0"),
    ]
}

#[expect(clippy::print_stdout, reason = "it is there to say something")]
fn main() {
    for plugin in plugins() {
        println!("# {}\n", plugin.class);
    }
    println!(
        "{}{}",
        NumbersConfig::definition().to_markdown(2),
        AppendConfig::definition().to_markdown(2)
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use forebay_connect_testing::{Connect, Error, Result};

    use super::plugins;

    #[test]
    fn numbers_go_on_where_a_killed_worker_was() -> Result<()> {
        let mut connect = Connect::start(plugins())?;
        let config = [
            ("connector.class", "org.example.NumbersConnector"),
            ("topic", "numbers"),
            ("end", "500"),
        ];
        connect.run("numbers", &config)?;
        connect.values("numbers", 100)?;
        connect.kill_worker();
        connect.start_worker()?;
        let is_last = || Ok(connect.values("numbers", 500)?.iter().any(|value| value == "499"));
        connect.wait_until("the last number", is_last)?;
        let values: BTreeSet<u64> = connect
            .values("numbers", 500)?
            .iter()
            .map(|value| value.parse().expect("a number"))
            .collect();
        assert_eq!(values, (0..500).collect());
        Ok(())
    }

    #[test]
    fn lines_are_appended_through_a_restart() -> Result<()> {
        let mut connect = Connect::start(plugins())?;
        let file = connect.directory().join("lines");
        connect.produce("words", ["a", "b"])?;
        let path = file.to_string_lossy().into_owned();
        let config = [
            ("connector.class", "AppendConnector"),
            ("topics", "words"),
            ("file", path.as_str()),
        ];
        connect.run("append", &config)?;
        let has = |wanted: &str| {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            Ok(text == wanted)
        };
        connect.wait_until("two lines", || has("a\nb\n"))?;
        connect.stop_worker();
        connect.produce("words", ["c"])?;
        connect.start_worker()?;
        connect.wait_until("a third line", || has("a\nb\nc\n"))
    }

    #[test]
    fn the_worker_says_what_is_wrong() -> Result<()> {
        let connect = Connect::start(plugins())?;
        let refused = connect.run("numbers", &[("connector.class", "Numbers"), ("end", "-1")]);
        let Err(Error::Refused {
            status: 400, message, ..
        }) = refused
        else {
            panic!("{refused:?}");
        };
        assert!(
            message.contains("Missing required configuration \"topic\""),
            "{message}"
        );
        assert!(
            message.contains("Invalid value -1 for configuration end: Value must be at least 0"),
            "{message}"
        );
        let failed = connect.run(
            "append",
            &[
                ("connector.class", "Append"),
                ("topics", "words"),
                ("file", "/nowhere/at/all"),
            ],
        );
        assert!(
            failed
                .expect_err("there is no such folder")
                .to_string()
                .contains("cannot open the file")
        );
        Ok(())
    }
}
