//! The tables of `consumer-groups`, with Kafka's columns and widths.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use forebay_client::admin::GroupListing;
use forebay_protocol::TopicPartition;

/// What stands where nothing is known.
pub(super) const MISSING: &str = "-";

/// The least width of most columns.
const WIDTH: usize = 15;

/// Rows of equally many cells, each padded to its column's width; a width of 0: not padded.
fn table(widths: &[usize], rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for row in rows {
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            if index > 0 {
                text.push(' ');
            }
            let _ = write!(text, "{cell:<width$}");
        }
        text.push('\n');
    }
    text
}

/// The width of a column that grows with what it holds.
fn width<'a>(least: usize, cells: impl IntoIterator<Item = &'a str>) -> usize {
    cells.into_iter().map(str::len).fold(least, usize::max)
}

fn strings(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// `--list --type --state`.
pub(super) fn listing(groups: &[GroupListing], with_type: bool, with_state: bool) -> String {
    let mut widths = vec![width(WIDTH, groups.iter().map(|group| group.group_id.as_str())) + 10];
    let mut header = vec!["GROUP"];
    if with_type {
        header.push("TYPE");
        widths.push(20);
    }
    if with_state {
        header.push("STATE");
        widths.push(20);
    }
    let capitalized = |name: &str| {
        let mut letters = name.chars();
        letters
            .next()
            .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    };
    let or_unknown =
        |name: &Option<String>| name.as_deref().map_or_else(|| "Unknown".to_owned(), capitalized);
    let row = |group: &GroupListing| {
        let mut row = vec![group.group_id.clone()];
        row.extend(with_type.then(|| or_unknown(&group.group_type)));
        row.extend(with_state.then(|| or_unknown(&group.state)));
        row
    };
    let rows: Vec<Vec<String>> = std::iter::once(strings(&header))
        .chain(groups.iter().map(row))
        .collect();
    table(&widths, &rows)
}

/// A partition of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OffsetRow {
    pub partition: TopicPartition,
    pub leader_epoch: Option<i32>,
    pub current: Option<i64>,
    pub end: Option<i64>,
    pub consumer_id: String,
    pub host: String,
    pub client_id: String,
}

/// `--describe --offsets`.
pub(super) fn offsets(group: &str, rows: &[OffsetRow], verbose: bool) -> String {
    let mut header = vec!["GROUP", "TOPIC", "PARTITION"];
    let mut widths = vec![
        width(WIDTH, [group]),
        width(WIDTH, rows.iter().map(|row| row.partition.topic.as_str())),
        10,
    ];
    if verbose {
        header.push("LEADER-EPOCH");
        widths.push(WIDTH);
    }
    header.extend([
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ]);
    widths.extend([WIDTH; 3]);
    widths.push(width(WIDTH, rows.iter().map(|row| row.consumer_id.as_str())));
    widths.push(width(WIDTH, rows.iter().map(|row| row.host.as_str())));
    widths.push(0);
    let number = |number: Option<i64>| number.map_or_else(|| MISSING.to_owned(), |number| number.to_string());
    let row = |row: &OffsetRow| {
        let lag = row
            .current
            .zip(row.end)
            .map(|(current, end)| end.saturating_sub(current));
        let mut cells = vec![
            group.to_owned(),
            row.partition.topic.to_string(),
            row.partition.partition.to_string(),
        ];
        cells.extend(verbose.then(|| number(row.leader_epoch.map(i64::from))));
        cells.extend([number(row.current), number(row.end), number(lag)]);
        cells.extend([row.consumer_id.clone(), row.host.clone(), row.client_id.clone()]);
        cells
    };
    let rows: Vec<Vec<String>> = std::iter::once(strings(&header))
        .chain(rows.iter().map(row))
        .collect();
    format!("\n{}", table(&widths, &rows))
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemberRow {
    pub consumer_id: String,
    pub group_instance_id: String,
    pub host: String,
    pub client_id: String,
    pub assignment: Vec<TopicPartition>,
    /// Of groups of the new protocol: what the member has reached, and what it is to reach.
    pub epoch: Option<i32>,
    pub target_epoch: Option<i32>,
    pub target: Vec<TopicPartition>,
    pub is_upgraded: Option<bool>,
}

/// `--describe --members`. The epochs and the target are those of KIP-848; a classic group has none. Where some members speak the
/// new protocol and others do not, it says which.
pub(super) fn members(group: &str, rows: &[MemberRow], verbose: bool) -> String {
    let with_instance = rows.iter().any(|row| !row.group_instance_id.is_empty());
    let mut header = vec!["GROUP", "CONSUMER-ID"];
    let mut widths = vec![
        width(WIDTH, [group]),
        width(WIDTH, rows.iter().map(|row| row.consumer_id.as_str())),
    ];
    if with_instance {
        header.push("GROUP-INSTANCE-ID");
        widths.push(width(17, rows.iter().map(|row| row.group_instance_id.as_str())));
    }
    header.extend(["HOST", "CLIENT-ID", "#PARTITIONS"]);
    widths.push(width(WIDTH, rows.iter().map(|row| row.host.as_str())));
    widths.push(width(WIDTH, rows.iter().map(|row| row.client_id.as_str())));
    widths.push(WIDTH);
    let assignments: Vec<String> = rows.iter().map(|row| assignment(&row.assignment)).collect();
    let targets: Vec<String> = rows.iter().map(|row| assignment(&row.target)).collect();
    let some_are = |upgraded: bool| rows.iter().any(|row| row.is_upgraded == Some(upgraded));
    let is_mixed = some_are(true) && some_are(false);
    if verbose {
        header.extend([
            "CURRENT-EPOCH",
            "CURRENT-ASSIGNMENT",
            "TARGET-EPOCH",
            "TARGET-ASSIGNMENT",
        ]);
        widths.extend([
            WIDTH,
            width(20, assignments.iter().map(String::as_str)),
            WIDTH,
            width(20, targets.iter().map(String::as_str)),
        ]);
        if is_mixed {
            header.push("UPGRADED");
            widths.push(0);
        }
    } else {
        // Kafka's line ends with a blank.
        widths.push(0);
        header.push("");
    }
    let number = |number: Option<i32>| number.map_or_else(|| MISSING.to_owned(), |number| number.to_string());
    let row = |(row, (assignment, target)): (&MemberRow, (&String, &String))| {
        let mut cells = vec![group.to_owned(), row.consumer_id.clone()];
        cells.extend(with_instance.then(|| row.group_instance_id.clone()));
        cells.extend([
            row.host.clone(),
            row.client_id.clone(),
            row.assignment.len().to_string(),
        ]);
        if verbose {
            cells.extend([
                number(row.epoch),
                assignment.clone(),
                number(row.target_epoch),
                target.clone(),
            ]);
            let upgraded = row
                .is_upgraded
                .map_or_else(|| MISSING.to_owned(), |is| is.to_string());
            cells.extend(is_mixed.then_some(upgraded));
        } else {
            cells.push(String::new());
        }
        cells
    };
    let rows = rows.iter().zip(assignments.iter().zip(&targets)).map(row);
    let rows: Vec<Vec<String>> = std::iter::once(strings(&header)).chain(rows).collect();
    format!("\n{}", table(&widths, &rows))
}

/// `t1:0,1;t2:0`
fn assignment(partitions: &[TopicPartition]) -> String {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        by_topic
            .entry(&partition.topic)
            .or_default()
            .push(partition.partition);
    }
    let topic = |(topic, mut numbers): (&str, Vec<i32>)| {
        numbers.sort_unstable();
        let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        format!("{topic}:{}", numbers.join(","))
    };
    let topics: Vec<String> = by_topic.into_iter().map(topic).collect();
    if topics.is_empty() {
        MISSING.to_owned()
    } else {
        topics.join(";")
    }
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StateRow {
    pub coordinator: String,
    pub assignor: String,
    pub state: String,
    pub members: usize,
    /// Of groups of the new protocol.
    pub group_epoch: Option<i32>,
    pub target_epoch: Option<i32>,
}

/// `--describe --state`.
pub(super) fn state(group: &str, row: &StateRow, verbose: bool) -> String {
    let mut header = vec!["GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE"];
    let mut widths = vec![
        width(WIDTH, [group]),
        width(25, [row.coordinator.as_str()]),
        20,
        20,
    ];
    let assignor = if row.assignor.is_empty() {
        MISSING
    } else {
        &row.assignor
    };
    let members = row.members.to_string();
    let number = |number: Option<i32>| number.map_or_else(|| MISSING.to_owned(), |number| number.to_string());
    let (epoch, target) = (number(row.group_epoch), number(row.target_epoch));
    let mut cells = vec![group, &row.coordinator, assignor, &row.state];
    if verbose {
        header.extend(["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"]);
        widths.extend([WIDTH, 25]);
        cells.extend([&*epoch, &*target]);
    }
    header.push("#MEMBERS");
    widths.push(0);
    cells.push(&members);
    format!("\n{}", table(&widths, &[strings(&header), strings(&cells)]))
}

/// `--delete-offsets`: by topic and partition, an error or none.
pub(super) fn deleted_offsets(results: &BTreeMap<(String, Option<i32>), Option<String>>) -> String {
    let widths = [
        width(WIDTH, results.keys().map(|(topic, _)| topic.as_str())),
        10,
        WIDTH,
    ];
    let row = |((topic, partition), error): (&(String, Option<i32>), &Option<String>)| {
        let partition = partition.map_or_else(|| MISSING.to_owned(), |partition| partition.to_string());
        let status = error
            .as_ref()
            .map_or_else(|| "Successful".to_owned(), |error| format!("Error: {error}"));
        vec![topic.clone(), partition, status]
    };
    let header = std::iter::once(strings(&["TOPIC", "PARTITION", "STATUS"]));
    let rows: Vec<Vec<String>> = header.chain(results.iter().map(row)).collect();
    format!("\n{}", table(&widths, &rows))
}

/// `--reset-offsets`: group, partition, offset.
pub(super) fn reset(rows: &[(String, TopicPartition, i64)]) -> String {
    let widths = [
        width(WIDTH, rows.iter().map(|(group, _, _)| group.as_str())),
        width(
            WIDTH,
            rows.iter().map(|(_, partition, _)| partition.topic.as_str()),
        ),
        10,
        0,
    ];
    let row = |(group, partition, offset): &(String, TopicPartition, i64)| {
        vec![
            group.clone(),
            partition.topic.to_string(),
            partition.partition.to_string(),
            offset.to_string(),
        ]
    };
    let header = std::iter::once(strings(&["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"]));
    let rows: Vec<Vec<String>> = header.chain(rows.iter().map(row)).collect();
    format!("\n{}", table(&widths, &rows))
}
