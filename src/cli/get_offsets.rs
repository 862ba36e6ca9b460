//! `forebay get-offsets` (Kafka's `GetOffsetShell`, `kafka-get-offsets.sh`): an offset of each partition, first, last or by time.

use std::collections::BTreeMap;
use std::process::ExitCode;

use forebay_client::Admin;
use forebay_client::admin::OffsetSpec;
use forebay_client::config::IsolationLevel;
use forebay_protocol::TopicPartition;
use forebay_records::Timestamp;
use regex::Regex;

use super::options::{Options, Stop, Tool, switch, valued};
use super::topics::include_list;

static TOOL: Tool = Tool {
    name: "get-offsets",
    about: "Shows an offset of each partition.",
    flags: &[
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued("command-config", "file", "Properties of the admin client."),
        switch("exclude-internal-topics", "Leave internal topics out."),
        valued("partitions", "number,...", "Only these partitions."),
        valued(
            "time",
            "time",
            "A time in milliseconds, or -1 or latest (the default), -2 or earliest, -3 or max-timestamp, -4 or earliest-local, \
             -5 or latest-tiered, -6 or earliest-pending-upload.",
        ),
        valued(
            "topic",
            "regex",
            "Only topics whose whole name matches; separate several by commas.",
        ),
        valued(
            "topic-partitions",
            "regex:partitions,...",
            "Topics by regular expressions, each with a partition or a range: t1:1,t2:0-3,t3,t4:5-,t5:-3; the upper bound is not \
             included.",
        ),
    ],
    gone: &[("broker-list", "write --bootstrap-server")],
};

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        let server = options.required("bootstrap-server")?;
        // Whatever else is wrong is told in one way.
        let told = |stop: Stop| match stop {
            Stop::Usage(message) | Stop::Failed(message) => {
                Stop::Failed(format!("Error occurred: {message}"))
            }
            other => other,
        };
        let filter = Filter::new(&options).map_err(told)?;
        let spec = spec(options.value("time")?.unwrap_or("latest")).map_err(told)?;
        let shown = super::patiently(server, show(&options, &filter, spec)).await;
        shown.map(|()| ExitCode::SUCCESS).map_err(told)
    })
}

async fn show(options: &Options, filter: &Filter, spec: OffsetSpec) -> Result<(), Stop> {
    let admin = super::admin(options)?;
    let partitions = partitions(&admin, filter, options.has("exclude-internal-topics")).await?;
    if partitions.is_empty() {
        return Err(Stop::Failed(
            "Could not match any topic-partitions with the specified filters".to_owned(),
        ));
    }
    let wanted = partitions
        .into_iter()
        .map(|partition| (partition, spec))
        .collect();
    let listed = admin
        .list_offsets(&wanted, IsolationLevel::ReadUncommitted)
        .await?;
    // In the order of their names as text, as Kafka has them: t-10 before t-2.
    let sorted: BTreeMap<String, _> = listed
        .into_iter()
        .map(|(partition, outcome)| (partition.to_string(), (partition, outcome)))
        .collect();
    for (name, (partition, outcome)) in sorted {
        match outcome {
            Ok(listed) => {
                if let Some(offset) = listed.offset {
                    say!("{}:{}:{offset}", partition.topic, partition.partition);
                }
            }
            Err(error) => eprintln!(
                "Skip getting offsets for topic-partition {name} due to error: {}",
                super::java::exception(&error)
            ),
        }
    }
    Ok(())
}

async fn partitions(
    admin: &Admin,
    filter: &Filter,
    exclude_internal: bool,
) -> Result<Vec<TopicPartition>, Stop> {
    let topics: Vec<String> = admin
        .list_topics()
        .await?
        .into_iter()
        .filter(|topic| !(exclude_internal && topic.is_internal) && filter.allows_topic(&topic.name))
        .map(|topic| topic.name)
        .collect();
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let mut partitions = Vec::new();
    for (name, topic) in admin.describe_topics(&names).await? {
        let of_topic = topic?.partitions.into_iter().map(|partition| partition.partition);
        let allowed = of_topic.filter(|partition| filter.allows(&name, *partition));
        partitions.extend(allowed.map(|partition| TopicPartition::new(name.as_str(), partition)));
    }
    Ok(partitions)
}

/// Which offset is asked for.
pub(super) fn spec(text: &str) -> Result<OffsetSpec, Stop> {
    Ok(match text {
        "latest" | "-1" => OffsetSpec::Latest,
        "earliest" | "-2" => OffsetSpec::Earliest,
        "max-timestamp" | "-3" => OffsetSpec::MaxTimestamp,
        "earliest-local" | "-4" => OffsetSpec::EarliestLocal,
        "latest-tiered" | "-5" => OffsetSpec::LatestTiered,
        "earliest-pending-upload" | "-6" => OffsetSpec::EarliestPendingUpload,
        text => OffsetSpec::Timestamp(Timestamp(text.parse().map_err(|_| {
            Stop::Failed(format!(
                "Malformed time argument {text}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or \
                 earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp"
            ))
        })?)),
    })
}

/// Which partitions are shown: those that any of the rules allows.
#[derive(Debug)]
struct Filter(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    topic: Regex,
    partitions: Partitions,
}

#[derive(Debug, PartialEq, Eq)]
enum Partitions {
    /// All if it is empty.
    These(Vec<i32>),
    /// The upper bound is not included.
    Range(i32, i32),
}

impl Filter {
    fn new(options: &Options) -> Result<Self, Stop> {
        let (topic, partitions) = (options.value("topic")?, options.value("partitions")?);
        if let Some(rules) = options.value("topic-partitions")? {
            if topic.is_some() || partitions.is_some() {
                return Err(Stop::Failed(
                    "--topic-partitions cannot be used with --topic or --partitions".to_owned(),
                ));
            }
            return rules
                .split(',')
                .map(Rule::new)
                .collect::<Result<_, _>>()
                .map(Self);
        }
        let given = partitions.unwrap_or_default();
        let numbers = given.split(',').filter(|_| !given.is_empty()).map(str::parse);
        let numbers = numbers.collect::<Result<_, _>>().map_err(|_| {
            Stop::Failed(format!(
                "--partitions expects a comma separated list of numeric partition ids, but received: {given}"
            ))
        })?;
        Ok(Self(vec![Rule {
            topic: whole(topic.unwrap_or(".*"))?,
            partitions: Partitions::These(numbers),
        }]))
    }

    fn allows_topic(&self, topic: &str) -> bool {
        self.0.iter().any(|rule| rule.topic.is_match(topic))
    }

    fn allows(&self, topic: &str, partition: i32) -> bool {
        let allows = |rule: &Rule| rule.topic.is_match(topic) && rule.partitions.contains(partition);
        self.0.iter().any(allows)
    }
}

impl Rule {
    /// `topic`, `topic:3`, `topic:1-3`, `topic:1-`, `topic:-3`; without a topic, all of them.
    fn new(text: &str) -> Result<Self, Stop> {
        let invalid = || Stop::Failed(format!("Invalid rule specification: {text}"));
        let (topic, partitions) = text.split_once(':').unwrap_or((text, ""));
        let number = |text: &str, default: i32| match text {
            "" => Ok(default),
            text if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().map_err(|_| invalid()),
            _ => Err(invalid()),
        };
        let partitions = match partitions.split_once('-') {
            Some((from, to)) => Partitions::Range(number(from, 0)?, number(to, i32::MAX)?),
            None if partitions.is_empty() => Partitions::Range(0, i32::MAX),
            None => Partitions::These(vec![number(partitions, 0)?]),
        };
        Ok(Self {
            topic: whole(if topic.is_empty() { ".*" } else { topic })?,
            partitions,
        })
    }
}

fn whole(pattern: &str) -> Result<Regex, Stop> {
    include_list(pattern).map_err(|failure| Stop::Failed(failure.to_string()))
}

impl Partitions {
    fn contains(&self, partition: i32) -> bool {
        match self {
            Self::These(numbers) => numbers.is_empty() || numbers.contains(&partition),
            Self::Range(from, to) => (*from..*to).contains(&partition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(arguments: &[&str]) -> Result<Filter, Stop> {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        Filter::new(&TOOL.parse(&arguments).expect("reads"))
    }

    #[test]
    fn rules_choose_topics_and_partitions() {
        let rules = ["--topic-partitions", "a:1,b:0-2,c.*:1-,d:-1,e"];
        let cases = [
            ("a", &[1][..]),
            ("b", &[0, 1]),
            ("ccc", &[1, 2]),
            ("d", &[0]),
            ("e", &[0, 1, 2]),
            ("f", &[]),
        ];
        let rules = filter(&rules).expect("valid");
        for (topic, expected) in cases {
            let allowed: Vec<i32> = (0..3)
                .filter(|partition| rules.allows(topic, *partition))
                .collect();
            assert_eq!(allowed, expected, "{topic}");
            assert_eq!(rules.allows_topic(topic), !expected.is_empty(), "{topic}");
        }
        let plain = filter(&["--topic", "a,b", "--partitions", "0,2"]).expect("valid");
        assert!(plain.allows("b", 2) && !plain.allows("b", 1) && !plain.allows("c", 0));
        assert!(filter(&["--time", "-1"]).expect("valid").allows("any", 7));
    }

    #[test]
    fn mistakes_are_told_in_kafkas_words() {
        let cases = [
            (
                &["--topic-partitions", "a", "--topic", "b"][..],
                "--topic-partitions cannot be used with --topic or --partitions",
            ),
            (&["--topic-partitions", "a:b"], "Invalid rule specification: a:b"),
            (
                &["--topic-partitions", "a:1-2-3"],
                "Invalid rule specification: a:1-2-3",
            ),
            (
                &["--partitions", "1,x"],
                "--partitions expects a comma separated list of numeric partition ids, but received: 1,x",
            ),
        ];
        for (arguments, message) in cases {
            let stop = filter(arguments).expect_err("refused");
            assert_eq!(stop, Stop::Failed(message.to_owned()));
        }
        assert_eq!(spec("-3"), Ok(OffsetSpec::MaxTimestamp));
        assert_eq!(spec("1700"), Ok(OffsetSpec::Timestamp(Timestamp(1700))));
        assert!(
            matches!(spec("soon"), Err(Stop::Failed(message)) if message.starts_with("Malformed time argument soon."))
        );
    }
}
