//! Quotas of users, clients and addresses (KIP-546).

use std::collections::BTreeMap;

use forebay_protocol::{
    NodeId,
    messages::{
        AlterClientQuotasRequest, DescribeClientQuotasRequest,
        alter_client_quotas_request::{EntityData, EntryData, OpData},
        describe_client_quotas_request::ComponentData,
    },
};

use super::{Admin, check};
use crate::error::Error;

/// Whose quotas: `user`, `client-id` or `ip`, and a name; no name is the default of that kind (Kafka's `ClientQuotaEntity`).
pub type QuotaEntity = BTreeMap<String, Option<String>>;

/// Which quotas are asked for, by kind of entity (Kafka's `ClientQuotaFilterComponent`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaFilter {
    /// `user`, `client-id` or `ip`.
    pub entity_type: String,
    /// Which of them.
    pub entity: QuotaMatch,
}

/// Which entities of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaMatch {
    /// That of this name.
    Name(String),
    /// The default.
    Default,
    /// All that have quotas.
    Any,
}

impl Admin {
    /// The quotas of entities that have all of these kinds, and with `strict` no others.
    ///
    /// # Errors
    /// Of the call.
    pub async fn describe_client_quotas(
        &self,
        filters: &[QuotaFilter],
        strict: bool,
    ) -> Result<Vec<(QuotaEntity, BTreeMap<String, f64>)>, Error> {
        let component = |filter: &QuotaFilter| {
            let (match_type, name) = match &filter.entity {
                QuotaMatch::Name(name) => (0, Some(name.into())),
                QuotaMatch::Default => (1, None),
                QuotaMatch::Any => (2, None),
            };
            ComponentData {
                entity_type: (&filter.entity_type).into(),
                match_type,
                r#match: name,
                ..Default::default()
            }
        };
        self.retry("describe client quotas", || async {
            let components = filters.iter().map(component).collect();
            let node = self.cluster.any_node().await?;
            let request = DescribeClientQuotasRequest {
                components,
                strict,
                ..Default::default()
            };
            let answer = node.call(|_| request).await?;
            let message = answer.error_message.as_deref();
            check("describe client quotas", answer.error_code, message)?;
            let entries = answer.entries.unwrap_or_default().into_iter().map(|entry| {
                let entity = entry.entity.into_iter();
                let entity = entity.map(|part| (part.entity_type.into(), part.entity_name.map(String::from)));
                let values = entry
                    .values
                    .into_iter()
                    .map(|value| (value.key.into(), value.value));
                (entity.collect(), values.collect())
            });
            Ok(entries.collect())
        })
        .await
    }

    /// Sets quotas of one entity, and removes those without a value.
    ///
    /// # Errors
    /// Of the call or the entity.
    pub async fn alter_client_quotas(
        &self,
        entity: &QuotaEntity,
        changes: &BTreeMap<String, Option<f64>>,
        validate_only: bool,
    ) -> Result<(), Error> {
        self.retry("alter client quotas", || async {
            let parts = entity.iter().map(|(kind, name)| EntityData {
                entity_type: kind.into(),
                entity_name: name.as_ref().map(Into::into),
                ..Default::default()
            });
            let ops = changes.iter().map(|(key, value)| OpData {
                key: key.into(),
                value: value.unwrap_or_default(),
                remove: value.is_none(),
                ..Default::default()
            });
            let entry = EntryData {
                entity: parts.collect(),
                ops: ops.collect(),
                ..Default::default()
            };
            let request = AlterClientQuotasRequest {
                entries: vec![entry],
                validate_only,
                ..Default::default()
            };
            let answer = self.controller().await?.call(|_| request).await?;
            answer.entries.into_iter().try_for_each(|entry| {
                check(
                    "alter client quotas",
                    entry.error_code,
                    entry.error_message.as_deref(),
                )
            })
        })
        .await
    }

    /// A connection to a broker, whatever is known of the cluster so far.
    pub(super) async fn broker(&self, id: NodeId) -> Result<std::sync::Arc<crate::node::Node>, Error> {
        let snapshot = self.cluster.snapshot();
        if snapshot.fetched_at.is_none() || !snapshot.brokers.contains_key(&id) {
            self.cluster.refresh(snapshot.version).await?;
        }
        self.cluster.node(id, crate::cluster::Lane::Main).await
    }
}
