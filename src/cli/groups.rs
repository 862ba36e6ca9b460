//! `forebay groups` (Kafka's `GroupsCommand`, `kafka-groups.sh`): groups of every type.

use std::process::ExitCode;

use forebay_client::admin::GroupListing;

use super::options::{Options, Stop, Tool, switch, valued};

static TOOL: Tool = Tool {
    name: "groups",
    about: "Lists groups of every type.",
    flags: &[
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued("command-config", "file", "Properties of the admin client."),
        switch(
            "consumer",
            "Consumer groups of either protocol, and what has committed offsets without being a group.",
        ),
        valued(
            "group-type",
            "type",
            "Groups of this type: classic, consumer, share or streams.",
        ),
        switch("list", "List the groups."),
        valued(
            "protocol",
            "name",
            "Groups whose members speak this: consumer, connect, …",
        ),
        switch("share", "Share groups."),
        switch("streams", "Streams groups."),
    ],
    gone: &[],
};

/// Which groups; one of them at most is asked for, but for a type and a protocol.
const FILTERS: [&str; 3] = ["consumer", "share", "streams"];
/// As brokers name them, and as they are shown.
const TYPES: [(&str, &str); 4] = [
    ("classic", "Classic"),
    ("consumer", "Consumer"),
    ("share", "Share"),
    ("streams", "Streams"),
];
/// What consumers speak.
const CONSUMER_PROTOCOL: &str = "consumer";
/// No column is narrower.
const WIDTH_MIN: usize = 20;

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        let filter = Filter::new(&options)?;
        let server = options.required("bootstrap-server")?;
        let admin = super::admin(&options)?;
        let groups = super::patiently(server, admin.list_groups()).await?;
        super::print(&table(groups.iter().filter(|group| filter.takes(group))));
        Ok(ExitCode::SUCCESS)
    })
}

#[derive(Debug, Default, PartialEq)]
struct Filter {
    group_type: Option<String>,
    protocol: Option<String>,
    consumers: bool,
}

impl Filter {
    fn new(options: &Options) -> Result<Self, Stop> {
        if !options.has("bootstrap-server") {
            return Err(Stop::usage("Missing required option(s) [bootstrap-server]"));
        }
        if !options.has("list") {
            return Err(Stop::usage("Command must include exactly one action: --list."));
        }
        for filter in FILTERS {
            let others = FILTERS.into_iter().filter(|other| *other != filter);
            let others: Vec<&str> = others.chain(["group-type", "protocol"]).collect();
            options.exclude(filter, &others)?;
        }
        let group_type = options.value("group-type")?.map(str::to_ascii_lowercase);
        if let Some(given) = &group_type
            && !TYPES.iter().any(|(known, _)| known == given)
        {
            return Err(Stop::Failed(
                "--group-type must be a valid group type.".to_owned(),
            ));
        }
        let named = ["share", "streams"].into_iter().find(|name| options.has(name));
        Ok(Self {
            group_type: group_type.or(named.map(ToOwned::to_owned)),
            protocol: options.value("protocol")?.map(ToOwned::to_owned),
            consumers: options.has("consumer"),
        })
    }

    fn takes(&self, group: &GroupListing) -> bool {
        let group_type = group_type(group);
        let is_consumer = || match group_type {
            "consumer" => true,
            "classic" => group.protocol_type.is_empty() || group.protocol_type == CONSUMER_PROTOCOL,
            _ => false,
        };
        self.group_type.as_ref().is_none_or(|wanted| wanted == group_type)
            && self
                .protocol
                .as_ref()
                .is_none_or(|wanted| *wanted == group.protocol_type)
            && (!self.consumers || is_consumer())
    }
}

/// Brokers that do not say it have groups of the old type only.
fn group_type(group: &GroupListing) -> &'static str {
    let told = group.group_type.as_deref().unwrap_or("classic");
    let known = TYPES.iter().find(|(name, _)| told.eq_ignore_ascii_case(name));
    known.map_or("unknown", |(name, _)| name)
}

fn table<'a>(groups: impl Iterator<Item = &'a GroupListing>) -> String {
    let rows: Vec<[&str; 3]> = groups
        .map(|group| {
            let shown = TYPES.iter().find(|(name, _)| *name == group_type(group));
            let shown = shown.map_or("Unknown", |(_, shown)| shown);
            [group.group_id.as_str(), shown, group.protocol_type.as_str()]
        })
        .collect();
    let longest = rows.iter().map(|[id, ..]| id.chars().count()).max();
    let width = longest.unwrap_or(0).max(WIDTH_MIN);
    let mut text = String::new();
    for [id, group_type, protocol] in std::iter::once(["GROUP", "TYPE", "PROTOCOL"]).chain(rows) {
        text.push_str(&format!("{id:<width$} {group_type:<width$} {protocol:<width$}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: &str, group_type: Option<&str>, protocol: &str) -> GroupListing {
        GroupListing {
            group_id: id.to_owned(),
            protocol_type: protocol.to_owned(),
            state: None,
            group_type: group_type.map(str::to_owned),
        }
    }

    fn filter(text: &str) -> Result<Filter, Stop> {
        let words: Vec<String> = text.split(' ').map(ToOwned::to_owned).collect();
        Filter::new(&TOOL.parse(&words).expect("reads"))
    }

    #[test]
    fn groups_are_chosen_as_kafka_chooses_them() {
        let groups = [
            group("old", None, "consumer"),
            group("offsets", Some("Classic"), ""),
            group("connect", Some("classic"), "connect"),
            group("new", Some("Consumer"), "consumer"),
            group("shared", Some("Share"), "share"),
        ];
        let cases: [(&str, &[&str]); 6] = [
            ("--list", &["old", "offsets", "connect", "new", "shared"]),
            ("--list --consumer", &["old", "offsets", "new"]),
            ("--list --group-type Classic", &["old", "offsets", "connect"]),
            ("--list --group-type consumer --protocol consumer", &["new"]),
            ("--list --share", &["shared"]),
            ("--list --streams", &[]),
        ];
        for (text, expected) in cases {
            let filter = filter(&format!("--bootstrap-server b {text}")).expect("a filter");
            let taken = groups.iter().filter(|group| filter.takes(group));
            let taken: Vec<&str> = taken.map(|group| group.group_id.as_str()).collect();
            assert_eq!(taken, expected, "{text}");
        }
        let refused = [
            ("--list", "Missing required option(s) [bootstrap-server]"),
            (
                "--bootstrap-server b",
                "Command must include exactly one action: --list.",
            ),
            (
                "--bootstrap-server b --list --consumer --group-type share",
                "Option \"[consumer]\" can't be used with option \"[group-type]\"",
            ),
        ];
        for (text, message) in refused {
            assert_eq!(filter(text), Err(Stop::usage(message)), "{text}");
        }
    }

    #[test]
    fn the_table_is_as_wide_as_the_longest_name() {
        let groups = [group("a-group-with-a-long-name", None, "consumer")];
        let expected = "GROUP                    TYPE                     PROTOCOL                \n\
                        a-group-with-a-long-name Classic                  consumer                \n";
        assert_eq!(table(groups.iter()), expected);
        assert_eq!(
            table([].iter()),
            format!("{:<20} {:<20} {:<20}\n", "GROUP", "TYPE", "PROTOCOL")
        );
    }
}
