//! `forebay cluster` (Kafka's `ClusterTool`, `kafka-cluster.sh`): its id, its brokers, and one that is gone taken off the books.

use std::process::ExitCode;

use forebay_client::Error;
use forebay_client::admin::Endpoint;
use forebay_protocol::NodeId;

use super::commands::{Command, Commands};
use super::options::{Options, Stop, Tool, switch, valued};

static TOOL: Tool = Tool {
    name: "cluster",
    about: "cluster-id: shows the id of a cluster; list-endpoints: its brokers; unregister: takes a broker off its books.",
    flags: &[
        valued(
            "bootstrap-server",
            "host:port,...",
            "REQUIRED (or -b): brokers to ask.",
        ),
        valued(
            "command-config",
            "file",
            "Properties of the admin client (or -c).",
        ),
        valued("config", "file", "The old name of --command-config."),
        valued("id", "id", "unregister: the broker (or -i)."),
        switch("include-fenced-brokers", "list-endpoints: fenced brokers too."),
    ],
    gone: &[(
        "bootstrap-controller",
        "controllers take no requests of tools here; write --bootstrap-server",
    )],
};

static COMMANDS: Commands = Commands {
    tool: &TOOL,
    commands: &[
        Command {
            name: "cluster-id",
            flags: &[],
            required: &["bootstrap-server"],
        },
        Command {
            name: "unregister",
            flags: &["id"],
            required: &["bootstrap-server", "id"],
        },
        Command {
            name: "list-endpoints",
            flags: &["include-fenced-brokers"],
            required: &["bootstrap-server"],
        },
    ],
    short: &[
        ("-b", "--bootstrap-server"),
        ("-c", "--command-config"),
        ("-i", "--id"),
    ],
};

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    COMMANDS.run(arguments, |command, options| async move {
        if options.has("config") && options.has("command-config") {
            return Err(Stop::usage("--config and --command-config cannot be specified together."));
        }
        if options.has("config") {
            say!(
                "Option --config has been deprecated and will be removed in a future version. Use --command-config instead."
            );
        }
        let server = options.required("bootstrap-server")?;
        super::patiently(server, act(command.name, &options)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn act(command: &str, options: &Options) -> Result<(), Stop> {
    let admin = match options.value("config")? {
        Some(path) => super::admin_with(options, &super::properties_file(path)?)?,
        None => super::admin(options)?,
    };
    match command {
        "cluster-id" => match admin.describe_cluster().await?.cluster_id {
            Some(id) => say!("Cluster ID: {id}"),
            None => say!("No cluster ID found. The Kafka version is probably too old."),
        },
        "unregister" => {
            let id: i32 = options.number("id")?.unwrap_or_default();
            match admin.unregister_broker(NodeId(id)).await {
                Ok(()) => say!("Broker {id} is no longer registered."),
                Err(error) => {
                    if matches!(error, Error::UnsupportedVersion { .. }) {
                        say!("The target cluster does not support the broker unregistration API.");
                    }
                    return Err(Stop::Failed(super::java::exception(&error)));
                }
            }
        }
        _ => {
            let mut endpoints = admin.list_endpoints().await?;
            endpoints
                .retain(|endpoint| options.has("include-fenced-brokers") || endpoint.is_fenced != Some(true));
            super::print(&table(&endpoints));
        }
    }
    Ok(())
}

fn table(endpoints: &[Endpoint]) -> String {
    let host = endpoints
        .iter()
        .map(|endpoint| endpoint.node.host.len())
        .max()
        .unwrap_or(100);
    let racks = endpoints
        .iter()
        .filter_map(|endpoint| endpoint.node.rack.as_ref());
    let rack = racks.map(String::len).max().unwrap_or(10);
    let row = |[id, name, port, rack_name, state, kind]: [&str; 6]| {
        format!("{id:<10} {name:<host$} {port:<10} {rack_name:<rack$} {state:<10} {kind:<15}\n")
    };
    let mut text = row(["ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE"]);
    for endpoint in endpoints {
        let node = &endpoint.node;
        let state = if endpoint.is_fenced == Some(true) {
            "fenced"
        } else {
            "unfenced"
        };
        let (id, port) = (node.id.to_string(), node.port.to_string());
        text.push_str(&row([
            &id,
            &node.host,
            &port,
            node.rack.as_deref().unwrap_or("null"),
            state,
            "broker",
        ]));
    }
    text
}

#[cfg(test)]
mod tests {
    use forebay_client::admin::Node;

    use super::*;

    #[test]
    fn the_table_is_kafkas() {
        let endpoint = Endpoint {
            node: Node {
                id: NodeId(0),
                host: "127.0.0.1".to_owned(),
                port: 9092,
                rack: None,
            },
            is_fenced: Some(false),
        };
        assert_eq!(
            table(&[endpoint]),
            "ID         HOST      PORT       RACK       STATE      ENDPOINT_TYPE  \n\
             0          127.0.0.1 9092       null       unfenced   broker         \n"
        );
    }
}
