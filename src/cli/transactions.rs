//! `forebay transactions` (Kafka's `TransactionsCommand`, `kafka-transactions.sh`): transactions as coordinators know them, and as
//! partitions do; where the two differ for long, one hangs.

mod hanging;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use forebay_client::admin::{ProducerState, TransactionDescription, TransactionFilter};
use forebay_client::{Admin, Error};
use forebay_protocol::{ErrorCode, NodeId, TopicPartition};
use forebay_records::{Offset, ProducerEpoch, ProducerId};

use super::commands::{Command, Commands};
use super::options::{Options, Stop, Tool, valued};
use super::table::table;

static TOOL: Tool = Tool {
    name: "transactions",
    about: "list, describe: shows transactions; describe-producers: the producers of a partition; find-hanging: transactions whose \
            coordinator has forgotten them; abort: ends one; forceTerminateTransaction: ends that of a transactional id.",
    flags: &[
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued(
            "broker-id",
            "id",
            "describe-producers, find-hanging: on this broker.",
        ),
        valued("command-config", "file", "Properties of the admin client."),
        valued("coordinator-epoch", "epoch", "abort, of brokers before 3.0."),
        valued(
            "duration-filter",
            "ms",
            "list: only those that have been running for longer.",
        ),
        valued(
            "max-transaction-timeout",
            "minutes",
            "find-hanging: those that are open for longer; 15 unless given.",
        ),
        valued("partition", "number", "The partition."),
        valued("producer-epoch", "epoch", "abort, of brokers before 3.0."),
        valued("producer-id", "id", "abort, of brokers before 3.0."),
        valued("start-offset", "offset", "abort: where the transaction begins."),
        valued("topic", "name", "The topic."),
        valued("transactional-id", "id", "describe: whose."),
        valued(
            "transactional-id-pattern",
            "regex",
            "list: only those whose whole id matches.",
        ),
        valued("transactionalId", "id", "forceTerminateTransaction: whose."),
    ],
    gone: &[],
};

const fn command(
    name: &'static str,
    flags: &'static [&'static str],
    required: &'static [&'static str],
) -> Command {
    Command {
        name,
        flags,
        required,
    }
}

static COMMANDS: Commands = Commands {
    tool: &TOOL,
    commands: &[
        command(
            "list",
            &["duration-filter", "transactional-id-pattern"],
            &["bootstrap-server"],
        ),
        command(
            "describe",
            &["transactional-id"],
            &["bootstrap-server", "transactional-id"],
        ),
        command(
            "describe-producers",
            &["broker-id", "topic", "partition"],
            &["bootstrap-server", "topic", "partition"],
        ),
        command(
            "abort",
            &[
                "topic",
                "partition",
                "start-offset",
                "producer-id",
                "producer-epoch",
                "coordinator-epoch",
            ],
            &["bootstrap-server", "topic", "partition"],
        ),
        command(
            "find-hanging",
            &["broker-id", "max-transaction-timeout", "topic", "partition"],
            &["bootstrap-server"],
        ),
        command(
            "forceTerminateTransaction",
            &["transactionalId"],
            &["bootstrap-server", "transactionalId"],
        ),
    ],
    short: &[],
};

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    COMMANDS.run(arguments, |command, options| async move {
        let server = options.required("bootstrap-server")?;
        super::patiently(server, act(command.name, &options)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn act(command: &str, options: &Options) -> Result<(), Stop> {
    let admin = super::admin(options)?;
    match command {
        "list" => list(&admin, options).await,
        "describe" => describe(&admin, options.required("transactional-id")?).await,
        "describe-producers" => describe_producers(&admin, options).await,
        "abort" => abort(&admin, options).await,
        "find-hanging" => hanging::find(&admin, options).await,
        _ => {
            let id = options.required("transactionalId")?;
            let ended = admin.force_terminate_transaction(id).await;
            ended.map_err(|error| {
                failed(
                    &format!("Failed to force terminate transactionalId `{id}`"),
                    &error,
                )
            })
        }
    }
}

/// As `printErrorAndExit` puts it.
fn failed(what: &str, error: &Error) -> Stop {
    let reason = super::reason(error);
    Stop::Failed(format!(
        "{what}: {reason}. Enable debug logging for additional detail."
    ))
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

async fn list(admin: &Admin, options: &Options) -> Result<(), Stop> {
    let duration: Option<i64> = options.number("duration-filter")?;
    let filter = TransactionFilter {
        producer_ids: Vec::new(),
        running_longer_than_ms: duration.filter(|duration| *duration >= 0),
        transactional_id_pattern: options.value("transactional-id-pattern")?.map(ToOwned::to_owned),
    };
    let listed = admin.list_transactions(&filter).await;
    let listed = listed.map_err(|error| failed("Failed to list transactions", &error))?;
    let mut rows = Vec::new();
    for (coordinator, transactions) in listed {
        rows.extend(transactions.into_iter().map(|transaction| {
            vec![
                transaction.transactional_id,
                coordinator.to_string(),
                transaction.producer_id.to_string(),
                transaction.state,
            ]
        }));
    }
    super::print(&table(
        &["TransactionalId", "Coordinator", "ProducerId", "TransactionState"],
        &rows,
    ));
    Ok(())
}

async fn describe(admin: &Admin, id: &str) -> Result<(), Stop> {
    let what = format!("Failed to describe transaction state of transactional-id `{id}`");
    let described = admin
        .describe_transactions(&[id])
        .await
        .map_err(|error| failed(&what, &error))?;
    for (_, outcome) in described {
        let description = outcome.map_err(|error| match error.code() {
            Some(ErrorCode::TransactionalIdNotFound) => Stop::Failed(format!(
                "{what}: DescribeTransactions request for transactionalId `{id}` failed because the ID could not be found. \
                 Enable debug logging for additional detail."
            )),
            _ => failed(&what, &error),
        })?;
        super::print(&description_table(id, &description, now_ms()));
    }
    Ok(())
}

fn description_table(id: &str, transaction: &TransactionDescription, now_ms: i64) -> String {
    const HEADER: [&str; 9] = [
        "CoordinatorId",
        "TransactionalId",
        "ProducerId",
        "ProducerEpoch",
        "TransactionState",
        "TransactionTimeoutMs",
        "CurrentTransactionStartTimeMs",
        "TransactionDurationMs",
        "TopicPartitions",
    ];
    let or_none = |number: Option<i64>| number.map_or_else(|| "None".to_owned(), |number| number.to_string());
    let started = transaction.started.map(|started| started.0);
    let partitions: Vec<String> = transaction.partitions.iter().map(ToString::to_string).collect();
    let row = vec![
        transaction.coordinator.to_string(),
        id.to_owned(),
        transaction.producer_id.to_string(),
        transaction.producer_epoch.to_string(),
        transaction.state.clone(),
        transaction.timeout_ms.to_string(),
        or_none(started),
        or_none(started.map(|started| now_ms - started)),
        partitions.join(","),
    ];
    table(&HEADER, &[row])
}

fn partition(options: &Options) -> Result<TopicPartition, Stop> {
    let number: Option<i32> = options.number("partition")?;
    Ok(TopicPartition::new(
        options.required("topic")?,
        number.unwrap_or_default(),
    ))
}

async fn producers(
    admin: &Admin,
    partition: &TopicPartition,
    broker: Option<NodeId>,
) -> Result<Vec<ProducerState>, Error> {
    let mut described = admin
        .describe_producers(std::slice::from_ref(partition), broker)
        .await?;
    described
        .remove(partition)
        .transpose()
        .map(Option::unwrap_or_default)
}

async fn describe_producers(admin: &Admin, options: &Options) -> Result<(), Stop> {
    const HEADER: [&str; 6] = [
        "ProducerId",
        "ProducerEpoch",
        "LatestCoordinatorEpoch",
        "LastSequence",
        "LastTimestamp",
        "CurrentTransactionStartOffset",
    ];
    let partition = partition(options)?;
    let broker: Option<i32> = options.number("broker-id")?;
    let producers = producers(admin, &partition, broker.map(NodeId))
        .await
        .map_err(|error| {
            let place = broker.map_or_else(|| "leader".to_owned(), |id| format!("broker {id}"));
            failed(
                &format!("Failed to describe producers for partition {partition} on {place}"),
                &error,
            )
        })?;
    let row = |producer: &ProducerState| {
        let start = producer.transaction_start;
        vec![
            producer.producer_id.to_string(),
            producer.producer_epoch.to_string(),
            producer.coordinator_epoch.unwrap_or(-1).to_string(),
            producer.last_sequence.to_string(),
            producer.last_timestamp.to_string(),
            start.map_or_else(|| "None".to_owned(), |offset| offset.to_string()),
        ]
    };
    let rows: Vec<Vec<String>> = producers.iter().map(row).collect();
    super::print(&table(&HEADER, &rows));
    Ok(())
}

async fn abort(admin: &Admin, options: &Options) -> Result<(), Stop> {
    let message = |text: &str| Stop::Failed(text.to_owned());
    let partition = partition(options)?;
    let start: Option<i64> = options.number("start-offset")?;
    let producer: Option<i64> = options.number("producer-id")?;
    let (id, epoch, coordinator_epoch) = match (start, producer) {
        (Some(start), _) => open_at(admin, &partition, Offset(start)).await?,
        (None, None) => {
            return Err(message(
                "The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or with \
                 --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)",
            ));
        }
        (None, Some(producer)) => {
            let epoch: Option<i16> = options.number("producer-epoch")?;
            let epoch = epoch.ok_or_else(|| message("Missing required argument --producer-epoch"))?;
            let coordinator: Option<i32> = options.number("coordinator-epoch")?;
            let coordinator =
                coordinator.ok_or_else(|| message("Missing required argument --coordinator-epoch"))?;
            (ProducerId(producer), ProducerEpoch(epoch), coordinator.max(0))
        }
    };
    let aborted = admin
        .abort_transaction(&partition, id, epoch, coordinator_epoch)
        .await;
    aborted.map_err(|error| {
        let what = format!(
            "Failed to abort transaction AbortTransactionSpec(topicPartition={partition}, producerId={id}, \
             producerEpoch={epoch}, coordinatorEpoch={coordinator_epoch})"
        );
        failed(&what, &error)
    })
}

/// The producer whose open transaction begins at an offset.
async fn open_at(
    admin: &Admin,
    partition: &TopicPartition,
    start: Offset,
) -> Result<(ProducerId, ProducerEpoch, i32), Stop> {
    let producers = producers(admin, partition, None).await.map_err(|error| {
        failed(
            &format!("Failed to validate producer state for partition {partition}"),
            &error,
        )
    })?;
    let found = producers
        .iter()
        .find(|producer| producer.transaction_start == Some(start));
    let found = found.ok_or_else(|| {
        Stop::Failed(format!(
            "Could not find any open transactions starting at offset {start} on partition {partition}"
        ))
    })?;
    Ok((
        found.producer_id,
        found.producer_epoch,
        found.coordinator_epoch.unwrap_or(0),
    ))
}

#[cfg(test)]
mod tests {
    use forebay_records::Timestamp;

    use super::*;

    #[test]
    fn a_transaction_is_described_with_what_has_passed_since_it_began() {
        let mut transaction = TransactionDescription {
            coordinator: NodeId(1),
            state: "Ongoing".to_owned(),
            producer_id: ProducerId(7),
            producer_epoch: ProducerEpoch(2),
            timeout_ms: 60_000,
            started: Some(Timestamp(1000)),
            partitions: vec![TopicPartition::new("a", 0), TopicPartition::new("b", 3)],
        };
        let cells = |transaction: &TransactionDescription| -> Vec<String> {
            let table = description_table("tx", transaction, 1500);
            let row = table.lines().nth(1).expect("a row").to_owned();
            row.split('\t').map(|cell| cell.trim().to_owned()).collect()
        };
        let row = cells(&transaction);
        assert_eq!(
            row[..9],
            ["1", "tx", "7", "2", "Ongoing", "60000", "1000", "500", "a-0,b-3"]
        );
        transaction.started = None;
        assert_eq!(cells(&transaction)[6..8], ["None", "None"]);
    }
}
