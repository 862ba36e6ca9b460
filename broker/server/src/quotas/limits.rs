//! Which quota holds for a user and a client, and who shares it (`ClientQuotaManager.DefaultQuotaCallback`). The most special
//! wins; whoever falls under one user's or one client's quota shares that.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use forebay_broker_controller::{ClientQuotaEntity, ClientQuotas};

/// The name of an entity; `None`: all that have none of their own.
type Name = Option<Arc<str>>;

/// Whoever has a longer name shares one budget with those whose names begin alike: they are kept, and clients choose them.
const NAME_BYTES_MAX: usize = 256;

/// Who shares one budget: the user and the client's id that count, each empty where it does not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Share {
    /// The user, without `User:`.
    pub(crate) user: String,
    /// What the client calls itself.
    pub(crate) client_id: String,
}

/// `user u, client-id c`, without what does not count.
impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let both = !self.user.is_empty() && !self.client_id.is_empty();
        if !self.user.is_empty() {
            write!(formatter, "user {:?}", self.user)?;
        }
        if both {
            formatter.write_str(", ")?;
        }
        if !self.client_id.is_empty() {
            write!(formatter, "client-id {:?}", self.client_id)?;
        }
        Ok(())
    }
}

/// The quotas under one key, by whom they bind.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Limits {
    user_and_client: HashMap<(Name, Name), f64>,
    user: HashMap<Name, f64>,
    client: HashMap<Name, f64>,
    ip: HashMap<Name, f64>,
}

impl Limits {
    /// Those of `quotas` that are under `key`.
    pub(crate) fn of(quotas: &BTreeMap<ClientQuotaEntity, ClientQuotas>, key: &str) -> Self {
        let mut limits = Self::default();
        for (entity, values) in quotas {
            let Some(value) = values.get(key) else { continue };
            let name = |entity_type| -> Option<Name> {
                entity
                    .name(entity_type)
                    .map(|name| name.map(|name| Arc::from(name.as_str())))
            };
            let user = name(ClientQuotaEntity::USER);
            let client = name(ClientQuotaEntity::CLIENT_ID);
            match (user, client, name(ClientQuotaEntity::IP)) {
                (Some(user), Some(client), _) => limits.user_and_client.insert((user, client), *value),
                (Some(user), None, _) => limits.user.insert(user, *value),
                (None, Some(client), _) => limits.client.insert(client, *value),
                (None, None, Some(ip)) => limits.ip.insert(ip, *value),
                (None, None, None) => None,
            };
        }
        limits
    }

    /// Whether there is none at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.user_and_client.is_empty()
            && self.user.is_empty()
            && self.client.is_empty()
            && self.ip.is_empty()
    }

    /// The quota of a client of a user, and who shares it.
    pub(crate) fn of_client(&self, user: &str, client_id: &str) -> Option<(Share, f64)> {
        let known = |name: &str| name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned();
        let share = |user: &str, client_id: &str, limit: &f64| {
            let share = Share {
                user: known(user),
                client_id: known(client_id),
            };
            Some((share, *limit))
        };
        let (own_user, own_client): (Name, Name) = (Some(user.into()), Some(client_id.into()));
        // A client without an id has no quota as a client (Kafka: an empty one never matches).
        let named = !client_id.is_empty();
        let pair = |user: &Name, client: &Name| {
            self.user_and_client
                .get(&(user.clone(), client.clone()))
                .filter(|_| named)
        };
        if let Some(limit) = pair(&own_user, &own_client).or_else(|| pair(&own_user, &None)) {
            return share(user, client_id, limit);
        }
        if let Some(limit) = self.user.get(&own_user) {
            return share(user, "", limit);
        }
        if let Some(limit) = pair(&None, &own_client).or_else(|| pair(&None, &None)) {
            return share(user, client_id, limit);
        }
        if let Some(limit) = self.user.get(&None) {
            return share(user, "", limit);
        }
        let of_client = self.client.get(&own_client).or_else(|| self.client.get(&None));
        share("", client_id, of_client.filter(|_| named)?)
    }

    /// The quota of an address.
    pub(crate) fn of_ip(&self, ip: &str) -> Option<f64> {
        let own: Name = Some(ip.into());
        self.ip.get(&own).or_else(|| self.ip.get(&None)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "producer_byte_rate";
    const U: &str = ClientQuotaEntity::USER;
    const C: &str = ClientQuotaEntity::CLIENT_ID;

    /// Types and names of an entity, and its quota.
    type Entry<'a> = (&'a [(&'a str, Option<&'a str>)], f64);

    fn limits(entries: &[Entry<'_>]) -> Limits {
        let quotas = entries.iter().map(|(parts, value)| {
            let entity = ClientQuotaEntity::new(
                parts
                    .iter()
                    .map(|(entity_type, name)| ((*entity_type).into(), name.map(Into::into))),
            );
            (
                entity,
                ClientQuotas::from([(KEY.into(), *value), ("request_percentage".into(), 1.0)]),
            )
        });
        Limits::of(&quotas.collect(), KEY)
    }

    /// Kafka's order, from the documentation: each level is taken away, and the next one holds.
    #[test]
    fn the_most_special_quota_holds() {
        let all: [Entry<'_>; 8] = [
            (&[(U, Some("u")), (C, Some("c"))], 1.0),
            (&[(U, Some("u")), (C, None)], 2.0),
            (&[(U, Some("u"))], 3.0),
            (&[(U, None), (C, Some("c"))], 4.0),
            (&[(U, None), (C, None)], 5.0),
            (&[(U, None)], 6.0),
            (&[(C, Some("c"))], 7.0),
            (&[(C, None)], 8.0),
        ];
        let shares = [
            ("u", "c"),
            ("u", "c"),
            ("u", ""),
            ("u", "c"),
            ("u", "c"),
            ("u", ""),
            ("", "c"),
            ("", "c"),
        ];
        for (left, (user, client_id)) in shares.into_iter().enumerate() {
            let share = Share {
                user: user.into(),
                client_id: client_id.into(),
            };
            let found = limits(&all[left..]).of_client("u", "c");
            assert_eq!(found, Some((share, all[left].1)));
        }
        assert_eq!(limits(&[]).of_client("u", "c"), None);
        assert!(limits(&[]).is_empty());
    }

    #[test]
    fn of_a_long_name_no_more_is_kept_than_tells_most_from_each_other() {
        let quotas = limits(&[(&[(C, None)], 8.0)]);
        let of = |client_id: &str| quotas.of_client("u", client_id).map(|(share, _)| share.client_id);
        let just = "c".repeat(NAME_BYTES_MAX);
        assert_eq!(of(&just), Some(just.clone()));
        assert_eq!(of(&format!("{just}d")), Some(just.clone()));
        let before = &just[1..];
        assert_eq!(
            of(&format!("{before}é")).as_deref(),
            Some(before),
            "no half of a letter"
        );
    }

    #[test]
    fn others_have_the_defaults_or_nothing() {
        let quotas = limits(&[(&[(U, Some("u"))], 3.0), (&[(C, Some("c"))], 7.0)]);
        assert_eq!(quotas.of_client("v", "d"), None);
        assert_eq!(quotas.of_client("v", "c").map(|(_, limit)| limit), Some(7.0));
        assert_eq!(limits(&[(&[(C, None)], 8.0)]).of_client("v", ""), None, "no id");
        let addresses = limits(&[(&[("ip", None)], 9.0), (&[("ip", Some("10.0.0.1"))], 2.0)]);
        assert_eq!(addresses.of_ip("10.0.0.1"), Some(2.0));
        assert_eq!(addresses.of_ip("10.0.0.2"), Some(9.0));
    }
}
