//! `forebay delete-records` (Kafka's `DeleteRecordsCommand`, `kafka-delete-records.sh`): deletes the records before an offset of
//! each partition.

use std::collections::BTreeMap;
use std::process::ExitCode;

use forebay_protocol::TopicPartition;
use forebay_records::Offset;

use super::options::{Options, Stop, Tool, valued};
use super::partition_file;

static TOOL: Tool = Tool {
    name: "delete-records",
    about: "Deletes the records before an offset of each partition.",
    flags: &[
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued("command-config", "file", "Properties of the admin client."),
        valued(
            "offset-json-file",
            "file",
            "REQUIRED: {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1, \"offset\": 1}], \"version\": 1}; offset -1 deletes \
             all there are.",
        ),
    ],
    gone: &[],
};

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        let server = options.required("bootstrap-server")?;
        let path = options.required("offset-json-file")?;
        let before = offsets(&super::text_file(path)?)?;
        super::patiently(server, delete(&options, &before)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn delete(options: &Options, before: &BTreeMap<TopicPartition, Offset>) -> Result<(), Stop> {
    let admin = super::admin(options)?;
    say!("Executing records delete operation");
    let outcomes = admin.delete_records(before).await?;
    say!("Records delete operation completed:");
    for (partition, outcome) in outcomes {
        match outcome {
            Ok(low) => say!("partition: {partition}\tlow_watermark: {low}"),
            Err(error) => say!(
                "partition: {partition}\terror: {}",
                super::java::exception(&error)
            ),
        }
    }
    Ok(())
}

fn offsets(text: &str) -> Result<BTreeMap<TopicPartition, Offset>, Stop> {
    let mut offsets = BTreeMap::new();
    let mut twice = Vec::new();
    for (partition, entry) in partition_file::read(text)? {
        let offset = partition_file::number(&entry, "offset")?;
        if offsets.insert(partition.clone(), Offset(offset)).is_some() {
            twice.push(partition.to_string());
        }
    }
    if twice.is_empty() {
        return Ok(offsets);
    }
    Err(Stop::Failed(format!(
        "Offset json file contains duplicate topic partitions: {}",
        twice.join(",")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_an_offset_of_each_partition() {
        let text = r#"{"partitions": [{"topic": "a", "partition": 1, "offset": 5}, {"topic": "a", "partition": 0, "offset": -1}]}"#;
        let expected = [
            (TopicPartition::new("a", 0), Offset(-1)),
            (TopicPartition::new("a", 1), Offset(5)),
        ];
        assert_eq!(offsets(text), Ok(expected.into()));
        let twice = r#"{"version": 1, "partitions": [{"topic": "a", "partition": 1, "offset": 5},
                        {"topic": "a", "partition": 1, "offset": 6}]}"#;
        let cases = [
            (twice, "Offset json file contains duplicate topic partitions: a-1"),
            ("{", "The input string is not a valid JSON"),
            ("{}", "Missing partitions field"),
            (
                r#"{"version": 2, "partitions": []}"#,
                "Not supported version field value 2",
            ),
            (
                r#"{"partitions": [{"topic": "a", "partition": 1}]}"#,
                "No such field exists: `offset`",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(offsets(text), Err(Stop::Failed(message.to_owned())), "{text}");
        }
    }
}
