//! `--describe`: what a group has read, who its members are, or how it is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use forebay_client::Admin;
use forebay_client::admin::{GroupDescription, MemberDescription, OffsetSpec};
use forebay_client::config::IsolationLevel;
use forebay_client::consumer::OffsetAndMetadata;
use forebay_protocol::{ErrorCode, TopicPartition};

use super::tables::{self, MISSING, MemberRow, OffsetRow, StateRow};
use crate::cli::options::{Options, Stop};

/// Asks and prints, group by group.
pub(super) async fn describe(admin: &Admin, options: &Options) -> Result<(), Stop> {
    let ids = super::groups(admin, options).await?;
    let groups = super::described(admin, &ids).await?;
    let missing = |group: &&GroupDescription| group.error == Some(ErrorCode::GroupIdNotFound);
    if let Some(group) = groups.values().find(missing) {
        return Err(Stop::Failed(format!(
            "org.apache.kafka.common.errors.GroupIdNotFoundException: Group {} not found.",
            group.group_id
        )));
    }
    let verbose = options.has("verbose");
    for (id, group) in &groups {
        if options.has("members") {
            if exists(id, group) {
                crate::cli::print(&tables::members(id, &member_rows(group), verbose));
            }
        } else if options.has("state") {
            if exists(id, group) {
                crate::cli::print(&tables::state(id, &state_row(group), verbose));
            }
        } else {
            let rows = offset_rows(admin, group).await?;
            if exists(id, group) && !rows.is_empty() {
                crate::cli::print(&tables::offsets(id, &rows, verbose));
            }
        }
    }
    Ok(())
}

/// Says on standard error how the group is, if it is not simply stable; whether there is one.
fn exists(id: &str, group: &GroupDescription) -> bool {
    match group.state.as_str() {
        "Dead" => say!("\nError: Consumer group '{id}' does not exist."),
        "Empty" => eprintln!("\nConsumer group '{id}' has no active members."),
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            eprintln!("\nWarning: Consumer group '{id}' is rebalancing.");
        }
        _ => {}
    }
    group.state != "Dead"
}

fn member_rows(group: &GroupDescription) -> Vec<MemberRow> {
    let row = |member: &MemberDescription| MemberRow {
        consumer_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone().unwrap_or_default(),
        host: member.client_host.clone(),
        client_id: member.client_id.clone(),
        assignment: member.assignment.clone(),
        epoch: member.member_epoch,
        target_epoch: group.target_assignment_epoch,
        target: member.target_assignment.clone().unwrap_or_default(),
        is_upgraded: member.is_upgraded,
    };
    group.members.iter().map(row).collect()
}

fn state_row(group: &GroupDescription) -> StateRow {
    let coordinator = group.coordinator.as_ref();
    StateRow {
        coordinator: coordinator.map_or_else(
            || MISSING.to_owned(),
            |node| format!("{}:{}  ({})", node.host, node.port, node.id),
        ),
        assignor: group.assignor.clone(),
        state: group.state.clone(),
        members: group.members.len(),
        group_epoch: group.group_epoch,
        target_epoch: group.target_assignment_epoch,
    }
}

async fn offset_rows(admin: &Admin, group: &GroupDescription) -> Result<Vec<OffsetRow>, Stop> {
    if group.state == "Dead" {
        return Ok(Vec::new());
    }
    let committed = admin.list_group_offsets(&group.group_id, None).await?;
    let mut rows = rows_without_ends(group, &committed);
    let asked = rows
        .iter()
        .map(|row| (row.partition.clone(), OffsetSpec::Latest))
        .collect();
    let ends = admin
        .list_offsets(&asked, IsolationLevel::ReadUncommitted)
        .await?;
    for row in &mut rows {
        // A partition that is gone, or has no leader, has no end that could be known.
        let end = ends.get(&row.partition).and_then(|outcome| outcome.as_ref().ok());
        row.end = end.and_then(|end| end.offset).map(|offset| offset.0);
    }
    Ok(rows)
}

/// What members read, those with most first, then what nobody does.
fn rows_without_ends(
    group: &GroupDescription,
    committed: &BTreeMap<TopicPartition, OffsetAndMetadata>,
) -> Vec<OffsetRow> {
    let row = |partition: &TopicPartition, consumer_id: &str, host: &str, client_id: &str| {
        let committed = committed.get(partition);
        OffsetRow {
            partition: partition.clone(),
            leader_epoch: committed
                .and_then(|committed| committed.leader_epoch)
                .map(|epoch| epoch.0),
            current: committed.map(|committed| committed.offset.0),
            end: None,
            consumer_id: consumer_id.to_owned(),
            host: host.to_owned(),
            client_id: client_id.to_owned(),
        }
    };
    let mut members: Vec<&MemberDescription> = group
        .members
        .iter()
        .filter(|member| !member.assignment.is_empty())
        .collect();
    members.sort_by_key(|member| Reverse(member.assignment.len()));
    let mut rows = Vec::new();
    let mut assigned = BTreeSet::new();
    for member in members {
        let partitions: BTreeSet<&TopicPartition> = member.assignment.iter().collect();
        let of_member = partitions.iter().map(|partition| {
            row(
                partition,
                &member.member_id,
                &member.client_host,
                &member.client_id,
            )
        });
        rows.extend(of_member);
        assigned.extend(partitions);
    }
    let unassigned = committed.keys().filter(|partition| !assigned.contains(partition));
    rows.extend(unassigned.map(|partition| row(partition, MISSING, MISSING, MISSING)));
    rows
}

#[cfg(test)]
mod tests {
    use forebay_records::{LeaderEpoch, Offset};

    use super::*;

    #[test]
    fn members_with_most_partitions_come_first_and_what_nobody_reads_last() {
        let partition = |number| TopicPartition::new("t", number);
        let member = |id: &str, numbers: &[i32]| MemberDescription {
            member_id: id.to_owned(),
            group_instance_id: None,
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            member_epoch: None,
            target_assignment: None,
            is_upgraded: None,
            assignment: numbers.iter().map(|number| partition(*number)).collect(),
        };
        let group = GroupDescription {
            group_id: "g".to_owned(),
            state: "Stable".to_owned(),
            protocol_type: "consumer".to_owned(),
            assignor: "range".to_owned(),
            coordinator: None,
            members: vec![member("one", &[0]), member("none", &[]), member("two", &[2, 1])],
            group_epoch: None,
            target_assignment_epoch: None,
            error: None,
        };
        let offset = OffsetAndMetadata {
            leader_epoch: Some(LeaderEpoch(6)),
            ..OffsetAndMetadata::from(Offset(4))
        };
        let committed = [(partition(1), offset.clone()), (partition(3), offset)].into();
        let rows = rows_without_ends(&group, &committed);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (row.partition.partition, row.consumer_id.as_str(), row.current))
            .collect();
        assert_eq!(
            shown,
            [
                (1, "two", Some(4)),
                (2, "two", None),
                (0, "one", None),
                (3, MISSING, Some(4))
            ]
        );
        assert_eq!(rows[0].leader_epoch, Some(6));
    }
}
