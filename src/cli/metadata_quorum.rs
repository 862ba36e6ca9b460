//! `forebay metadata-quorum` (Kafka's `MetadataQuorumCommand`, `kafka-metadata-quorum.sh`): who keeps the cluster's metadata, and
//! how far they are.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use forebay_client::admin::{QuorumInfo, QuorumReplica};
use forebay_protocol::Uuid;
use forebay_records::Timestamp;

use super::commands::{Command, Commands};
use super::options::{Options, Stop, Tool, switch, valued};
use super::table::table;

static TOOL: Tool = Tool {
    name: "metadata-quorum",
    about: "describe: shows the quorum that keeps the cluster's metadata.",
    flags: &[
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued("command-config", "file", "Properties of the admin client."),
        switch(
            "human-readable",
            "With --replication: times as what has passed since.",
        ),
        switch("replication", "describe: each member, and how far it is."),
        switch("status", "describe: a summary."),
    ],
    gone: &[(
        "bootstrap-controller",
        "controllers take no requests of tools here; write --bootstrap-server",
    )],
};

static COMMANDS: Commands = Commands {
    tool: &TOOL,
    commands: &[Command {
        name: "describe",
        flags: &["status", "replication", "human-readable"],
        required: &["bootstrap-server"],
    }],
    short: &[],
};

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    COMMANDS.run(arguments, |_, options| async move {
        let failed = |message: &str| Err(Stop::Failed(message.to_owned()));
        match (options.has("status"), options.has("replication")) {
            (true, true) => {
                return failed(
                    "Only one of --status or --replication should be specified with describe sub-command",
                );
            }
            (false, false) => {
                return failed(
                    "One of --status or --replication must be specified with describe sub-command",
                );
            }
            (true, false) if options.has("human-readable") => {
                return failed("The option --human-readable is only supported along with --replication");
            }
            _ => {}
        }
        let server = options.required("bootstrap-server")?;
        super::patiently(server, describe(&options)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn describe(options: &Options) -> Result<(), Stop> {
    let admin = super::admin(options)?;
    if options.has("status") {
        let cluster_id = admin.describe_cluster().await?.cluster_id.unwrap_or_default();
        let quorum = admin.describe_metadata_quorum().await?;
        super::print(&status(&cluster_id, &quorum)?);
        return Ok(());
    }
    let quorum = admin.describe_metadata_quorum().await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let since = options.has("human-readable").then_some(now);
    super::print(&replication(&quorum, since)?);
    Ok(())
}

fn leader(quorum: &QuorumInfo) -> Result<&QuorumReplica, Stop> {
    let leader = quorum.voters.iter().find(|voter| voter.id == quorum.leader);
    leader.ok_or_else(|| Stop::Failed("the quorum has no leader".to_owned()))
}

fn status(cluster_id: &str, quorum: &QuorumInfo) -> Result<String, Stop> {
    let leader = leader(quorum)?;
    let slowest = quorum
        .voters
        .iter()
        .min_by_key(|voter| voter.log_end_offset)
        .unwrap_or(leader);
    let lag_ms = match (leader.last_caught_up, slowest.last_caught_up) {
        _ if leader.id == slowest.id => 0,
        (Some(leader), Some(slowest)) => leader.0 - slowest.0,
        _ => -1,
    };
    Ok(format!(
        "ClusterId:              {cluster_id}\n\
         LeaderId:               {}\n\
         LeaderEpoch:            {}\n\
         HighWatermark:          {}\n\
         MaxFollowerLag:         {}\n\
         MaxFollowerLagTimeMs:   {lag_ms}\n\
         CurrentVoters:          {}\n\
         CurrentObservers:       {}\n",
        quorum.leader,
        quorum.leader_epoch,
        quorum.high_watermark,
        leader.log_end_offset - slowest.log_end_offset,
        members(quorum, &quorum.voters),
        members(quorum, &quorum.observers),
    ))
}

fn members(quorum: &QuorumInfo, replicas: &[QuorumReplica]) -> String {
    let member = |replica: &QuorumReplica| {
        let mut text = format!("{{\"id\": {}", replica.id);
        if replica.directory_id != Uuid::default() {
            text.push_str(&format!(", \"directoryId\": \"{}\"", replica.directory_id));
        }
        let endpoints = quorum.endpoints.get(&replica.id).map_or(&[][..], Vec::as_slice);
        if !endpoints.is_empty() {
            let endpoint = |(name, host, port): &(String, String, u16)| format!("\"{name}://{host}:{port}\"");
            let endpoints: Vec<String> = endpoints.iter().map(endpoint).collect();
            text.push_str(&format!(", \"endpoints\": [{}]", endpoints.join(", ")));
        }
        text + "}"
    };
    let members: Vec<String> = replicas.iter().map(member).collect();
    format!("[{}]", members.join(", "))
}

/// With `now`, times are what has passed until then.
fn replication(quorum: &QuorumInfo, now: Option<i64>) -> Result<String, Stop> {
    const HEADER: [&str; 7] = [
        "NodeId",
        "DirectoryId",
        "LogEndOffset",
        "Lag",
        "LastFetchTimestamp",
        "LastCaughtUpTimestamp",
        "Status",
    ];
    let leader = leader(quorum)?;
    let time = |time: Option<Timestamp>| match (time, now) {
        (None, _) => "-1".to_owned(),
        (Some(time), None) => time.to_string(),
        (Some(time), Some(now)) => format!("{} ms ago", now - time.0),
    };
    let row = |replica: &QuorumReplica, status: &str| {
        vec![
            replica.id.to_string(),
            replica.directory_id.to_string(),
            replica.log_end_offset.to_string(),
            (leader.log_end_offset - replica.log_end_offset).to_string(),
            time(replica.last_fetch),
            time(replica.last_caught_up),
            status.to_owned(),
        ]
    };
    let mut rows = vec![row(leader, "Leader")];
    let followers = quorum.voters.iter().filter(|voter| voter.id != leader.id);
    rows.extend(followers.map(|replica| row(replica, "Follower")));
    rows.extend(quorum.observers.iter().map(|replica| row(replica, "Observer")));
    Ok(table(&HEADER, &rows))
}

#[cfg(test)]
mod tests {
    use forebay_protocol::NodeId;
    use forebay_records::{LeaderEpoch, Offset};

    use super::*;

    fn quorum() -> QuorumInfo {
        let replica = |id, end, caught_up| QuorumReplica {
            id: NodeId(id),
            directory_id: Uuid::default(),
            log_end_offset: Offset(end),
            last_fetch: None,
            last_caught_up: caught_up,
        };
        QuorumInfo {
            leader: NodeId(1),
            leader_epoch: LeaderEpoch(3),
            high_watermark: Offset(40),
            voters: vec![
                replica(0, 30, Some(Timestamp(900))),
                replica(1, 42, Some(Timestamp(1000))),
            ],
            observers: vec![replica(2, 41, None)],
            endpoints: [(NodeId(1), vec![("CONTROLLER".to_owned(), "h".to_owned(), 9093)])].into(),
        }
    }

    #[test]
    fn the_summary_and_the_table_are_kafkas() {
        let expected = "ClusterId:              c\nLeaderId:               1\nLeaderEpoch:            3\n\
            HighWatermark:          40\nMaxFollowerLag:         12\nMaxFollowerLagTimeMs:   100\n\
            CurrentVoters:          [{\"id\": 0}, {\"id\": 1, \"endpoints\": [\"CONTROLLER://h:9093\"]}]\n\
            CurrentObservers:       [{\"id\": 2}]\n";
        assert_eq!(status("c", &quorum()), Ok(expected.to_owned()));
        let table = replication(&quorum(), Some(1500)).expect("it has a leader");
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split('\t').map(str::trim).collect())
            .collect();
        assert_eq!(
            rows[1],
            [
                "1",
                "AAAAAAAAAAAAAAAAAAAAAA",
                "42",
                "0",
                "-1",
                "500 ms ago",
                "Leader",
                ""
            ]
        );
        assert_eq!(rows[2][3..], ["12", "-1", "600 ms ago", "Follower", ""]);
        assert_eq!(rows[3][3..], ["1", "-1", "-1", "Observer", ""]);
    }
}
