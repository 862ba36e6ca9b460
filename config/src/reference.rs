//! Reference pages: what a definition says of its keys, as Markdown (Kafka's `ConfigDef.toEnrichedRst`).

use std::fmt::Write as _;

use crate::{ConfigDef, ConfigKey};

impl ConfigDef {
    /// All keys but internal ones, under their headings of `level` in the order of the definition; those without a heading come first.
    #[must_use]
    pub fn to_markdown(&self, level: usize) -> String {
        let mut page = String::new();
        let shown = || self.keys().iter().filter(|key| !key.internal);
        for key in shown().filter(|key| key.group.is_none()) {
            describe(&mut page, key);
        }
        for group in self.groups() {
            let mut keys: Vec<&ConfigKey> = shown().filter(|key| key.group.as_ref() == Some(group)).collect();
            keys.sort_by_key(|key| key.order_in_group);
            if !keys.is_empty() {
                let _infallible = write!(page, "{} {group}\n\n", "#".repeat(level));
            }
            for key in keys {
                describe(&mut page, key);
            }
        }
        page
    }
}

fn describe(page: &mut String, key: &ConfigKey) {
    let mut facts = vec![key.config_type.name().to_lowercase()];
    facts.push(match &key.default {
        None => "required".to_owned(),
        Some(None) => "default: none".to_owned(),
        Some(Some(value)) => match value.to_string() {
            text if text.is_empty() => "default: empty".to_owned(),
            text => format!("default: `{}`", text.escape_default()),
        },
    });
    if let Some(validator) = &key.validator {
        facts.push(format!("valid values: {validator}"));
    }
    facts.push(format!("importance: {}", key.importance.name().to_lowercase()));
    if !key.aliases.is_empty() {
        let aliases: Vec<String> = key.aliases.iter().map(|name| format!("`{name}`")).collect();
        facts.push(format!("also: {}", aliases.join(", ")));
    }
    let documentation = if key.documentation.is_empty() {
        String::new()
    } else {
        format!(" {}", key.documentation)
    };
    let _infallible = writeln!(
        page,
        "- **`{}`**{documentation}  \n  *{}*\n",
        key.name,
        facts.join("; ")
    );
}
