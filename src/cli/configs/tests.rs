//! What of `configs` can be told without a cluster.

use std::collections::BTreeMap;

use forebay_client::admin::{ConfigEntry, ConfigSource, ConfigSynonym};

use super::*;

fn options(arguments: &str) -> Options {
    let arguments: Vec<String> = arguments.split(' ').map(Into::into).collect();
    TOOL.parse(&arguments).expect("reads")
}

#[test]
fn an_address_is_one() {
    let entities = |host: &str| Entities::new(&options(&format!("--describe --ip {host}"))).map(|_| ());
    assert_eq!(entities("127.0.0.9"), Ok(()));
    // Longer than a part of a name may be: nobody is asked for it.
    let host = "x".repeat(70);
    let refused = format!("The entity name for ips must be a valid IP or resolvable host, but it is: {host}");
    assert_eq!(entities(&host), Err(Stop::Failed(refused)));
}

#[test]
fn options_that_do_not_go_together_are_refused_in_kafkas_words() {
    let cases = [
        ("--describe", "At least one entity type must be specified"),
        (
            "--describe --entity-type nosuch",
            "Invalid entity type nosuch, the entity type must be one of topics, clients, users, brokers, ips, client-metrics, \
             groups, broker-loggers with a --bootstrap-server or --bootstrap-controller argument",
        ),
        (
            "--describe --entity-type topics --entity-type brokers",
            "Only 'users' and 'clients' entity types may be specified together",
        ),
        (
            "--describe --entity-type topics --entity-type topics",
            "Duplicate entity type(s) specified: topics",
        ),
        (
            "--describe --entity-type topics --topic t",
            "Duplicate entity type(s) specified: topics",
        ),
        (
            "--describe --entity-type users --client c",
            "--entity-{type,name,default} should not be used in conjunction with specific entity flags",
        ),
        (
            "--describe --entity-type brokers --entity-name abc",
            "The entity name for brokers must be a valid integer broker id, but it is: abc",
        ),
        (
            "--describe --entity-type topics",
            "One of the required --bootstrap-server or --bootstrap-controller arguments must be specified",
        ),
        (
            "--bootstrap-server b --describe --entity-type broker-loggers",
            "An entity name must be specified with --describe of broker-loggers",
        ),
        (
            "--bootstrap-server b --describe --entity-type topics --entity-default",
            "--entity-default must not be specified with --describe of topics",
        ),
        (
            "--bootstrap-server b --alter --entity-type topics --add-config a=b",
            "An entity name must be specified with --alter of topics",
        ),
        (
            "--bootstrap-server b --alter --entity-type brokers --add-config a=b",
            "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips",
        ),
        (
            "--bootstrap-server b --alter --topic t --add-config a=b --add-config-file f",
            "Only one of --add-config or --add-config-file must be specified",
        ),
        (
            "--bootstrap-server b --alter --topic t",
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter",
        ),
    ];
    for (arguments, message) in cases {
        assert_eq!(
            check(&options(arguments)),
            Err(Stop::Failed(message.to_owned())),
            "{arguments}"
        );
    }
    assert_eq!(
        check(&options("--describe --alter")),
        Err(Stop::usage(
            "Command must include exactly one action: --describe, --alter"
        ))
    );
}

#[test]
fn entities_are_named_in_long_and_in_short() {
    let cases = [
        (
            "--describe --entity-type users --entity-name a --entity-type clients --entity-default",
            &["a", ""][..],
        ),
        (
            "--describe --entity-type users --entity-default --entity-type clients --entity-name b",
            &["", "b"],
        ),
        ("--describe --entity-type users --entity-type clients", &[]),
    ];
    for (arguments, names) in cases {
        let entities = check(&options(&format!("--bootstrap-server s {arguments}"))).expect(arguments);
        assert_eq!(
            (entities.types, entities.names.as_slice()),
            (
                vec!["users", "clients"],
                &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..]
            ),
            "{arguments}"
        );
    }
    let short = check(&options("--bootstrap-server s --describe --broker-defaults")).expect("fine");
    assert_eq!((short.kind(), short.names), ("brokers", vec![String::new()]));
}

#[test]
fn what_is_added_may_hold_commas_between_brackets() {
    let added = |text: &str| alter::added(&options(&format!("--alter --add-config {text}")));
    let expected = [("a", "1"), ("b", "2,3"), ("c", ""), ("d", "x=y")];
    let expected: BTreeMap<String, String> = expected
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(added("a=1,b=[2,3],c=,d=[x=y],"), Ok(expected));
    assert!(matches!(added("a"), Err(Stop::Failed(message)) if message.contains("must be in the format")));
    assert!(matches!(added("a=b=c"), Err(Stop::Failed(_))));
    assert_eq!(
        added("a!b=1"),
        Err(Stop::Failed(
            "Invalid character found for config key: a!b".to_owned()
        ))
    );
}

#[test]
fn lines_are_kafkas() {
    let synonym = |source, name: &str, value: &str| ConfigSynonym {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source,
    };
    let entry = ConfigEntry {
        name: "segment.bytes".to_owned(),
        value: Some("1048576".to_owned()),
        source: ConfigSource::DynamicTopic,
        is_sensitive: false,
        is_read_only: false,
        synonyms: vec![
            synonym(ConfigSource::DynamicTopic, "segment.bytes", "1048576"),
            synonym(ConfigSource::Default, "log.segment.bytes", "1073741824"),
        ],
        config_type: None,
        documentation: None,
    };
    assert_eq!(
        describe::line(&entry),
        "  segment.bytes=1048576 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:segment.bytes=1048576, \
         DEFAULT_CONFIG:log.segment.bytes=1073741824}"
    );
    let secret = ConfigEntry {
        value: None,
        is_sensitive: true,
        synonyms: Vec::new(),
        ..entry
    };
    assert_eq!(
        describe::line(&secret),
        "  segment.bytes=null sensitive=true synonyms={}"
    );
    assert_eq!(
        describe::title("brokers", "", true),
        "Default configs for brokers in the cluster are:"
    );
    assert_eq!(
        describe::title("topics", "t", false),
        "Dynamic configs for topic t are:"
    );
    assert_eq!(
        describe::title("broker-loggers", "0", true),
        "All configs for broker-logger 0 are:"
    );
    let entity = [
        ("user".to_owned(), Some("bob".to_owned())),
        ("client-id".to_owned(), None),
    ]
    .into();
    let quotas = [
        ("producer_byte_rate".to_owned(), 1e7),
        ("request_percentage".to_owned(), 12.5),
    ]
    .into();
    assert_eq!(
        quotas::line(&entity, &quotas),
        "Quota configs for user-principal 'bob', the default client-id are producer_byte_rate=1.0E7, request_percentage=12.5"
    );
}

#[test]
fn only_quotas_are_taken_for_users_clients_and_addresses() {
    let refused = |types: &[&'static str], key: &str| {
        let entities = Entities {
            types: types.to_vec(),
            names: vec!["x".to_owned()],
        };
        let added = [(key.to_owned(), "1".to_owned())].into();
        match quotas::check_keys(&entities, &added, &[]) {
            Ok(()) => None,
            Err(Error::Stop(Stop::Failed(message))) => Some(message),
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&["users"], "producer_byte_rate"), None);
    assert_eq!(refused(&["ips"], "connection_creation_rate"), None);
    let cases = [
        (
            &["users"][..],
            "Only quota and SCRAM credential configs can be added for 'users' using --bootstrap-server. Unexpected config names: Set(foo)",
        ),
        (
            &["users", "clients"],
            "Only quota configs can be added for 'clients' using --bootstrap-server. Unexpected config names: Set(foo)",
        ),
        (
            &["ips"],
            "Only connection quota configs can be added for 'ips' using --bootstrap-server. Unexpected config names: foo",
        ),
    ];
    for (types, message) in cases {
        assert_eq!(refused(types, "foo").as_deref(), Some(message));
    }
}

#[test]
fn passwords_are_read_as_kafkas_tool_reads_them() {
    use forebay_client::admin::{ScramAlteration, ScramMechanism};
    let read = |text: &str, deleted: &[&str]| {
        let options = options(&format!(
            "--bootstrap-server b --user u --alter --add-config {text}"
        ));
        let added = alter::added(&options).expect("reads");
        let deleted: Vec<String> = deleted.iter().map(|key| (*key).to_owned()).collect();
        let entities = Entities::new(&options).expect("reads");
        quotas::check_keys(&entities, &added, &deleted)?;
        scram::is_asked(&entities, &added, &deleted)?;
        scram::alterations(&added, &deleted)
    };
    let set = |mechanism, iterations, password: &str| ScramAlteration::Set {
        mechanism,
        iterations,
        password: password.to_owned(),
    };
    let both = "SCRAM-SHA-256=[iterations=8192,password=a,b],SCRAM-SHA-512=[password=secret]";
    let told = read(both, &[]).expect("reads");
    let expected = [
        set(ScramMechanism::Sha256, 8192, "a,b"),
        set(ScramMechanism::Sha512, 4096, "secret"),
    ];
    assert_eq!(told, expected);
    let told = read("SCRAM-SHA-256=[iterations=-1,password=]", &["SCRAM-SHA-512"]).expect("reads");
    assert_eq!(
        told,
        [
            ScramAlteration::Delete(ScramMechanism::Sha512),
            set(ScramMechanism::Sha256, 4096, "")
        ]
    );
    let cases = [
        (
            "SCRAM-SHA-256=secret",
            "Invalid credential property SCRAM_SHA_256=secret",
        ),
        (
            "SCRAM-SHA-512=[iterations=many,password=x]",
            "Invalid credential property SCRAM_SHA_512=iterations=many,password=x",
        ),
        (
            "SCRAM-SHA-512=[iterations=4095,password=x]",
            "Iterations 4095 is less than the minimum 4096 required for SCRAM-SHA-512",
        ),
        (
            "SCRAM-SHA-256=[password=x],producer_byte_rate=1",
            "Cannot alter both quota and SCRAM credential configs simultaneously for 'users' using --bootstrap-server.",
        ),
    ];
    for (text, message) in cases {
        match read(text, &[]) {
            Err(Error::Stop(Stop::Failed(told))) => assert_eq!(told, message, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}
