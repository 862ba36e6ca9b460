//! `--reset-offsets`: where a group without members goes on. By time and from a file come later, and are refused until then.

use std::collections::BTreeMap;

use forebay_client::Admin;
use forebay_client::admin::OffsetSpec;
use forebay_client::config::IsolationLevel;
use forebay_client::consumer::OffsetAndMetadata;
use forebay_protocol::TopicPartition;
use forebay_records::Offset;

use super::tables;
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
const NOT_YET: [&str; 3] = ["by-duration", "to-datetime", "from-file"];

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
    if let Some(scenario) = NOT_YET.iter().find(|scenario| options.has(scenario)) {
        return Err(Stop::usage(format!(
            "--{scenario} is not supported yet; --to-earliest, --to-latest, --to-current, --to-offset and --shift-by are"
        )));
    }
    if !SCENARIOS.iter().any(|scenario| options.has(scenario)) {
        let scenarios: Vec<String> = SCENARIOS.iter().map(|scenario| format!("[{scenario}]")).collect();
        return Err(Stop::usage(format!(
            "Option '[reset-offsets]' requires one of the following scenarios: [{}]",
            scenarios.join(", ")
        )));
    }
    if !options.has("all-topics") && !options.has("topic") {
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
    let ids: Vec<&str> = groups.iter().map(String::as_str).collect();
    let mut rows = Vec::new();
    for (group, outcome) in admin.describe_groups(&ids).await? {
        let state = outcome?.state;
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
    let committed = admin.list_group_offsets(group, None).await?;
    let partitions: Vec<TopicPartition> = if options.has("all-topics") {
        committed.keys().cloned().collect()
    } else {
        let (partitions, unknown) = super::topic_partitions(admin, &options.values("topic")).await?;
        if let Some((topic, error)) = unknown.first_key_value() {
            return Err(Stop::Failed(format!("{topic}: {}", crate::cli::reason(error))));
        }
        partitions
    };
    if partitions.is_empty() {
        return Ok(Offsets::new());
    }
    if options.has("to-earliest") {
        return listed(admin, &partitions, OffsetSpec::Earliest).await;
    }
    let ends = listed(admin, &partitions, OffsetSpec::Latest).await?;
    if options.has("to-latest") {
        return Ok(ends);
    }
    let current = |partition: &TopicPartition| committed.get(partition).map(|committed| committed.offset);
    if options.has("to-current") {
        let to_current = |(partition, end): (TopicPartition, Offset)| {
            let offset = current(&partition).unwrap_or(end);
            (partition, offset)
        };
        return Ok(ends.into_iter().map(to_current).collect());
    }
    let shift: Option<i64> = options.number("shift-by")?;
    let fixed: Option<i64> = options.number("to-offset")?;
    let mut requested = Offsets::new();
    for partition in partitions {
        let offset = match (shift, current(&partition)) {
            (None, _) => Offset(fixed.unwrap_or_default()),
            (Some(shift), Some(current)) => current + shift,
            (Some(_), None) => {
                return Err(Stop::usage(format!(
                    "Cannot shift offset for partition {partition} since there is no current committed offset"
                )));
            }
        };
        requested.insert(partition, offset);
    }
    let partitions: Vec<TopicPartition> = requested.keys().cloned().collect();
    let starts = listed(admin, &partitions, OffsetSpec::Earliest).await?;
    Ok(within(&requested, &starts, &ends))
}

async fn listed(admin: &Admin, partitions: &[TopicPartition], spec: OffsetSpec) -> Result<Offsets, Stop> {
    let asked = partitions
        .iter()
        .map(|partition| (partition.clone(), spec))
        .collect();
    let mut offsets = Offsets::new();
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
        offsets.insert(partition, listed.offset.unwrap_or(Offset::ZERO));
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
