//! Records that have no meaning here yet and must not be lost: access control entries, delegation tokens, controllers, what a newer
//! Kafka configures. The log that held them goes once a snapshot stands for it, so the image keeps them as they came.

use std::sync::Arc;

use bytes::Bytes;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::{ConfigRecord, UserScramCredentialRecord};
use forebay_protocol::{Utf8Bytes, Uuid};

use super::MetadataImage;

/// What a record is about: a later one of the same key takes its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KeptKey {
    /// Whether the cluster came from ZooKeeper.
    ZkMigrationState,
    /// A controller of the quorum, by its id.
    Controller(i32),
    /// A setting on a resource of a type that is not known: type, name, key.
    Config(i8, Utf8Bytes, Utf8Bytes),
    /// Credentials for a mechanism that is not known: user, mechanism.
    ScramCredential(Utf8Bytes, i8),
    /// An access control entry.
    AccessControlEntry(Uuid),
    /// A delegation token.
    DelegationToken(Utf8Bytes),
}

impl KeptKey {
    /// What such records are called where people are warned of them; none of those that nobody misses.
    fn warning(&self) -> Option<&'static str> {
        match self {
            Self::ZkMigrationState | Self::Controller(_) => None,
            Self::Config(..) => Some("settings of resources of other types"),
            Self::ScramCredential(..) => Some("SCRAM credentials of other mechanisms"),
            Self::AccessControlEntry(_) => Some("access control entries"),
            Self::DelegationToken(_) => Some("delegation tokens"),
        }
    }
}

impl MetadataImage {
    /// Keeps a record in the place of the one with the same key.
    pub(super) fn keep(&mut self, key: KeptKey, record: &MetadataRecord) {
        // Written again, it holds on to nothing of the batch that it came in.
        let written = record.to_bytes(record.highest_version());
        let own = written
            .ok()
            .and_then(|bytes| MetadataRecord::from_bytes(Bytes::copy_from_slice(&bytes)).ok())
            .map_or_else(|| record.clone(), |(own, _)| own);
        self.kept.insert_mut(key, Arc::new(own));
    }

    /// What is only kept.
    pub(super) fn set_kept(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::AccessControlEntry(entry) => {
                self.keep(KeptKey::AccessControlEntry(entry.id), record);
            }
            MetadataRecord::RemoveAccessControlEntry(entry) => {
                self.forget(&KeptKey::AccessControlEntry(entry.id));
            }
            MetadataRecord::DelegationToken(token) => {
                self.keep(KeptKey::DelegationToken(token.token_id.detach()), record);
            }
            MetadataRecord::RemoveDelegationToken(token) => {
                self.forget(&KeptKey::DelegationToken(token.token_id.detach()));
            }
            MetadataRecord::RegisterController(controller) => {
                self.keep(KeptKey::Controller(controller.controller_id), record);
            }
            _ => {}
        }
    }

    /// A setting on a resource of a type that is not known.
    pub(super) fn set_unknown_config(&mut self, config: &ConfigRecord, record: &MetadataRecord) {
        let (name, key) = (config.resource_name.detach(), config.name.detach());
        let key = KeptKey::Config(config.resource_type, name, key);
        match config.value {
            Some(_) => self.keep(key, record),
            None => self.forget(&key),
        }
    }

    /// A credential for a mechanism that is not known.
    pub(super) fn set_unknown_credential(
        &mut self,
        credential: &UserScramCredentialRecord,
        record: &MetadataRecord,
    ) {
        let key = KeptKey::ScramCredential(credential.name.detach(), credential.mechanism);
        self.keep(key, record);
    }

    /// Forgets a record.
    pub(super) fn forget(&mut self, key: &KeptKey) {
        self.kept.remove_mut(key);
    }

    /// How many records that have no meaning here are kept, by what they are: worth a warning at start.
    pub fn skipped_records(&self) -> std::collections::BTreeMap<&'static str, u64> {
        let mut counts = std::collections::BTreeMap::new();
        for warning in self.kept.keys().filter_map(KeptKey::warning) {
            *counts.entry(warning).or_default() += 1;
        }
        counts
    }
}
