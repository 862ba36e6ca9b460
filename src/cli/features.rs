//! `forebay features` (Kafka's `FeatureCommand`, `kafka-features.sh`): what the cluster's brokers could do, and what they do.

mod versions;

use std::collections::BTreeMap;
use std::process::ExitCode;

use forebay_client::admin::{ApiVersions, UpgradeType};
use forebay_protocol::NodeId;

use super::commands::{Command, Commands};
use super::options::{Options, Stop, Tool, switch, valued};
use versions::METADATA_VERSION;

static TOOL: Tool = Tool {
    name: "features",
    about: "describe: shows the features of a cluster; upgrade, downgrade, disable: changes their levels; version-mapping, \
            feature-dependencies: shows which levels go together.",
    flags: &[
        valued("bootstrap-server", "host:port,...", "Brokers to ask."),
        valued("command-config", "file", "Properties of the admin client."),
        switch("dry-run", "Say only what would become of it."),
        valued(
            "feature",
            "feature=level",
            "As often as needed; of disable, a feature alone.",
        ),
        valued(
            "metadata",
            "version",
            "The old way to name a level of metadata.version.",
        ),
        valued("node-id", "id", "describe: ask this broker."),
        valued(
            "release-version",
            "version",
            "All features as they were in that release: 4.0, or 3.9-IV0.",
        ),
        switch("unsafe", "Downgrade whatever is lost."),
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
            name: "describe",
            flags: &["node-id"],
            required: &[],
        },
        Command {
            name: "upgrade",
            flags: &["metadata", "release-version", "feature", "dry-run"],
            required: &[],
        },
        Command {
            name: "downgrade",
            flags: &["metadata", "release-version", "feature", "unsafe", "dry-run"],
            required: &[],
        },
        Command {
            name: "disable",
            flags: &["feature", "unsafe", "dry-run"],
            required: &[],
        },
        Command {
            name: "version-mapping",
            flags: &["release-version"],
            required: &[],
        },
        Command {
            name: "feature-dependencies",
            flags: &["feature"],
            required: &["feature"],
        },
    ],
    short: &[],
};

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    COMMANDS.run(arguments, |command, options| async move {
        match command.name {
            "version-mapping" => super::print(&versions::mapping(options.value("release-version")?)?),
            "feature-dependencies" => super::print(&versions::dependencies(&options.values("feature"))?),
            name => {
                let server = options.value("bootstrap-server")?.ok_or_else(|| {
                    Stop::Failed("Command line error: You must specify --bootstrap-server.".to_owned())
                })?;
                super::patiently(server, act(name, &options)).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn act(command: &str, options: &Options) -> Result<(), Stop> {
    let admin = super::admin(options)?;
    if command == "describe" {
        let broker: Option<i32> = options.number("node-id")?;
        if let Some(id) = broker.filter(|id| *id < 0) {
            return Err(Stop::Failed(format!(
                "Invalid node id {id}: must be non-negative."
            )));
        }
        let features = admin.describe_features(broker.map(NodeId)).await?;
        super::print(&description(&features));
        return Ok(());
    }
    let levels = wanted(command, options)?;
    let dry_run = options.has("dry-run");
    let outcomes = admin
        .update_features(&levels, upgrade_type(command, options), dry_run)
        .await?;
    let mut failures = 0;
    for (feature, outcome) in &outcomes {
        let error = outcome.as_ref().err().map(super::reason);
        failures += usize::from(error.is_some());
        say!(
            "{}",
            told(command, feature, levels[feature], dry_run, error.as_deref())
        );
    }
    if failures == 0 {
        return Ok(());
    }
    Err(Stop::Failed(format!(
        "{failures} out of {} operation(s) failed.",
        levels.len()
    )))
}

fn upgrade_type(command: &str, options: &Options) -> UpgradeType {
    match command {
        "upgrade" => UpgradeType::Upgrade,
        _ if options.has("unsafe") => UpgradeType::UnsafeDowngrade,
        _ => UpgradeType::SafeDowngrade,
    }
}

fn description(features: &ApiVersions) -> String {
    let epoch = features
        .finalized_features_epoch
        .map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
    let line = |(feature, (least, greatest)): (&String, &(i16, i16))| {
        let finalized = features.finalized_features.get(feature).copied().unwrap_or(0);
        let level = |level| versions::level_name(feature, level);
        format!(
            "Feature: {feature:<40}  SupportedMinVersion: {:<15}  SupportedMaxVersion: {:<15}  FinalizedVersionLevel: {:<15}  \
             Epoch: {epoch}\n",
            level(*least),
            level(*greatest),
            level(finalized)
        )
    };
    features.supported_features.iter().map(line).collect()
}

/// The features that are to change, and to which levels.
fn wanted(command: &str, options: &Options) -> Result<BTreeMap<String, i16>, Stop> {
    let failed = |message: String| Stop::Failed(message);
    let (metadata, release) = (options.value("metadata")?, options.value("release-version")?);
    let features = options.values("feature");
    if release.is_some() && (metadata.is_some() || !features.is_empty()) {
        return Err(failed(
            "Can not specify `release-version` with other feature flags.".to_owned(),
        ));
    }
    let mut levels = BTreeMap::new();
    if let Some(release) = release {
        let level = versions::metadata_level(release)?;
        levels.insert(METADATA_VERSION.to_owned(), level);
        for (feature, level) in versions::defaults(level) {
            if command != "upgrade" || level > 0 {
                levels.insert(feature.to_owned(), level);
            }
        }
    }
    if let Some(metadata) = metadata {
        say!(" `metadata` flag is deprecated and may be removed in a future release.");
        levels.insert(METADATA_VERSION.to_owned(), versions::metadata_level(metadata)?);
    }
    for feature in features {
        let (name, level) = match command {
            "disable" => (feature.to_owned(), 0),
            _ => versions::name_and_level(feature)?,
        };
        if levels.insert(name.clone(), level).is_some() {
            return Err(failed(format!("Feature {name} was specified more than once.")));
        }
    }
    if levels.is_empty() {
        return Err(failed(format!(
            "You must specify at least one feature to {command}"
        )));
    }
    Ok(levels)
}

/// What became of a feature.
fn told(command: &str, feature: &str, level: i16, dry_run: bool, error: Option<&str>) -> String {
    let is_disable = command == "disable";
    match error {
        Some(error) => {
            let helper = if dry_run { "Can not" } else { "Could not" };
            let what = if is_disable {
                format!("disable {feature}")
            } else {
                format!("{command} {feature} to {level}")
            };
            format!("{helper} {what}. {error}")
        }
        None => {
            let verb = if dry_run { "can be" } else { "was" };
            let what = if is_disable {
                "disabled.".to_owned()
            } else {
                format!("{command}d to {level}.")
            };
            format!("{feature} {verb} {what}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &str) -> Options {
        let arguments: Vec<String> = arguments.split(' ').map(Into::into).collect();
        TOOL.parse(&arguments).expect("reads")
    }

    #[test]
    fn features_are_described_with_the_names_of_their_levels() {
        let features = ApiVersions {
            supported_features: [
                ("metadata.version".to_owned(), (7, 30)),
                ("group.version".to_owned(), (0, 1)),
            ]
            .into(),
            finalized_features: [("metadata.version".to_owned(), 30)].into(),
            finalized_features_epoch: Some(12),
            ..Default::default()
        };
        let expected = format!(
            "Feature: {:<40}  SupportedMinVersion: 0                SupportedMaxVersion: 1                \
             FinalizedVersionLevel: 0                Epoch: 12\n\
             Feature: {:<40}  SupportedMinVersion: 3.3-IV3          SupportedMaxVersion: 4.3-IV0          \
             FinalizedVersionLevel: 4.3-IV0          Epoch: 12\n",
            "group.version", "metadata.version"
        );
        assert_eq!(description(&features), expected);
    }

    #[test]
    fn changes_are_read_and_told_in_kafkas_words() {
        let cases = [
            ("--dry-run", "You must specify at least one feature to upgrade"),
            (
                "--feature a=1 --feature a=2",
                "Feature a was specified more than once.",
            ),
            (
                "--feature a=1 --release-version 4.0",
                "Can not specify `release-version` with other feature flags.",
            ),
            (
                "--feature a",
                "Can't parse feature=level string a: equals sign not found.",
            ),
            (
                "--feature a=b",
                "Can't parse feature=level string a=b: unable to parse b as a short.",
            ),
        ];
        for (arguments, message) in cases {
            let stop = wanted("upgrade", &options(arguments)).expect_err("refused");
            assert_eq!(stop, Stop::Failed(message.to_owned()), "{arguments}");
        }
        let release = wanted("upgrade", &options("--release-version 4.0")).expect("known");
        assert_eq!(release["metadata.version"], 25);
        assert_eq!(
            (release["transaction.version"], release.get("share.version")),
            (2, None)
        );
        assert_eq!(told("upgrade", "f", 2, true, None), "f can be upgraded to 2.");
        assert_eq!(told("downgrade", "f", 2, false, None), "f was downgraded to 2.");
        assert_eq!(told("disable", "f", 0, false, None), "f was disabled.");
        assert_eq!(
            told("upgrade", "f", 2, false, Some("No.")),
            "Could not upgrade f to 2. No."
        );
        assert_eq!(
            told("disable", "f", 0, true, Some("No.")),
            "Can not disable f. No."
        );
    }
}
