//! Client quotas. The texts are what Apache Kafka 4.3.1 answered.

use forebay_protocol::messages::AlterClientQuotasRequest;
use forebay_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};

use super::fixture::*;
use crate::*;

type Parts<'a> = &'a [(&'a str, Option<&'a str>)];

fn quota_entry(entity: Parts<'_>, ops: &[(&str, Option<f64>)]) -> EntryData {
    EntryData {
        entity: entity
            .iter()
            .map(|(entity_type, name)| EntityData {
                entity_type: (*entity_type).into(),
                entity_name: name.map(Into::into),
                ..EntityData::default()
            })
            .collect(),
        ops: ops
            .iter()
            .map(|(key, value)| OpData {
                key: (*key).into(),
                value: value.unwrap_or(0.0),
                remove: value.is_none(),
                ..OpData::default()
            })
            .collect(),
        ..EntryData::default()
    }
}

fn alter_quotas(cluster: &mut TestCluster, entries: Vec<EntryData>) -> Vec<Option<String>> {
    let request = AlterClientQuotasRequest {
        entries,
        ..Default::default()
    };
    let response = cluster.run(AlterClientQuotas { request });
    response
        .entries
        .into_iter()
        .map(|entry| entry.error_message.map(|text| text.to_string()))
        .collect()
}

#[test]
fn quotas_are_set_removed_and_read_back() {
    let mut cluster = TestCluster::with_brokers(1);
    let user: Parts<'_> = &[("user", Some("u"))];
    let both: Parts<'_> = &[("user", Some("u")), ("client-id", None)];
    let set = vec![
        quota_entry(
            user,
            &[
                ("producer_byte_rate", Some(1000.0)),
                ("request_percentage", Some(0.5)),
            ],
        ),
        quota_entry(both, &[("controller_mutation_rate", Some(5.0))]),
    ];
    assert_eq!(alter_quotas(&mut cluster, set.clone()), [None, None]);
    let image = cluster.image();
    assert_eq!(image.client_quotas().len(), 2);
    let (records, _) = cluster.run_with_records(AlterClientQuotas {
        request: AlterClientQuotasRequest {
            entries: set,
            ..Default::default()
        },
    });
    assert_eq!(records.len(), 0, "nothing changes, nothing is written");
    alter_quotas(
        &mut cluster,
        vec![quota_entry(both, &[("controller_mutation_rate", None)])],
    );
    let image = cluster.image();
    let quotas: Vec<_> = image.client_quotas().iter().collect();
    assert_eq!(quotas.len(), 1, "an entity without quotas is none");
    assert_eq!(quotas[0].1.get("producer_byte_rate"), Some(&1000.0));
    assert_eq!(cluster.reloaded().image().client_quotas(), image.client_quotas());
}

const RATE: &str = "producer_byte_rate";
const CONNECTIONS: &str = "connection_creation_rate";

/// Whom, which key, its value, and why not.
type Refused<'a> = (Parts<'a>, &'a str, f64, &'a str);

#[rustfmt::skip] // A table.
const REFUSED: &[Refused<'static>] = &[
    (&[], RATE, 1.0, "Invalid empty client quota entity"),
    (&[("bogus", Some("x"))], RATE, 1.0, "Unhandled client quota entity type: bogus"),
    (&[("user", Some(""))], RATE, 1.0, "Empty user not supported"),
    (&[("user", Some("b"))], "bogus_rate", 1.0, "Invalid configuration key bogus_rate"),
    (&[("user", Some("c"))], RATE, 0.0, "Quota producer_byte_rate must be greater than 0"),
    (&[("user", Some("d"))], RATE, -1.0, "Quota producer_byte_rate must be greater than 0"),
    (&[("user", Some("e"))], RATE, f64::NAN, "Quota producer_byte_rate must be greater than 0"),
    (&[("user", Some("f"))], RATE, 1000.5, "producer_byte_rate cannot be a fractional value."),
    (&[("user", Some("g"))], RATE, 1e19, "Proposed value for producer_byte_rate is too large for a LONG."),
    (&[("user", Some("h"))], CONNECTIONS, 1.0, "Invalid configuration key connection_creation_rate"),
    (&[("ip", Some("1.2.3.5"))], RATE, 1.0, "Invalid configuration key producer_byte_rate"),
    (&[("ip", Some("no.such.host"))], CONNECTIONS, 1.0, "no.such.host is not a valid IP or resolvable host."),
    (&[("user", Some("i")), ("ip", Some("1.2.3.4"))], CONNECTIONS, 1.0,
     "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"),
];

#[test]
fn quotas_that_cannot_be_are_refused_in_kafkas_words() {
    let mut cluster = TestCluster::with_brokers(1);
    for (entity, key, value, text) in REFUSED {
        let answers = alter_quotas(&mut cluster, vec![quota_entry(entity, &[(key, Some(*value))])]);
        assert_eq!(answers[0].as_deref(), Some(*text), "{entity:?} {key} {value}");
    }
    let twice = quota_entry(&[("user", Some("u2"))], &[(RATE, Some(1.0))]);
    let answers = alter_quotas(&mut cluster, vec![twice.clone(), twice]);
    let text = "Ignoring duplicate entity ClientQuotaEntity(entries={user=u2})";
    assert_eq!(answers, [Some(text.to_owned())]);
    assert!(cluster.image().client_quotas().is_empty());
}
