//! What the roles are told: defaults, then the file, then the flags; each key judged by the definition of its role.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use forebay_broker_server as broker;
use forebay_client::config::client_def;
use forebay_config::{
    Config, ConfigDef, ConfigKey, ConfigType, Entries, Entry, Importance, Location, Origin, Properties,
};

use super::arguments::StartArguments;

/// A part that the process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Broker,
    Registry,
    Rest,
    Connect,
    Console,
}

impl Role {
    pub(crate) const ALL: [Self; 5] = [
        Self::Broker,
        Self::Registry,
        Self::Rest,
        Self::Connect,
        Self::Console,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Registry => "registry",
            Self::Rest => "rest",
            Self::Connect => "connect",
            Self::Console => "console",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Broker => 9092,
            Self::Registry => 8081,
            Self::Rest => 8082,
            Self::Connect => 8083,
            Self::Console => 8080,
        }
    }

    fn parse(name: &str) -> anyhow::Result<Self> {
        let known = Self::ALL.map(Self::name);
        match Self::ALL.into_iter().find(|role| role.name() == name) {
            Some(role) => Ok(role),
            None => match forebay_config::nearest(name, known) {
                Some(nearest) => bail!("there is no role {name}; did you mean {nearest}?"),
                None => bail!("there is no role {name}; the roles are {}", known.join(", ")),
            },
        }
    }

    /// The keys that the role reads.
    pub(super) fn definition(self) -> ConfigDef {
        match self {
            Self::Broker => broker::definition().clone(),
            Self::Registry => of_any_service().extend(&forebay_schema_registry_server::config_def()),
            Self::Rest => of_any_service().extend(&forebay_rest_proxy::config_def()),
            Self::Connect => of_any_service().extend(&forebay_connect_runtime::config_def()),
            Self::Console => of_any_service(),
        }
    }
}

/// The keys that every service has: those of its clients and of its HTTP server.
fn of_any_service() -> ConfigDef {
    client_def().extend(&http_def())
}

fn http_def() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new("allowed.hosts", ConfigType::List)
            .default("")
            .importance(Importance::Medium)
            .documentation("Host names beyond loopback under which pages may address this service while it listens on loopback only."),
    )
}

/// Everything that the hub needs to start.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) roles: Vec<Role>,
    pub(crate) data_dir: PathBuf,
    pub(crate) broker: Config,
    pub(super) sections: BTreeMap<Role, Properties>,
    pub(super) ports: BTreeMap<Role, u16>,
}

impl Settings {
    pub(crate) fn new(arguments: StartArguments) -> anyhow::Result<Self> {
        let roles = roles(&arguments.roles)?;
        let mut entries = file(&arguments)?;
        for text in &arguments.r#override {
            let (role, entry) = parse_override(text)?;
            entries.entry(role).or_default().push(entry);
        }
        let ports = ports(&arguments);
        let broker = broker_config(
            &arguments,
            entries.remove(&Role::Broker).unwrap_or_default(),
            ports[&Role::Broker],
        )?;
        let mut sections = BTreeMap::new();
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Broker) {
            let mut own = entries.remove(&role).unwrap_or_default();
            if role == Role::Connect {
                own = resolved(&own)?;
            }
            judge(role, &own)?;
            sections.insert(role, own.to_properties());
        }
        Ok(Self {
            roles,
            data_dir: arguments.data_dir,
            broker,
            sections,
            ports,
        })
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    pub(crate) fn port(&self, role: Role) -> u16 {
        self.ports[&role]
    }

    /// A service's own keys, without those of its client and its HTTP server.
    pub(crate) fn of_service(&self, role: Role) -> Properties {
        let (client, http) = (client_def(), http_def());
        self.section(role, |key| !client.reads(key) && !http.reads(key))
    }

    /// The keys of a service's clients.
    pub(crate) fn of_client(&self, role: Role) -> Properties {
        let client = client_def();
        self.section(role, |key| client.reads(key))
    }

    fn section(&self, role: Role, is_wanted: impl Fn(&str) -> bool) -> Properties {
        let own = self.sections.get(&role).cloned().unwrap_or_default();
        own.into_iter().filter(|(key, _)| is_wanted(key)).collect()
    }

    /// How a service's HTTP server is set up.
    pub(crate) fn http(&self, role: Role) -> forebay_http::Options {
        let hosts = self
            .sections
            .get(&role)
            .and_then(|section| section.get("allowed.hosts"));
        let hosts = hosts.map(|hosts| hosts.split(',').map(|host| host.trim().to_owned()).collect());
        forebay_http::Options {
            allowed_hosts: hosts.unwrap_or_default(),
            ..forebay_http::Options::default()
        }
    }
}

/// The Connect worker's keys with what their references to its config providers stand for.
pub(super) fn resolved(own: &Entries) -> anyhow::Result<Entries> {
    let values = forebay_connect_runtime::resolve_worker(&own.to_properties()).context("[connect]")?;
    let mut resolved = Entries::new();
    for entry in own {
        let mut entry = entry.clone();
        if let Some(value) = values.get(&entry.key) {
            entry.value.clone_from(value);
        }
        resolved.push(entry);
    }
    Ok(resolved)
}

/// Refuses what is wrong with a service's keys, and says what is odd about them.
fn judge(role: Role, own: &Entries) -> anyhow::Result<()> {
    let mut judged = own.clone();
    if own.get("bootstrap.servers").is_none() {
        // Without it, the cluster is the hub's own.
        judged.push(entry("bootstrap.servers", "localhost:9092", "default"));
    }
    let parsed = judged
        .parse(&role.definition())
        .with_context(|| format!("[{}]", role.name()))?;
    for warning in parsed.warnings {
        tracing::warn!("[{}] {warning}", role.name());
    }
    Ok(())
}

fn roles(names: &[String]) -> anyhow::Result<Vec<Role>> {
    if names.is_empty() {
        return Ok(Role::ALL.to_vec());
    }
    let mut roles = names
        .iter()
        .map(|name| Role::parse(name.trim()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}

fn file(arguments: &StartArguments) -> anyhow::Result<BTreeMap<Role, Entries>> {
    let Some(path) = &arguments.config else {
        return Ok(BTreeMap::new());
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read --config {name}"))?;
    let mut entries = BTreeMap::new();
    for (section, keys) in forebay_config::toml::parse(&name, &text)? {
        if section.is_empty() {
            bail!("{name}: keys belong into the table of a role, such as [broker]");
        }
        entries.insert(Role::parse(&section).with_context(|| name.clone())?, keys);
    }
    Ok(entries)
}

fn parse_override(text: &str) -> anyhow::Result<(Role, Entry)> {
    let Some(((role, key), value)) = text
        .split_once('=')
        .and_then(|(path, value)| Some((path.split_once('.')?, value)))
    else {
        bail!("--override {text}: write ROLE.KEY=VALUE, such as broker.log.retention.hours=24");
    };
    let role = Role::parse(role).with_context(|| format!("--override {text}"))?;
    Ok((role, entry(key, value, "--override")))
}

pub(super) fn entry(key: &str, value: &str, place: &str) -> Entry {
    let location = Location {
        file: Arc::from(place),
        line: None,
    };
    Entry {
        key: key.to_owned(),
        value: value.to_owned(),
        location,
        origin: Origin::CommandLine,
    }
}

fn ports(arguments: &StartArguments) -> BTreeMap<Role, u16> {
    let given = &arguments.ports;
    let flag = |role| match role {
        Role::Broker => given.kafka_port,
        Role::Registry => given.registry_port,
        Role::Rest => given.rest_port,
        Role::Connect => given.connect_port,
        Role::Console => given.console_port,
    };
    Role::ALL
        .into_iter()
        .map(|role| (role, flag(role).unwrap_or_else(|| role.default_port())))
        .collect()
}

/// The hub's defaults stand below the file; `--kafka-port` above it.
fn broker_config(arguments: &StartArguments, own: Entries, port: u16) -> anyhow::Result<Config> {
    let mut entries = Entries::new();
    let log_dir = arguments.data_dir.join("broker");
    entries.push(entry("log.dirs", &log_dir.display().to_string(), "--data-dir"));
    let listeners = entry(
        "listeners",
        &format!("PLAINTEXT://localhost:{port}"),
        "--kafka-port",
    );
    entries.push(listeners.clone());
    // The hub's worker is the first of its group, and sinks read as soon as they run.
    entries.push(entry("group.initial.rebalance.delay.ms", "0", "default"));
    entries.extend(own);
    if arguments.ports.kafka_port.is_some() {
        entries.push(listeners);
    }
    let parsed = entries.parse(broker::definition()).context("[broker]")?;
    for warning in parsed.warnings {
        tracing::warn!("[broker] {warning}");
    }
    Ok(parsed.config)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that is taken and then read by nobody is a promise that nobody keeps.
    #[test]
    fn every_key_that_a_role_takes_reaches_somebody() {
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Broker) {
            let definition = role.definition();
            let names = definition
                .keys()
                .iter()
                .flat_map(|key| std::iter::once(&key.name).chain(&key.aliases));
            let prefixes = definition
                .open_prefixes()
                .iter()
                .map(|prefix| format!("{prefix}some.key"));
            let keys: BTreeMap<String, String> = names
                .cloned()
                .chain(prefixes)
                .map(|name| (name, "value".to_owned()))
                .collect();
            let taken = Settings {
                roles: vec![role],
                data_dir: PathBuf::new(),
                broker: broker::definition().parse(&Properties::new()).unwrap(),
                sections: [(role, keys.clone())].into(),
                ports: BTreeMap::new(),
            };
            let mut reached = taken.of_service(role);
            reached.extend(taken.of_client(role));
            if taken.http(role).allowed_hosts == ["value"] {
                reached.insert("allowed.hosts".to_owned(), "value".to_owned());
            }
            assert_eq!(reached, keys, "{}", role.name());
        }
    }

    fn settings(overrides: &[&str]) -> anyhow::Result<Settings> {
        let ports = super::super::Ports {
            kafka_port: None,
            registry_port: Some(0),
            rest_port: None,
            connect_port: None,
            console_port: None,
        };
        let r#override = overrides.iter().map(|&text| text.to_owned()).collect();
        Settings::new(StartArguments {
            config: None,
            data_dir: "d".into(),
            roles: Vec::new(),
            ports,
            r#override,
        })
    }

    #[test]
    fn flags_reach_their_role_and_mistakes_name_the_cure() {
        let found = settings(&[
            "broker.log.retention.hours=24",
            "rest.consumer.request.timeout.ms=7",
        ])
        .unwrap();
        assert_eq!((found.port(Role::Registry), found.port(Role::Rest)), (0, 8082));
        assert_eq!(found.of_service(Role::Rest)["consumer.request.timeout.ms"], "7");
        for (text, cure) in [
            ("brokr.a=1", "did you mean broker"),
            ("broker.log.retention.hour=24", "log.retention.hours"),
            ("nonsense", "ROLE.KEY=VALUE"),
            ("registry.kafkastore.topik=x", "kafkastore.topic"),
        ] {
            let error = format!("{:#}", settings(&[text]).unwrap_err());
            assert!(error.contains(cure), "{text}: {error}");
        }
    }
    #[test]
    fn references_of_the_worker_are_resolved_before_they_are_judged() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.properties");
        std::fs::write(&file, "interval=7\n").unwrap();
        let interval = format!(
            "connect.offset.flush.interval.ms=${{file:{}:interval}}",
            file.display()
        );
        let providers = [
            "connect.config.providers=file",
            "connect.config.providers.file.class=FileConfigProvider",
        ];
        let found = settings(&[&providers[..], &[&interval]].concat()).unwrap();
        assert_eq!(found.of_service(Role::Connect)["offset.flush.interval.ms"], "7");
        let missing = settings(&[&providers[..], &["connect.group.id=${file:/none:x}"]].concat());
        let error = format!("{:#}", missing.unwrap_err());
        assert!(
            error.contains("Could not read properties from file /none"),
            "{error}"
        );
    }
}
