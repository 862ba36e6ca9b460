//! Client quotas: who is bound, and by which rates (Kafka's `ClientQuotasImage`, KIP-124, KIP-546, KIP-612).

use std::collections::BTreeMap;
use std::fmt;

use forebay_protocol::Utf8Bytes;

/// Whom a quota binds: the name of each entity type that it speaks of, `None` for all that have none of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientQuotaEntity(BTreeMap<Utf8Bytes, Option<Utf8Bytes>>);

/// What one entity may do: Kafka's keys (`producer_byte_rate`) with their values.
pub type ClientQuotas = BTreeMap<Utf8Bytes, f64>;

impl ClientQuotaEntity {
    /// The entity type of authenticated users.
    pub const USER: &'static str = "user";
    /// The entity type of what clients call themselves.
    pub const CLIENT_ID: &'static str = "client-id";
    /// The entity type of clients' addresses.
    pub const IP: &'static str = "ip";

    /// The entity of these types and names.
    pub fn new(parts: impl IntoIterator<Item = (Utf8Bytes, Option<Utf8Bytes>)>) -> Self {
        Self(parts.into_iter().collect())
    }

    /// Its types and names, by type.
    pub fn parts(&self) -> impl Iterator<Item = (&Utf8Bytes, Option<&Utf8Bytes>)> {
        self.0
            .iter()
            .map(|(entity_type, name)| (entity_type, name.as_ref()))
    }

    /// How many types it speaks of.
    pub fn part_count(&self) -> usize {
        self.0.len()
    }

    /// The name under a type: `None` if it does not speak of that, `Some(None)` for the default.
    pub fn name(&self, entity_type: &str) -> Option<Option<&Utf8Bytes>> {
        self.0.get(entity_type).map(Option::as_ref)
    }
}

/// As Kafka's messages print it: `ClientQuotaEntity(entries={user=u})`.
impl fmt::Display for ClientQuotaEntity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientQuotaEntity(entries={")?;
        for (index, (entity_type, name)) in self.parts().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            let name = name.map_or("null", |name| name.as_str());
            write!(formatter, "{separator}{entity_type}={name}")?;
        }
        formatter.write_str("})")
    }
}
