//! `--reset-offsets`: where a group without members goes on.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use forebay_client::Admin;
use forebay_client::admin::{GroupDescription, OffsetSpec};
use forebay_client::config::IsolationLevel;
use forebay_client::consumer::OffsetAndMetadata;
use forebay_protocol::TopicPartition;
use forebay_records::{Offset, Timestamp};

use super::{plan_file, tables, time};
use crate::cli::options::{Options, Stop};

const SCENARIOS: [&str; 8] = [
    "to-offset",
    "to-earliest",
    "to-current",
    "to-latest",
    "by-duration",
    "to-datetime",
    "from-file",
    "shift-by",
];

type Offsets = BTreeMap<TopicPartition, Offset>;

/// Which options go together.
pub(super) fn check(options: &Options) -> Result<(), Stop> {
    if options.has("dry-run") && options.has("execute") {
        return Err(Stop::usage(
            "Option [reset-offsets] only accepts one of [execute] and [dry-run]",
        ));
    }
    for scenario in SCENARIOS {
        let others: Vec<&str> = SCENARIOS.into_iter().filter(|other| *other != scenario).collect();
        options.exclude(scenario, &others)?;
    }
    if !SCENARIOS.iter().any(|scenario| options.has(scenario)) {
        let scenarios: Vec<String> = SCENARIOS.iter().map(|scenario| format!("[{scenario}]")).collect();
        return Err(Stop::usage(format!(
            "Option '[reset-offsets]' requires one of the following scenarios: [{}]",
            scenarios.join(", ")
        )));
    }
    if !options.has("all-topics") && !options.has("topic") && !options.has("from-file") {
        return Err(Stop::usage(
            "One of the reset scopes should be defined: --all-topics, --topic.",
        ));
    }
    Ok(())
}

/// Works it out, does it with `--execute`, and prints it.
pub(super) async fn reset(admin: &Admin, options: &Options) -> Result<(), Stop> {
    let execute = options.has("execute");
    if !execute && !options.has("dry-run") {
        eprintln!(
            "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require \
             either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if you are \
             scripting this command and want to keep the current default behavior without prompting."
        );
    }
    let groups = super::groups(admin, options).await?;
    let mut rows = Vec::new();
    for (group, GroupDescription { state, .. }) in super::described(admin, &groups).await? {
        if !matches!(state.as_str(), "Empty" | "Dead") {
            say!(
                "\nError: Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
            );
            continue;
        }
        let offsets = plan(admin, options, &group).await?;
        if execute {
            let committed: BTreeMap<TopicPartition, OffsetAndMetadata> = offsets
                .iter()
                .map(|(partition, offset)| (partition.clone(), OffsetAndMetadata::from(*offset)))
                .collect();
            for outcome in admin.alter_group_offsets(&group, &committed).await?.into_values() {
                outcome?;
            }
        }
        rows.extend(
            offsets
                .into_iter()
                .map(|(partition, offset)| (group.clone(), partition, offset.0)),
        );
    }
    if options.has("export") {
        say!("{}", csv(&rows, options.values("group").len() == 1));
    } else {
        crate::cli::print(&tables::reset(&rows));
    }
    Ok(())
}

/// Of one group the name is left out.
fn csv(rows: &[(String, TopicPartition, i64)], single: bool) -> String {
    let row = |(group, partition, offset): &(String, TopicPartition, i64)| {
        let rest = format!("{},{},{offset}\n", partition.topic, partition.partition);
        if single { rest } else { format!("{group},{rest}") }
    };
    rows.iter().map(row).collect()
}

async fn plan(admin: &Admin, options: &Options, group: &str) -> Result<Offsets, Stop> {
    let partitions = scope(admin, options, group).await?;
    check_partitions(admin, &partitions).await?;
    if let Some(path) = options.value("from-file")? {
        return from_file(admin, options, group, path).await;
    }
    if partitions.is_empty() {
        return Ok(Offsets::new());
    }
    if options.has("to-earliest") {
        return listed(admin, &partitions, OffsetSpec::Earliest).await;
    }
    if options.has("to-latest") {
        return listed(admin, &partitions, OffsetSpec::Latest).await;
    }
    if let Some(text) = options.value("to-datetime")? {
        let time = time::timestamp(text).map_err(Stop::Failed)?;
        return at_time(admin, &partitions, Timestamp(time)).await;
    }
    if let Some(text) = options.value("by-duration")? {
        let ago = time::duration(text).map_err(Stop::Failed)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        return at_time(admin, &partitions, Timestamp(now.saturating_sub(ago))).await;
    }
    if let Some(fixed) = options.number("to-offset")? {
        let requested = partitions.into_iter().map(|partition| (partition, Offset(fixed)));
        return bounded(admin, &requested.collect()).await;
    }
    let committed = admin.list_group_offsets(group, None).await?;
    let current = |partition: &TopicPartition| committed.get(partition).map(|committed| committed.offset);
    if let Some(shift) = options.number::<i64>("shift-by")? {
        let mut requested = Offsets::new();
        for partition in partitions {
            let offset = current(&partition).ok_or_else(|| {
                Stop::usage(format!(
                    "Cannot shift offset for partition {partition} since there is no current committed offset"
                ))
            })?;
            requested.insert(partition, offset + shift);
        }
        return bounded(admin, &requested).await;
    }
    // To where the group stands, or to the end where it stands nowhere.
    let (known, unknown): (Vec<TopicPartition>, Vec<TopicPartition>) = partitions
        .into_iter()
        .partition(|partition| current(partition).is_some());
    let mut offsets = listed(admin, &unknown, OffsetSpec::Latest).await?;
    offsets.extend(
        known
            .into_iter()
            .filter_map(|partition| current(&partition).map(|offset| (partition, offset))),
    );
    Ok(offsets)
}

/// The partitions that are meant; with `--from-file`, none need be named.
async fn scope(admin: &Admin, options: &Options, group: &str) -> Result<Vec<TopicPartition>, Stop> {
    if options.has("all-topics") {
        return Ok(admin.list_group_offsets(group, None).await?.into_keys().collect());
    }
    let (partitions, unknown) = super::topic_partitions(admin, &options.values("topic")).await?;
    match unknown.into_values().next() {
        Some(error) => Err(Stop::Failed(crate::cli::reason(&error))),
        None => Ok(partitions),
    }
}

/// They must be there, and have leaders (`checkAllTopicPartitionsValid`).
async fn check_partitions(admin: &Admin, partitions: &[TopicPartition]) -> Result<(), Stop> {
    let mut topics: Vec<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
    topics.dedup();
    let described = admin.describe_topics(&topics).await?;
    let mut leaders: BTreeMap<TopicPartition, bool> = BTreeMap::new();
    for (name, topic) in described {
        let topic = topic.map_err(|error| Stop::Failed(crate::cli::java::exception(&error)))?;
        leaders.extend(topic.partitions.into_iter().map(|partition| {
            let key = TopicPartition::new(name.as_str(), partition.partition);
            (key, partition.leader.is_some())
        }));
    }
    let names = |found: &dyn Fn(Option<&bool>) -> bool| -> Vec<String> {
        let those = partitions
            .iter()
            .filter(|partition| found(leaders.get(*partition)));
        those.map(ToString::to_string).collect()
    };
    let missing = names(&|found| found.is_none());
    if !missing.is_empty() {
        return Err(Stop::Failed(format!(
            "The partitions \"{}\" do not exist",
            missing.join(",")
        )));
    }
    let leaderless = names(&|found| found == Some(&false));
    if !leaderless.is_empty() {
        return Err(Stop::Failed(format!(
            "The partitions \"{}\" have no leader",
            leaderless.join(",")
        )));
    }
    Ok(())
}

async fn from_file(admin: &Admin, options: &Options, group: &str, path: &str) -> Result<Offsets, Stop> {
    let text = crate::cli::text_file(path)?;
    let mut plan = plan_file::read(&text, &options.values("group")).map_err(Stop::Failed)?;
    match plan.remove(group) {
        Some(offsets) => bounded(admin, &offsets).await,
        None => {
            say!("\nError: No reset plan for group {group} found");
            Ok(Offsets::new())
        }
    }
}

/// The first record at or after a time, or the end where there is none.
async fn at_time(admin: &Admin, partitions: &[TopicPartition], time: Timestamp) -> Result<Offsets, Stop> {
    let mut found = listed(admin, partitions, OffsetSpec::Timestamp(time)).await?;
    let late: Vec<TopicPartition> = partitions
        .iter()
        .filter(|partition| !found.contains_key(partition))
        .cloned()
        .collect();
    for partition in &late {
        say!(
            "\nWarn: Partition {} from topic {} is empty. Falling back to latest known offset.",
            partition.partition,
            partition.topic
        );
    }
    found.extend(listed(admin, &late, OffsetSpec::Latest).await?);
    Ok(found)
}

async fn bounded(admin: &Admin, requested: &Offsets) -> Result<Offsets, Stop> {
    let partitions: Vec<TopicPartition> = requested.keys().cloned().collect();
    let starts = listed(admin, &partitions, OffsetSpec::Earliest).await?;
    let ends = listed(admin, &partitions, OffsetSpec::Latest).await?;
    Ok(within(requested, &starts, &ends))
}

/// The offsets of those partitions that have such a one.
async fn listed(admin: &Admin, partitions: &[TopicPartition], spec: OffsetSpec) -> Result<Offsets, Stop> {
    let mut offsets = Offsets::new();
    if partitions.is_empty() {
        return Ok(offsets);
    }
    let asked = partitions
        .iter()
        .map(|partition| (partition.clone(), spec))
        .collect();
    for (partition, outcome) in admin
        .list_offsets(&asked, IsolationLevel::ReadUncommitted)
        .await?
    {
        let listed = outcome.map_err(|error| {
            let reason = crate::cli::reason(&error);
            Stop::Failed(format!(
                "Error getting offset of topic partition {partition}: {reason}"
            ))
        })?;
        offsets.extend(listed.offset.map(|offset| (partition, offset)));
    }
    Ok(offsets)
}

/// Offsets as near as the partitions allow (`checkOffsetsRange`).
fn within(requested: &Offsets, starts: &Offsets, ends: &Offsets) -> Offsets {
    let bounded = |(partition, offset): (&TopicPartition, &Offset)| {
        let warn = |side: &str, bound: &Offset| {
            eprintln!(
                "New offset ({offset}) is {side} offset for topic partition {partition}. Value will be set to {bound}"
            );
        };
        let bounded = match (starts.get(partition), ends.get(partition)) {
            (_, Some(end)) if offset > end => {
                warn("higher than latest", end);
                *end
            }
            (Some(start), _) if offset < start => {
                warn("lower than earliest", start);
                *start
            }
            _ => *offset,
        };
        (partition.clone(), bounded)
    };
    requested.iter().map(bounded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_kept_within_the_partition() {
        let offsets = |numbers: [i64; 3]| -> Offsets {
            (0..)
                .zip(numbers)
                .map(|(index, offset)| (TopicPartition::new("t", index), Offset(offset)))
                .collect()
        };
        let bounded = within(&offsets([1, 7, 99]), &offsets([5, 5, 5]), &offsets([9, 9, 9]));
        assert_eq!(bounded, offsets([5, 7, 9]));
    }

    #[test]
    fn csv_names_the_group_unless_there_is_but_one() {
        let rows = [("g".to_owned(), TopicPartition::new("t", 1), 7)];
        assert_eq!(
            (csv(&rows, true), csv(&rows, false)),
            ("t,1,7\n".to_owned(), "g,t,1,7\n".to_owned())
        );
    }
}
