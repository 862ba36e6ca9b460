//! The tools as processes of their own, called by the names of Kafka's scripts through the links that `forebay link-tools` makes.
//! What each prints is held against Kafka's own by `tests/against-kafka`; here is whether they work together on one broker.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::process::{Hub, run};

/// Links, and the broker that they are pointed at.
struct Tools {
    directory: PathBuf,
    bootstrap: String,
}

impl Tools {
    fn linked(hub: &Hub, directory: PathBuf) -> Self {
        let made = run(&["link-tools", &directory.display().to_string()]);
        assert!(made.status.success(), "{made:?}");
        Self {
            directory,
            bootstrap: hub.bootstrap(),
        }
    }

    /// Runs a script to its end.
    fn run(&self, script: &str, arguments: &str, input: &str) -> Output {
        let mut child = Command::new(self.directory.join(script))
            .args(["--bootstrap-server", &self.bootstrap])
            .args(arguments.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the link leads to forebay");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A tool that reads nothing may have ended.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("the output can be read")
    }

    /// What a script that succeeds prints.
    fn said(&self, script: &str, arguments: &str) -> String {
        let output = self.run(script, arguments, "");
        assert!(output.status.success(), "{script} {arguments}: {output:?}");
        text(&output.stdout)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn the_tools_work_by_the_names_of_kafkas_scripts() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut hub = Hub::broker(directory.path());
    let tools = Tools::linked(&hub, directory.path().join("bin"));
    records_and_groups(&tools);
    administration(&tools);
    let refused = tools.run("kafka-get-offsets.sh", "--topik t", "");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        text(&refused.stderr).contains("did you mean --topic?"),
        "{refused:?}"
    );
    // The files are read once nobody writes them.
    assert!(hub.process().terminate().success());
    let segment = hub.partition_dir("t", 0).join("00000000000000000000.log");
    let dumped = run(&[
        "dump-log",
        "--print-data-log",
        "--files",
        &segment.display().to_string(),
    ]);
    let dumped = text(&dumped.stdout);
    assert!(
        dumped.contains(" isvalid: true\n| offset: 0 CreateTime: "),
        "{dumped}"
    );
    assert!(dumped.contains(" key: k1 payload: one\n"), "{dumped}");
}

fn records_and_groups(tools: &Tools) {
    assert_eq!(
        tools.said("kafka-topics.sh", "--create --topic t --partitions 1"),
        "Created topic t.\n"
    );
    let sent = tools.run(
        "kafka-console-producer.sh",
        "--topic t --reader-property parse.key=true",
        "k1\tone\nk2\ttwo\nk3\tthree\n",
    );
    assert!(sent.status.success(), "{sent:?}");
    assert_eq!(tools.said("kafka-get-offsets", "--topic t"), "t:0:3\n");
    let read = "--topic t --group g --from-beginning --max-messages 3 --formatter-property print.key=true";
    assert_eq!(
        tools.said("kafka-console-consumer.sh", read),
        "k1\tone\nk2\ttwo\nk3\tthree\n"
    );
    let measured = tools.said(
        "kafka-consumer-perf-test.sh",
        "--topic t --num-records 3 --hide-header --reporting-interval 60000",
    );
    let figures: Vec<&str> = measured.trim_end().split(", ").collect();
    assert_eq!((figures.len(), figures[4]), (10, "3"), "{measured}");
    let listed = tools.said("kafka-groups.sh", "--list --consumer");
    let of_group = listed
        .lines()
        .find(|line| line.starts_with("g "))
        .unwrap_or_default();
    assert_eq!(
        of_group.split_whitespace().collect::<Vec<_>>(),
        ["g", "Classic", "consumer"]
    );
    let groups = "kafka-consumer-groups.sh";
    let row = |said: &str| -> Vec<String> {
        let row = said
            .lines()
            .find(|line| line.starts_with("g "))
            .unwrap_or_default();
        row.split_whitespace().map(ToOwned::to_owned).collect()
    };
    assert_eq!(
        row(&tools.said(groups, "--describe --group g"))[..6],
        ["g", "t", "0", "3", "3", "0"]
    );
    let reset = "--reset-offsets --group g --topic t --execute";
    for (to, offset) in [
        ("--to-earliest", "0"),
        ("--shift-by 2", "2"),
        ("--by-duration PT1H", "0"),
        ("--to-datetime 2099-01-01T00:00:00.000", "3"),
        ("--to-offset 1", "1"),
    ] {
        let said = tools.said(groups, &format!("{reset} {to}"));
        assert_eq!(row(&said), ["g", "t", "0", offset], "{to}: {said}");
    }
    assert_eq!(
        row(&tools.said(groups, "--describe --group g"))[3..6],
        ["1", "3", "2"]
    );
    let deleted = "Deletion of requested consumer groups ('g') was successful.\n";
    assert_eq!(tools.said(groups, "--delete --group g"), deleted);
}

/// Passwords, quotas and levels of loggers, by the same tool.
fn settings_of_others(tools: &Tools) {
    let configs = "kafka-configs.sh";
    let done = |of: &str| format!("Completed updating config for {of}.\n");
    // One at a time: both at once are refused, as by Kafka.
    for credential in [
        "SCRAM-SHA-256=[iterations=8192,password=pencil]",
        "SCRAM-SHA-512=[password=other]",
    ] {
        let set = format!("--alter --user ada --add-config {credential}");
        assert_eq!(tools.said(configs, &set), done("user ada"));
    }
    let gone = "--alter --user ada --delete-config SCRAM-SHA-512";
    assert_eq!(tools.said(configs, gone), done("user ada"));
    assert_eq!(
        tools.said(configs, "--describe --user ada"),
        "SCRAM credential configs for user-principal 'ada' are SCRAM-SHA-256=iterations=8192\n"
    );
    let again = tools.run(configs, gone, "");
    assert!(!again.status.success(), "{again:?}");
    assert!(text(&again.stderr).contains("does not exist"), "{again:?}");
    let levels = || tools.said(configs, "--describe --broker-logger 1");
    let level = |logger: &str, level: &str| format!("  {logger}={level} sensitive=false synonyms={{}}\n");
    assert!(
        levels().contains(&level("forebay_client", "WARN")),
        "{}",
        levels()
    );
    let louder = "--alter --broker-logger 1 --add-config forebay_client=DEBUG,root=ERROR";
    assert_eq!(tools.said(configs, louder), done("broker-logger 1"));
    let told = levels();
    for (logger, wanted) in [
        ("forebay_client", "DEBUG"),
        ("root", "ERROR"),
        ("forebay_broker_log", "ERROR"),
    ] {
        assert!(told.contains(&level(logger, wanted)), "{logger}: {told}");
    }
    let back = "--alter --broker-logger 1 --delete-config forebay_client";
    assert_eq!(tools.said(configs, back), done("broker-logger 1"));
    assert!(
        levels().contains(&level("forebay_client", "ERROR")),
        "{}",
        levels()
    );
    assert_eq!(
        tools.said(configs, "--describe --broker 99"),
        "The broker '99' doesn't exist and doesn't have dynamic config.\n"
    );
}

fn administration(tools: &Tools) {
    let configs = "kafka-configs.sh";
    let altered = "Completed updating config for topic t.\n";
    assert_eq!(
        tools.said(configs, "--alter --topic t --add-config retention.ms=86400000"),
        altered
    );
    let described = tools.said(configs, "--describe --topic t");
    let expected = "Dynamic configs for topic t are:\n  retention.ms=86400000 sensitive=false synonyms={";
    assert!(described.starts_with(expected), "{described}");
    settings_of_others(tools);
    let directories = tools.said("kafka-log-dirs.sh", "--describe --topic-list t");
    let report: Value = serde_json::from_str(directories.lines().last().unwrap_or_default()).expect("JSON");
    assert_eq!(
        report["brokers"][0]["logDirs"][0]["partitions"][0]["partition"], "t-0",
        "{report}"
    );
    let cases = [
        ("kafka-cluster.sh", "cluster-id", "Cluster ID: "),
        ("kafka-broker-api-versions.sh", "", "\tProduce(0): 0 to "),
        ("kafka-metadata-quorum.sh", "describe --status", "LeaderEpoch: "),
        ("kafka-features.sh", "describe", "Feature: metadata.version "),
        (
            "kafka-transactions.sh",
            "list",
            "TransactionalId\tCoordinator\tProducerId\tTransactionState\t\n",
        ),
        (
            "kafka-transactions.sh",
            "describe-producers --topic t --partition 0",
            "LatestCoordinatorEpoch",
        ),
        (
            "kafka-reassign-partitions.sh",
            "--list",
            "No partition reassignments found.\n",
        ),
        (
            "kafka-leader-election.sh",
            "--election-type preferred --topic t --partition 0",
            "Valid replica already elected for partitions t-0\n",
        ),
    ];
    for (script, arguments, expected) in cases {
        let said = tools.said(script, arguments);
        assert!(said.contains(expected), "{script} {arguments}: {said}");
    }
    let refused = tools.run("kafka-acls.sh", "--list", "");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        text(&refused.stdout).contains("SecurityDisabledException: "),
        "{refused:?}"
    );
}
