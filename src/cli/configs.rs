//! `forebay configs` (Kafka's `ConfigCommand`, `kafka-configs.sh`): the configurations of topics, brokers, groups and loggers, and
//! the quotas and passwords of users, quotas of clients and addresses.

mod alter;
mod describe;
mod entities;
mod quotas;
mod scram;

use std::process::ExitCode;

use super::options::{Options, Stop, Tool, switch, valued};
use entities::Entities;

static TOOL: Tool = Tool {
    name: "configs",
    about: "Shows and changes configurations of topics, brokers, groups and loggers, and quotas of users, clients and addresses.",
    flags: &[
        valued(
            "add-config",
            "key=value,...",
            "With --alter: what to set; brackets around a value that holds commas: k1=v1,k2=[v1,v2].",
        ),
        valued("add-config-file", "file", "With --alter: properties to set."),
        switch("all", "With --describe: what is not set too."),
        switch("alter", "Change a configuration."),
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued("broker", "id", "A broker."),
        switch("broker-defaults", "What holds for all brokers."),
        valued("broker-logger", "id", "The loggers of a broker."),
        valued("client", "id", "A client."),
        switch(
            "client-defaults",
            "What holds for clients that have nothing of their own.",
        ),
        valued("client-metrics", "name", "A subscription to metrics of clients."),
        valued("command-config", "file", "Properties of the admin client."),
        valued("delete-config", "key,...", "With --alter: what to take back."),
        switch("describe", "Show a configuration."),
        switch(
            "entity-default",
            "Instead of --entity-name: what holds for those that have nothing of their own.",
        ),
        valued("entity-name", "name", "Whose."),
        valued(
            "entity-type",
            "type",
            "topics, clients, users, brokers, ips, client-metrics, groups or broker-loggers.",
        ),
        switch("force", "Does nothing: nobody is asked anyway."),
        valued("group", "id", "A group."),
        valued("ip", "address", "An address."),
        switch(
            "ip-defaults",
            "What holds for addresses that have nothing of their own.",
        ),
        valued("topic", "name", "A topic."),
        valued("user", "principal", "A user."),
        switch(
            "user-defaults",
            "What holds for users who have nothing of their own.",
        ),
    ],
    gone: &[
        (
            "zookeeper",
            "there is no ZooKeeper any more; write --bootstrap-server with a broker's address, such as localhost:9092",
        ),
        (
            "bootstrap-controller",
            "controllers take no requests of tools here; write --bootstrap-server",
        ),
    ],
};

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let asked = arguments.join(" ");
    super::run_tool(&TOOL, arguments, |options| async move {
        let entities = check(&options)?;
        let server = options.required("bootstrap-server")?;
        match super::patiently(server, act(&options, &entities)).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(Error::Cluster(error)) => Err(Stop::Failed(format!(
                "Error while executing config command with args '{asked}'\n{}",
                super::java::exception(&error)
            ))),
            Err(Error::Stop(stop)) => Err(stop),
        }
    })
}

/// What goes wrong with the cluster is told with the arguments, our own words alone.
#[derive(Debug)]
enum Error {
    Cluster(forebay_client::Error),
    Stop(Stop),
}

impl From<forebay_client::Error> for Error {
    fn from(error: forebay_client::Error) -> Self {
        Self::Cluster(error)
    }
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl Error {
    fn failed(message: impl Into<String>) -> Self {
        Self::Stop(Stop::Failed(message.into()))
    }
}

async fn act(options: &Options, entities: &Entities) -> Result<(), Error> {
    let admin = super::admin(options)?;
    if options.has("alter") {
        alter::alter(&admin, options, entities).await
    } else {
        describe::describe(&admin, entities, options.has("all")).await
    }
}

/// Which options go together (`ConfigCommandOptions.checkArgs`).
fn check(options: &Options) -> Result<Entities, Stop> {
    if options.has("alter") == options.has("describe") {
        return Err(Stop::usage(
            "Command must include exactly one action: --describe, --alter",
        ));
    }
    options.exclude("describe", &["add-config", "delete-config"])?;
    let entities = Entities::new(options)?;
    let failed = |message: &str| Err(Stop::Failed(message.to_owned()));
    if !options.has("bootstrap-server") {
        return failed(
            "One of the required --bootstrap-server or --bootstrap-controller arguments must be specified",
        );
    }
    if options.has("alter") {
        entities.check_alter()?;
        let (add, file) = (options.has("add-config"), options.has("add-config-file"));
        if add && file {
            return failed("Only one of --add-config or --add-config-file must be specified");
        }
        if !add && !file && !options.has("delete-config") {
            return failed(
                "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter",
            );
        }
    } else {
        entities.check_describe(options.has("entity-default"))?;
    }
    Ok(entities)
}

#[cfg(test)]
mod tests;
