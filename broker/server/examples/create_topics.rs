//! How long CreateTopics takes, one topic after the other. `cargo run --release -p forebay-broker-server --example create_topics --
//! [TOPICS]`.

use std::time::Instant;

use forebay_broker_server::{Broker, BrokerConfig, CallContext, Options};
use forebay_config::Properties;
use forebay_protocol::messages::CreateTopicsRequest;
use forebay_protocol::messages::create_topics_request::CreatableTopic;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it is there to say something")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let topics: usize = std::env::args().nth(1).as_deref().unwrap_or("1000").parse()?;
    let directory = tempfile::tempdir()?;
    let properties: Properties = [
        ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("log.dirs", directory.path().display().to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let broker = Broker::start(Options::new(BrokerConfig::parse(&properties)?)).await?;
    let router = broker.handle().router().clone();
    let mut took = Vec::with_capacity(topics);
    for number in 0..topics {
        let topic = CreatableTopic {
            name: format!("t{number}").into(),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: 10_000,
            ..Default::default()
        };
        let began = Instant::now();
        let context = CallContext::in_process("example", "PLAINTEXT");
        router.call(context, 7, request.into()).await.ok_or("no answer")?;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_unstable_by(f64::total_cmp);
    let quantile = |thousandths: usize| took[(topics * thousandths / 1000).min(topics - 1)];
    println!(
        "{topics} topics: p50 {:.3} ms, p90 {:.3} ms, p99 {:.3} ms, the longest {:.3} ms",
        quantile(500),
        quantile(900),
        quantile(990),
        quantile(1000)
    );
    broker.run(std::future::ready(())).await?;
    Ok(())
}
