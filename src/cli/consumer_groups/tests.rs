//! What of `consumer-groups` can be told without a cluster. The tables are those that Kafka 4.3.1 printed.

use super::tables::{MemberRow, OffsetRow, StateRow};
use super::*;

fn options(arguments: &str) -> Options {
    let arguments: Vec<String> = arguments.split(' ').map(Into::into).collect();
    TOOL.parse(&arguments).expect("reads")
}

#[test]
fn options_that_do_not_go_together_are_refused_in_kafkas_words() {
    let actions = "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets, \
                   --validate-regex";
    let cases = [
        ("--group x", actions),
        ("--list --describe --group x", actions),
        ("--list", "Missing required argument \"[bootstrap-server]\""),
        (
            "--bootstrap-server b --describe",
            "Option [describe] takes one of these options: [group], [all-groups]",
        ),
        (
            "--bootstrap-server b --delete",
            "Option [delete] takes one of these options: [group], [all-groups]",
        ),
        (
            "--bootstrap-server b --describe --group g --members --state",
            "Option [describe] takes at most one of these options: [members], [offsets], [state]",
        ),
        (
            "--bootstrap-server b --describe --group g --state Stable",
            "Option [describe] does not take a value for [state]",
        ),
        (
            "--bootstrap-server b --delete-offsets --group g",
            "Option [delete-offsets] takes the following options: [group], [topic]",
        ),
        (
            "--bootstrap-server b --list --group g",
            "Option \"[group]\" can't be used with option \"[list]\"",
        ),
        (
            "--bootstrap-server b --describe --all-groups --group g",
            "Option \"[group]\" can't be used with option \"[all-groups]\"",
        ),
        (
            "--bootstrap-server b --reset-offsets --group g --to-latest",
            "One of the reset scopes should be defined: --all-topics, --topic.",
        ),
        (
            "--bootstrap-server b --reset-offsets --group g --topic t --to-earliest --to-latest",
            "Option \"[to-earliest]\" can't be used with option \"[to-latest]\"",
        ),
        (
            "--bootstrap-server b --reset-offsets --group g --topic t",
            "Option '[reset-offsets]' requires one of the following scenarios: [[to-offset], [to-earliest], [to-current], \
             [to-latest], [by-duration], [to-datetime], [from-file], [shift-by]]",
        ),
    ];
    for (arguments, message) in cases {
        assert_eq!(
            check(&options(arguments)),
            Err(Stop::usage(message)),
            "{arguments}"
        );
    }
    for arguments in [
        "--bootstrap-server b --list --state",
        "--bootstrap-server b --delete -group test",
        "--bootstrap-server b --reset-offsets --group g --all-topics --shift-by -1 --execute",
        "--validate-regex a.*",
    ] {
        assert_eq!(check(&options(arguments)), Ok(()), "{arguments}");
    }
}

#[test]
fn states_and_types_are_names_in_any_case() {
    assert_eq!(selection(None, &STATES, "states", "state"), Ok(vec![]));
    assert_eq!(
        selection(Some("stable, EMPTY"), &STATES, "states", "state"),
        Ok(vec!["Stable", "Empty"])
    );
    assert_eq!(
        selection(Some("bogus"), &TYPES, "types", "types"),
        Err(Stop::usage(
            "Invalid types list 'bogus'. Valid types are: Consumer, Classic"
        ))
    );
}

#[test]
fn topics_may_name_their_partitions() {
    let partition = |number| TopicPartition::new("t", number);
    assert_eq!(named_partitions("t:0,12"), Ok(vec![partition(0), partition(12)]));
    let refused = named_partitions("t:x");
    assert_eq!(
        refused,
        Err(Stop::usage("Invalid partition 'x' specified in topic arg 't:x''"))
    );
    let refused = named_partitions("t:0:1");
    assert_eq!(
        refused,
        Err(Stop::usage(
            "Invalid topic arg 't:0:1', expected topic name and partitions"
        ))
    );
}

const MEMBER: &str = "console-consumer-f8fee559-18f9-48a3-be92-5071b65ab01b";

#[test]
fn the_offsets_table_is_kafkas() {
    let row = |partition, current: Option<i64>, end, epoch| OffsetRow {
        partition: TopicPartition::new("foo", partition),
        leader_epoch: epoch,
        current,
        end: Some(end),
        consumer_id: MEMBER.to_owned(),
        host: "/127.0.0.1".to_owned(),
        client_id: "console-consumer".to_owned(),
    };
    let rows = [row(0, None, 0, None), row(1, Some(4), 6, Some(6))];
    let expected = "
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID                                           HOST            CLIENT-ID
g1              foo             0          -               0               -               console-consumer-f8fee559-18f9-48a3-be92-5071b65ab01b /127.0.0.1      console-consumer
g1              foo             1          4               6               2               console-consumer-f8fee559-18f9-48a3-be92-5071b65ab01b /127.0.0.1      console-consumer
";
    assert_eq!(tables::offsets("g1", &rows, false), expected);
    let expected = "
GROUP           TOPIC           PARTITION  LEADER-EPOCH    CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID                                           HOST            CLIENT-ID
g1              foo             1          6               4               6               2               console-consumer-f8fee559-18f9-48a3-be92-5071b65ab01b /127.0.0.1      console-consumer
";
    assert_eq!(tables::offsets("g1", &rows[1..], true), expected);
}

#[test]
fn the_members_table_is_kafkas() {
    let member = |instance: &str| MemberRow {
        consumer_id: MEMBER.to_owned(),
        group_instance_id: instance.to_owned(),
        host: "/127.0.0.1".to_owned(),
        client_id: "console-consumer".to_owned(),
        assignment: [2, 0, 1]
            .map(|number| TopicPartition::new("foo", number))
            .to_vec(),
        epoch: None,
        target_epoch: None,
        target: Vec::new(),
        is_upgraded: None,
    };
    // Line by line, as the lines end with blanks.
    let lines = |text: String| text.lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    assert_eq!(
        lines(tables::members("g1", &[member("")], false)),
        [
            "",
            "GROUP           CONSUMER-ID                                           HOST            CLIENT-ID        #PARTITIONS     ",
            "g1              console-consumer-f8fee559-18f9-48a3-be92-5071b65ab01b /127.0.0.1      console-consumer 3               ",
        ]
    );
    assert_eq!(
        lines(tables::members("g1", &[member("")], true)),
        [
            "",
            "GROUP           CONSUMER-ID                                           HOST            CLIENT-ID        #PARTITIONS     \
             CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT   ",
            "g1              console-consumer-f8fee559-18f9-48a3-be92-5071b65ab01b /127.0.0.1      console-consumer 3               \
             -               foo:0,1,2            -               -                   ",
        ]
    );
    let upgraded = MemberRow {
        epoch: Some(3),
        target_epoch: Some(4),
        target: vec![TopicPartition::new("foo", 7)],
        is_upgraded: Some(true),
        ..member("")
    };
    let old = MemberRow {
        is_upgraded: Some(false),
        ..member("")
    };
    let mixed = lines(tables::members("g1", &[upgraded, old], true));
    assert!(
        mixed[1].ends_with(" TARGET-EPOCH    TARGET-ASSIGNMENT    UPGRADED"),
        "{mixed:?}"
    );
    assert!(
        mixed[2].ends_with(" 3               foo:0,1,2            4               foo:7                true"),
        "{mixed:?}"
    );
    assert!(
        mixed[3]
            .ends_with(" -               foo:0,1,2            -               -                    false"),
        "{mixed:?}"
    );
    let with_instance = lines(tables::members("g1", &[member("one")], false));
    assert!(
        with_instance[1].contains(" GROUP-INSTANCE-ID HOST  "),
        "{with_instance:?}"
    );
    assert!(
        with_instance[2].contains(" one               /127.0.0.1 "),
        "{with_instance:?}"
    );
}

#[test]
fn the_other_tables_are_kafkas() {
    let state = StateRow {
        coordinator: "127.0.0.1:31092  (0)".to_owned(),
        assignor: "range".to_owned(),
        state: "Stable".to_owned(),
        members: 1,
        group_epoch: None,
        target_epoch: None,
    };
    let expected = "
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                #MEMBERS
g1              127.0.0.1:31092  (0)      range                Stable               1
";
    assert_eq!(tables::state("g1", &state, false), expected);
    let expected = "
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                GROUP-EPOCH     TARGET-ASSIGNMENT-EPOCH   #MEMBERS
g1              127.0.0.1:31092  (0)      range                Stable               -               -                         1
";
    assert_eq!(tables::state("g1", &state, true), expected);
    let group = GroupListing {
        group_id: "g1".to_owned(),
        protocol_type: "consumer".to_owned(),
        state: Some("Stable".to_owned()),
        group_type: Some("classic".to_owned()),
    };
    let listed = tables::listing(&[group], true, true);
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(
        lines,
        [
            "GROUP                     TYPE                 STATE               ",
            "g1                        Classic              Stable              ",
        ]
    );
    let results = [
        (("foo".to_owned(), Some(0)), None),
        (("nope".to_owned(), None), Some("gone".to_owned())),
    ];
    let deleted = tables::deleted_offsets(&results.into());
    let lines: Vec<&str> = deleted.lines().collect();
    assert_eq!(
        lines,
        [
            "",
            "TOPIC           PARTITION  STATUS         ",
            "foo             0          Successful     ",
            "nope            -          Error: gone    ",
        ]
    );
    let reset = tables::reset(&[("g1".to_owned(), TopicPartition::new("foo", 2), 7)]);
    assert_eq!(
        reset,
        "\nGROUP           TOPIC           PARTITION  NEW-OFFSET\ng1              foo             2          7\n"
    );
}

#[test]
fn an_invalid_expression_is_told_in_a_line() {
    assert_eq!(validate("or.*"), "The regular expression `or.*` is valid.");
    assert_eq!(
        validate("("),
        "The regular expression `(` is invalid: unclosed group."
    );
}

#[test]
fn groups_of_others_are_not_described() {
    assert_eq!(check_consumers("g", "consumer"), Ok(()));
    assert_eq!(check_consumers("g", ""), Ok(()));
    let refused = "java.lang.IllegalArgumentException: GroupId g is not a consumer group (connect).";
    assert_eq!(
        check_consumers("g", "connect"),
        Err(Stop::Failed(refused.to_owned()))
    );
}
