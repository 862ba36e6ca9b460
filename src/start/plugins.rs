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
