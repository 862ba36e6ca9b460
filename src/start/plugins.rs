//! The connectors that this binary has.

use forebay_connect_api::Plugins;

/// The table that `/connector-plugins` shows.
pub(super) fn all() -> Plugins {
    Plugins::new(
        forebay_connectors_file::plugins()
            .into_iter()
            .chain(forebay_connectors_datagen::plugins())
            .chain(forebay_connectors_http::plugins())
            .chain(forebay_connectors_object_store::plugins()),
    )
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use forebay_config::ConfigDef;
    use forebay_connect_api::{Constructor, Plugin};

    /// The page of a connector: its names, and its own keys.
    fn page(plugin: &Plugin) -> String {
        let definition: ConfigDef = match &plugin.constructor {
            Constructor::Source(new) => new().config(),
            Constructor::Sink(new) => new().config(),
        };
        let mut names = plugin.names();
        let mut page = format!("# {}\n\n", names.next().expect("a plugin has a name"));
        let mut others: Vec<String> = Vec::new();
        for name in names.map(|name| format!("`{name}`")) {
            if !others.contains(&name) {
                others.push(name);
            }
        }
        if !others.is_empty() {
            let _infallible = writeln!(page, "Also {}.\n", others.join(", "));
        }
        let _infallible = writeln!(
            page,
            "A {} connector. Its own keys; those that all connectors have come before them.\n",
            plugin.plugin_type().name()
        );
        page + &definition.to_markdown(2)
    }

    /// `FOREBAY_WRITE_DOCS=1` writes them anew.
    #[test]
    fn reference_pages_say_what_definitions_say() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/connectors/reference");
        for plugin in &super::all() {
            let class = plugin.names().next().expect("a plugin has a name");
            let simple = class.rsplit('.').next().unwrap_or(class);
            let path = directory.join(format!("{simple}.md"));
            let page = page(plugin);
            if std::env::var_os("FOREBAY_WRITE_DOCS").is_some() {
                std::fs::write(&path, &page).expect("written");
            }
            let written = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                written == page,
                "{} is not what {class} says of itself: FOREBAY_WRITE_DOCS=1 cargo test -p forebay --bin forebay reference_pages",
                path.display()
            );
        }
    }
}
