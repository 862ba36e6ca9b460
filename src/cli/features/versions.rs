//! The levels of Kafka's features, and which of them go together (`MetadataVersion`, `Feature`; those of 4.3.1).

use super::super::options::Stop;

pub(super) const METADATA_VERSION: &str = "metadata.version";

/// The level of the first one; each has one more than that before it.
const FIRST_LEVEL: i16 = 7;
/// The last one that may be used in production.
const LATEST_LEVEL: i16 = 30;

/// The levels of `metadata.version`, from [`FIRST_LEVEL`] on; the last is of a release that is not out.
const METADATA_VERSIONS: [&str; 25] = [
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2", "3.7-IV0",
    "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0", "4.0-IV1", "4.0-IV2",
    "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0", "4.4-IV0",
];

/// A level of a feature: since which metadata level it is the default, and what it needs.
struct Level {
    level: i16,
    default_since: i16,
    needs: &'static [(&'static str, i16)],
}

const fn since(level: i16, default_since: i16) -> Level {
    Level {
        level,
        default_since,
        needs: &[],
    }
}

/// The other features, in Kafka's order.
const FEATURES: [(&str, &[Level]); 6] = [
    ("kraft.version", &[since(0, 7), since(1, 21)]),
    ("transaction.version", &[since(0, 7), since(1, 24), since(2, 24)]),
    ("group.version", &[since(0, 7), since(1, 22)]),
    (
        "eligible.leader.replicas.version",
        &[
            since(0, 7),
            Level {
                level: 1,
                default_since: 26,
                needs: &[(METADATA_VERSION, 23)],
            },
        ],
    ),
    ("share.version", &[since(0, 7), since(1, 28)]),
    ("streams.version", &[since(0, 7), since(1, 29)]),
];

/// `4.0-IV3`, or the number where it has no name.
fn metadata_name(level: i16) -> Option<&'static str> {
    let index = usize::try_from(level - FIRST_LEVEL).ok()?;
    METADATA_VERSIONS.get(index).copied()
}

/// How a level is shown.
pub(super) fn level_name(feature: &str, level: i16) -> String {
    if feature != METADATA_VERSION {
        return level.to_string();
    }
    metadata_name(level).map_or_else(|| format!("UNKNOWN {level}"), ToOwned::to_owned)
}

/// The level of `metadata.version` that a release has: of `4.0` its last, of `4.0-IV1` that one; `4.0.1` is `4.0`.
pub(super) fn metadata_level(release: &str) -> Result<i16, Stop> {
    let key = match release.match_indices('.').nth(1) {
        Some((at, _)) => &release[..at],
        None => release,
    };
    let of_release =
        |name: &&str| **name == *key || name.split_once('-').is_some_and(|(release, _)| release == key);
    let levels = FIRST_LEVEL..;
    let found = levels
        .zip(METADATA_VERSIONS.iter())
        .filter(|(_, name)| of_release(name))
        .last();
    found.map(|(level, _)| level).ok_or_else(|| {
        Stop::Failed(format!(
            "Unknown metadata.version '{release}'. Supported metadata.version are: {}",
            METADATA_VERSIONS.join(", ")
        ))
    })
}

/// The levels that the other features have by default at a level of `metadata.version`.
pub(super) fn defaults(metadata_level: i16) -> impl Iterator<Item = (&'static str, i16)> {
    FEATURES.iter().map(move |(feature, levels)| {
        let reached = levels
            .iter()
            .filter(|level| level.default_since <= metadata_level);
        (*feature, reached.map(|level| level.level).max().unwrap_or(0))
    })
}

/// `version-mapping`
pub(super) fn mapping(release: Option<&str>) -> Result<String, Stop> {
    let latest = metadata_name(LATEST_LEVEL).unwrap_or_default();
    let release = release.unwrap_or(latest);
    let level = metadata_level(release)?;
    let mut text = format!("{METADATA_VERSION}={level} ({release})\n");
    for (feature, level) in defaults(level) {
        text.push_str(&format!("{feature}={level}\n"));
    }
    Ok(text)
}

/// `feature-dependencies`
pub(super) fn dependencies(features: &[&str]) -> Result<String, Stop> {
    let mut text = String::new();
    for feature in features {
        let (name, level) = name_and_level(feature)?;
        if name == METADATA_VERSION {
            let version = metadata_name(level)
                .ok_or_else(|| Stop::Failed(format!("Unknown metadata.version {level}")))?;
            text.push_str(&format!("{name}={level} ({version}) has no dependencies.\n"));
            continue;
        }
        let known = FEATURES.iter().find(|(feature, _)| *feature == name);
        let (_, levels) = known.ok_or_else(|| Stop::Failed(format!("Unknown feature: {name}")))?;
        let known = levels.iter().find(|known| known.level == level);
        let known =
            known.ok_or_else(|| Stop::Failed(format!("No feature:{name} with feature level {level}")))?;
        if known.needs.is_empty() {
            text.push_str(&format!("{name}={level} has no dependencies.\n"));
            continue;
        }
        text.push_str(&format!("{name}={level} requires:\n"));
        for (needed, level) in known.needs {
            let version = metadata_name(*level).filter(|_| *needed == METADATA_VERSION);
            let version = version.map_or_else(String::new, |version| format!(" ({version})"));
            text.push_str(&format!("    {needed}={level}{version}\n"));
        }
    }
    Ok(text)
}

/// `feature=level`
pub(super) fn name_and_level(text: &str) -> Result<(String, i16), Stop> {
    let cannot = |why: String| Stop::Failed(format!("Can't parse feature=level string {text}: {why}"));
    let (name, level) = text
        .split_once('=')
        .ok_or_else(|| cannot("equals sign not found.".to_owned()))?;
    let level = level.trim();
    let number = level
        .parse()
        .map_err(|_| cannot(format!("unable to parse {level} as a short.")))?;
    Ok((name.trim().to_owned(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_go_together_as_in_kafka() {
        assert_eq!(metadata_name(LATEST_LEVEL), Some("4.3-IV0"));
        let latest = "metadata.version=30 (4.3-IV0)\nkraft.version=1\ntransaction.version=2\ngroup.version=1\n\
                      eligible.leader.replicas.version=1\nshare.version=1\nstreams.version=1\n";
        assert_eq!(mapping(None), Ok(latest.to_owned()));
        let old = "metadata.version=21 (3.9)\nkraft.version=1\ntransaction.version=0\ngroup.version=0\n\
                   eligible.leader.replicas.version=0\nshare.version=0\nstreams.version=0\n";
        assert_eq!(mapping(Some("3.9")), Ok(old.to_owned()));
        assert_eq!(metadata_level("4.0.1"), Ok(25));
        assert!(
            matches!(metadata_level("5.0"), Err(Stop::Failed(why)) if why.starts_with("Unknown metadata.version '5.0'"))
        );
        assert_eq!(
            dependencies(&["eligible.leader.replicas.version=1", "group.version=1", "metadata.version=20"]),
            Ok("eligible.leader.replicas.version=1 requires:\n    metadata.version=23 (4.0-IV1)\ngroup.version=1 has no \
                dependencies.\nmetadata.version=20 (3.8-IV0) has no dependencies.\n"
                .to_owned())
        );
        assert_eq!(
            (level_name(METADATA_VERSION, 99), level_name("x", 99)),
            ("UNKNOWN 99".to_owned(), "99".to_owned())
        );
    }
}
