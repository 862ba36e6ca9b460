//! `forebay broker-api-versions` (Kafka's `BrokerApiVersionsCommand`, `kafka-broker-api-versions.sh`): what each broker speaks,
//! and which version of it this client would use.

use std::process::ExitCode;

use forebay_client::admin::{ApiVersions, Endpoint};
use forebay_protocol::ApiKey;

use super::options::{Options, Stop, Tool, valued};

static TOOL: Tool = Tool {
    name: "broker-api-versions",
    about: "Shows which versions of which requests brokers speak.",
    flags: &[
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued("command-config", "file", "Properties of the admin client."),
    ],
    gone: &[],
};

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        let server = options.required("bootstrap-server")?;
        super::patiently(server, show(&options)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn show(options: &Options) -> Result<(), Stop> {
    let admin = super::admin(options)?;
    for endpoint in admin.list_endpoints().await? {
        if endpoint.is_fenced == Some(true) {
            continue;
        }
        let told = match admin.api_versions(endpoint.node.id).await {
            Ok(versions) => listing(&versions),
            Err(error) => format!("ERROR: {}", super::java::exception(&error)),
        };
        say!("{} -> {told}", name(&endpoint));
    }
    Ok(())
}

/// As Java prints a node.
fn name(endpoint: &Endpoint) -> String {
    let node = &endpoint.node;
    format!(
        "{}:{} (id: {} rack: {} isFenced: {})",
        node.host,
        node.port,
        node.id,
        node.rack.as_deref().unwrap_or("null"),
        endpoint.is_fenced == Some(true)
    )
}

/// What Kafka 4.3.1 speaks beyond what the protocol crate knows: number, name, and the versions.
const OTHERS: [(i16, &str, (i16, i16)); 20] = [
    (38, "CreateDelegationToken", (1, 3)),
    (39, "RenewDelegationToken", (1, 2)),
    (40, "ExpireDelegationToken", (1, 2)),
    (41, "DescribeDelegationToken", (1, 3)),
    (71, "GetTelemetrySubscriptions", (0, 0)),
    (72, "PushTelemetry", (0, 0)),
    (76, "ShareGroupHeartbeat", (1, 1)),
    (77, "ShareGroupDescribe", (1, 1)),
    (78, "ShareFetch", (1, 2)),
    (79, "ShareAcknowledge", (1, 2)),
    (83, "InitializeShareGroupState", (0, 0)),
    (84, "ReadShareGroupState", (0, 0)),
    (85, "WriteShareGroupState", (0, 1)),
    (86, "DeleteShareGroupState", (0, 0)),
    (87, "ReadShareGroupStateSummary", (0, 1)),
    (88, "StreamsGroupHeartbeat", (0, 0)),
    (89, "StreamsGroupDescribe", (0, 0)),
    (90, "DescribeShareGroupOffsets", (0, 1)),
    (91, "AlterShareGroupOffsets", (0, 0)),
    (92, "DeleteShareGroupOffsets", (0, 0)),
];

/// As Java prints `NodeApiVersions`: what the broker speaks, and what of Kafka's it does not.
fn listing(versions: &ApiVersions) -> String {
    let known = ApiKey::ALL.iter().filter(|key| key.is_on_broker());
    let ours = known.map(|key| {
        let ours = key.advertised_versions();
        (key.number(), key.name(), (*ours.start(), *ours.end()))
    });
    let ours: Vec<(i16, &str, (i16, i16))> = ours.chain(OTHERS).collect();
    let line = |(number, name, ours): &(i16, &str, (i16, i16))| match versions.apis.get(number) {
        Some(theirs) => supported(name, *number, *theirs, Some(usable(*ours, *theirs))),
        None => format!("\t{name}({number}): UNSUPPORTED"),
    };
    let mut lines: Vec<(i16, String)> = ours.iter().map(|api| (api.0, line(api))).collect();
    let is_known = |number: i16| ours.iter().any(|api| api.0 == number);
    let unknown = versions.apis.iter().filter(|(number, _)| !is_known(**number));
    lines.extend(unknown.map(|(number, theirs)| (*number, supported("UNKNOWN", *number, *theirs, None))));
    lines.sort_by_key(|(number, _)| *number);
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    format!("(\n{}\n)", lines.join(",\n"))
}

fn supported(name: &str, number: i16, (least, greatest): (i16, i16), usable: Option<Option<i16>>) -> String {
    let range = if least == greatest {
        least.to_string()
    } else {
        format!("{least} to {greatest}")
    };
    let usable = match usable {
        None => String::new(),
        Some(None) => " [unusable: node too new]".to_owned(),
        Some(Some(version)) => format!(" [usable: {version}]"),
    };
    format!("\t{name}({number}): {range}{usable}")
}

/// The greatest version that both speak.
fn usable(ours: (i16, i16), theirs: (i16, i16)) -> Option<i16> {
    let version = theirs.1.min(ours.1);
    (version >= theirs.0 && version >= ours.0).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_as_kafka_tells_them() {
        let versions = ApiVersions {
            apis: [
                (0, (0, 99)),
                (3, (13, 13)),
                (18, (90, 99)),
                (78, (1, 2)),
                (9999, (1, 2)),
            ]
            .into(),
            ..Default::default()
        };
        let told = listing(&versions);
        for line in [
            "(\n\tProduce(0): 0 to 99 [usable: 13],\n\tFetch(1): UNSUPPORTED,\n",
            "\tMetadata(3): 13 [usable: 13],\n",
            "\tShareFetch(78): 1 to 2 [usable: 2],\n",
            "\tApiVersions(18): 90 to 99 [unusable: node too new],\n",
            ",\n\tUNKNOWN(9999): 1 to 2\n)",
        ] {
            assert!(told.contains(line), "{told}\nlacks\n{line}");
        }
    }
}
