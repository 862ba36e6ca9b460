//! The services' clients: each role works with the cluster and the keys that it was given, and roles that were given the
//! same share one client.

use anyhow::bail;
use forebay_broker_server as broker;
use forebay_client::{Client, ClientConfig, LocalNode};
use forebay_config::{Origin, Properties};

use super::local_node;
use super::settings::{Role, Settings};

const SERVERS: &str = "bootstrap.servers";

/// Makes clients, each once.
pub(super) struct Clients {
    /// Where a role works that names no cluster itself.
    servers: Option<String>,
    local: Option<LocalNode>,
    made: Vec<(Properties, Client)>,
}

impl Clients {
    /// For a hub with this broker in it, or with none.
    pub(super) fn new(settings: &Settings, own: Option<(broker::Handle, tokio::runtime::Handle)>) -> Self {
        let servers = match &own {
            Some((handle, _)) => Some(advertised(handle)),
            None => the_only_cluster(settings),
        };
        Self {
            servers,
            local: own.map(|(handle, runtime)| local_node::local_node(handle, runtime)),
            made: Vec::new(),
        }
    }

    /// The client of a role.
    ///
    /// # Errors
    /// If there is no cluster to work with.
    pub(super) fn of_role(&mut self, settings: &Settings, role: Role) -> anyhow::Result<Client> {
        let mut properties = settings.of_client(role);
        if !properties.contains_key(SERVERS) {
            let Some(servers) = &self.servers else {
                bail!(
                    "[{0}] there is no broker to work with: add broker to --roles, or name a cluster with --override {0}.{SERVERS}=HOST:PORT",
                    role.name()
                );
            };
            properties.insert(SERVERS.to_owned(), servers.clone());
        }
        if let Some((_, client)) = self.made.iter().find(|(known, _)| *known == properties) {
            return Ok(client.clone());
        }
        // In-process calls are for the node of our own cluster only: the client compares the cluster's id.
        let client = Client::new(ClientConfig::new(&properties, Origin::CommandLine)?);
        let client = match &self.local {
            Some(local) => client.with_local_node(local.clone()),
            None => client,
        };
        self.made.push((properties, client.clone()));
        Ok(client)
    }
}

fn advertised(handle: &broker::Handle) -> String {
    let addresses = handle
        .listeners()
        .iter()
        .map(|it| format!("{}:{}", it.advertised.host, it.advertised.port));
    addresses.collect::<Vec<_>>().join(",")
}

/// A hub without a broker usually works with one cluster: named for one role, it is every role's that names none.
fn the_only_cluster(settings: &Settings) -> Option<String> {
    let mut named = settings
        .roles
        .iter()
        .filter_map(|role| settings.of_client(*role).remove(SERVERS));
    let first = named.next()?;
    named.all(|other| other == first).then_some(first)
}
