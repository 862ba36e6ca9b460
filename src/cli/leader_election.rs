//! `forebay leader-election` (Kafka's `LeaderElectionCommand`, `kafka-leader-election.sh`).

use std::process::ExitCode;

use forebay_client::admin::ElectionType;
use forebay_config::Properties;
use forebay_protocol::{ErrorCode, TopicPartition};

use super::options::{Options, Stop, Tool, switch, valued};
use super::partition_file;

static TOOL: Tool = Tool {
    name: "leader-election",
    about: "Elects leaders of partitions.",
    flags: &[
        valued("admin.config", "file", "The old name of --command-config."),
        switch("all-topic-partitions", "All partitions that need it."),
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued("command-config", "file", "Properties of the admin client."),
        valued(
            "election-type",
            "type",
            "REQUIRED: preferred (the first replica, if it is in sync) or unclean (any that is up, whatever is lost).",
        ),
        valued("partition", "number", "With --topic: the partition."),
        valued(
            "path-to-json-file",
            "file",
            "{\"partitions\": [{\"topic\": \"foo\", \"partition\": 1}, {\"topic\": \"foobar\", \"partition\": 2}]}",
        ),
        valued("topic", "name", "The topic."),
    ],
    gone: &[],
};

const SCOPES: [&str; 3] = ["topic", "all-topic-partitions", "path-to-json-file"];

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        let election = check(&options)?;
        let partitions = partitions(&options)?;
        let server = options.required("bootstrap-server")?;
        super::patiently(server, elect(&options, election, partitions)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn check(options: &Options) -> Result<ElectionType, Stop> {
    let failed = |message: String| Err(Stop::Failed(message));
    let missing: Vec<&str> = ["bootstrap-server", "election-type"]
        .into_iter()
        .filter(|name| !options.has(name))
        .collect();
    if !missing.is_empty() {
        return failed(format!("Missing required option(s): {}", missing.join(", ")));
    }
    options.exclude("admin.config", &["command-config"])?;
    if SCOPES.iter().filter(|scope| options.has(scope)).count() != 1 {
        return failed(format!(
            "One and only one of the following options is required: {}",
            SCOPES.join(", ")
        ));
    }
    if options.has("topic") && !options.has("partition") {
        return failed("Missing required option(s): partition".to_owned());
    }
    if !options.has("topic") && options.has("partition") {
        return failed("Option partition is only allowed if topic is used".to_owned());
    }
    let election = options.required("election-type")?;
    match election.to_ascii_lowercase().as_str() {
        "preferred" => Ok(ElectionType::Preferred),
        "unclean" => Ok(ElectionType::Unclean),
        _ => failed(format!(
            "Cannot parse argument '{election}' of option election-type"
        )),
    }
}

fn partitions(options: &Options) -> Result<Option<Vec<TopicPartition>>, Stop> {
    if let Some(path) = options.value("path-to-json-file")? {
        let listed = partition_file::read(&super::text_file(path)?)?;
        let partitions: Vec<TopicPartition> = listed.into_iter().map(|(partition, _)| partition).collect();
        let mut twice: Vec<String> = (0..partitions.len())
            .filter(|at| partitions[..*at].contains(&partitions[*at]))
            .map(|at| partitions[at].to_string())
            .collect();
        twice.dedup();
        if !twice.is_empty() {
            return Err(Stop::Failed(format!(
                "Replica election data contains duplicate partitions: [{}]",
                twice.join(", ")
            )));
        }
        return Ok(Some(partitions));
    }
    let number: Option<i32> = options.number("partition")?;
    Ok(options
        .value("topic")?
        .zip(number)
        .map(|(topic, number)| vec![TopicPartition::new(topic, number)]))
}

async fn elect(
    options: &Options,
    election: ElectionType,
    partitions: Option<Vec<TopicPartition>>,
) -> Result<(), Stop> {
    let mut properties = Properties::new();
    if let Some(path) = options.value("admin.config")? {
        say!(
            "Option --admin.config has been deprecated and will be removed in a future version. Use --command-config instead."
        );
        properties = super::properties_file(path)?;
    } else if let Some(path) = options.value("command-config")? {
        properties = super::properties_file(path)?;
    }
    properties
        .entry("default.api.timeout.ms".to_owned())
        .or_insert_with(|| "30000".to_owned());
    let admin = super::admin_with(options, &properties)?;
    let name = match election {
        ElectionType::Preferred => "PREFERRED",
        ElectionType::Unclean => "UNCLEAN",
    };
    let outcomes = match admin.elect_leaders(election, partitions.as_deref()).await {
        Ok(outcomes) => outcomes,
        Err(error @ forebay_client::Error::Timeout { .. }) => {
            say!("Timeout waiting for election results");
            return Err(Stop::Failed(error.to_string()));
        }
        Err(error) => return Err(Stop::Failed(super::java::exception(&error))),
    };
    let (mut elected, mut settled, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (partition, outcome) in outcomes {
        match outcome {
            Ok(()) => elected.push(partition.to_string()),
            Err(error) if error.code() == Some(ErrorCode::ElectionNotNeeded) => {
                settled.push(partition.to_string());
            }
            Err(error) => failed.push(format!(
                "Error completing leader election ({name}) for partition: {partition}: {}",
                super::java::exception(&error)
            )),
        }
    }
    if !elected.is_empty() {
        say!(
            "Successfully completed leader election ({name}) for partitions {}",
            elected.join(", ")
        );
    }
    if !settled.is_empty() {
        say!(
            "Valid replica already elected for partitions {}",
            settled.join(", ")
        );
    }
    for line in &failed {
        say!("{line}");
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Stop::Failed(format!(
        "{} replica(s) could not be elected",
        failed.len()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_do_not_go_together_are_refused_in_kafkas_words() {
        let checked = |arguments: &str| {
            let arguments: Vec<String> = arguments.split(' ').map(Into::into).collect();
            check(&TOOL.parse(&arguments).expect("reads"))
        };
        let cases = [
            (
                "--topic t",
                "Missing required option(s): bootstrap-server, election-type",
            ),
            (
                "--bootstrap-server b --election-type preferred",
                "One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file",
            ),
            (
                "--bootstrap-server b --election-type preferred --topic t",
                "Missing required option(s): partition",
            ),
            (
                "--bootstrap-server b --election-type preferred --all-topic-partitions --partition 1",
                "Option partition is only allowed if topic is used",
            ),
            (
                "--bootstrap-server b --election-type some --all-topic-partitions",
                "Cannot parse argument 'some' of option election-type",
            ),
        ];
        for (arguments, message) in cases {
            assert_eq!(
                checked(arguments),
                Err(Stop::Failed(message.to_owned())),
                "{arguments}"
            );
        }
        let fine = "--bootstrap-server b --election-type UNCLEAN --topic t --partition 0";
        assert_eq!(checked(fine), Ok(ElectionType::Unclean));
    }
}
