//! `forebay acls` (Kafka's `AclCommand`, `kafka-acls.sh`). No broker of ours has an authorizer yet; of one that has none, Kafka's
//! tool prints the same error whatever is asked for.

use std::process::ExitCode;

use super::options::{Options, Stop, Tool, switch, valued};

static TOOL: Tool = Tool {
    name: "acls",
    about: "Access lists; says that the cluster has none. What Kafka's tool would do on one that has is not there yet.",
    flags: &[
        switch("add", "Add access lists."),
        valued("allow-host", "host", "Hosts that are let in."),
        valued("allow-principal", "principal", "Who is let in."),
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        switch("cluster", "Of the cluster."),
        valued("command-config", "file", "Properties of the admin client."),
        switch("consumer", "All that a consumer needs."),
        valued("delegation-token", "token", "Of a delegation token."),
        valued("deny-host", "host", "Hosts that are kept out."),
        valued("deny-principal", "principal", "Who is kept out."),
        switch("force", "Do not ask."),
        valued("group", "id", "Of a group."),
        switch("idempotent", "With --producer: an idempotent one."),
        switch("list", "List access lists."),
        valued("operation", "operation", "Read, Write, …"),
        valued("principal", "principal", "With --list: of whom."),
        switch("producer", "All that a producer needs."),
        switch("remove", "Remove access lists."),
        valued(
            "resource-pattern-type",
            "type",
            "ANY, MATCH, LITERAL or PREFIXED.",
        ),
        valued("topic", "name", "Of a topic."),
        valued("transactional-id", "id", "Of a transactional id."),
        valued("user-principal", "principal", "Of a user."),
    ],
    gone: &[
        (
            "authorizer",
            "access lists are in the cluster; write --bootstrap-server",
        ),
        (
            "authorizer-properties",
            "access lists are in the cluster; write --bootstrap-server",
        ),
    ],
};

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        if ["add", "list", "remove"]
            .iter()
            .filter(|action| options.has(action))
            .count()
            != 1
        {
            return Err(Stop::usage(
                "Command must include exactly one action: --list, --add, --remove. ",
            ));
        }
        let server = options.required("bootstrap-server")?;
        super::patiently(server, ask(&options)).await?;
        Ok(ExitCode::FAILURE)
    })
}

async fn ask(options: &Options) -> Result<(), Stop> {
    match super::admin(options)?.describe_acls().await {
        Ok(_) => eprintln!(
            "this cluster has access lists, which this tool cannot change or show yet; use Kafka's kafka-acls.sh"
        ),
        Err(error) => say!(
            "Error while executing ACL command: {}",
            super::java::exception(&error)
        ),
    }
    Ok(())
}
