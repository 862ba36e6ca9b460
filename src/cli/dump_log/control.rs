//! What a control record says: the end of a transaction, or something of the quorum's.

use bytes::Bytes;
use forebay_protocol::messages::{
    KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord,
};
use forebay_protocol::{Message, Reader, java_json};
use forebay_records::{ControlRecordType, EndTransactionMarker, Record};

use super::Error;

/// The end of a control record's line.
pub(super) fn describe(record: &Record) -> Result<String, Error> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::File(format!("control record at offset {}: {error}", record.offset))
    };
    let key = record.key.as_deref().unwrap_or_default();
    let kind = ControlRecordType::parse(key).map_err(|error| wrong(&error))?;
    let value = record.value.clone().unwrap_or_default();
    let marker = |name: &str| {
        let marker = EndTransactionMarker::parse(&value).map_err(|error| wrong(&error))?;
        Ok(format!(
            " endTxnMarker: {name} coordinatorEpoch: {}",
            marker.coordinator_epoch
        ))
    };
    let json = |title: &str, json: Result<String, forebay_protocol::decode::Error>| {
        json.map(|json| format!(" {title} {json}"))
            .map_err(|error| wrong(&error))
    };
    match kind {
        ControlRecordType::Abort => marker("ABORT"),
        ControlRecordType::Commit => marker("COMMIT"),
        ControlRecordType::LeaderChange => json("LeaderChange:", to_json::<LeaderChangeMessage>(&value)),
        ControlRecordType::SnapshotHeader => json("SnapshotHeader", to_json::<SnapshotHeaderRecord>(&value)),
        ControlRecordType::SnapshotFooter => json("SnapshotFooter", to_json::<SnapshotFooterRecord>(&value)),
        ControlRecordType::KraftVersion => json("KRaftVersion", to_json::<KRaftVersionRecord>(&value)),
        ControlRecordType::KraftVoters => json("KRaftVoters", to_json::<VotersRecord>(&value)),
        ControlRecordType::Unknown(id) => Ok(format!(" controlType: UNKNOWN({id})")),
    }
}

/// These messages begin with their version; a later one may only add to it.
fn to_json<M: Message>(value: &Bytes) -> Result<String, forebay_protocol::decode::Error> {
    let version = Reader::new(value.clone()).i16()?.clamp(0, *M::VERSIONS.end());
    let message = M::decode(&mut Reader::new(value.clone()), version)?;
    Ok(java_json(&message.to_json(version)))
}
