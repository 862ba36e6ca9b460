//! Raw values straight into columns, without an object per record. What is not read here, for whatever reason, is a [`Misfit`]:
//! then the converter reads it, and says what is wrong with it, if anything is. So nothing is taken here that the converter would
//! refuse, and what is taken is what the converter would make of it; the property tests hold both against each other.

mod avro;
mod json;

use std::sync::Arc;

use forebay_connect_api::ValueFormat;

use self::{avro::Plan, json::Cursor};
use super::{
    Reading,
    columns::{Column, Rows},
    schemas::{Misfit, Target},
};

/// Avro schemas of which plans are kept.
const PLANS_MAX: usize = 64;
/// The longest schema text of an envelope that is compared instead of read.
const ENVELOPE_BYTES_MAX: usize = 64 * 1024;

/// Reads values into the columns of one schema.
#[derive(Debug, Default)]
pub(super) struct RawReader {
    /// How values with these schema identifiers are read; `None` if only the converter can.
    plans: Vec<(i32, Option<Plan>)>,
    /// What envelopes with the rows' schema begin with, up to the payload.
    envelope: Vec<u8>,
}

impl RawReader {
    pub(super) fn append(
        &mut self,
        rows: &mut Rows,
        target: &Target,
        reading: &Reading<'_>,
        value: Option<&[u8]>,
    ) -> Result<(), Misfit> {
        let value = value.ok_or(Misfit)?;
        let known = target.schema().ok_or(Misfit)?;
        if known.of_nulls {
            return Err(Misfit);
        }
        let inferred = known.inferred;
        match reading.format {
            ValueFormat::String => {
                let text = String::from_utf8_lossy(value);
                rows.append_with(value.len(), |root| root.append_string(text.as_bytes()))
            }
            ValueFormat::Bytes => rows.append_with(value.len(), |root| root.append_bytes(value)),
            ValueFormat::Json(_) if inferred => {
                append(rows, value, |root| Cursor::new(value).whole(root, false))
            }
            ValueFormat::JsonWithSchemas(_) if !inferred => self.envelope(rows, target, reading, value),
            ValueFormat::Avro(reader) => {
                let (id, data) = split(value).ok_or(Misfit)?;
                let index = match self.plans.iter().position(|(known, _)| *known == id) {
                    Some(index) => index,
                    None => {
                        let schemas = reader.schemas(reading.topic, id).ok_or(Misfit)?;
                        if !target.takes(&schemas.connect) {
                            return Err(Misfit);
                        }
                        let plan = Plan::new(schemas.avro.root(), &schemas.connect, rows.schema());
                        self.plans.insert(0, (id, plan));
                        self.plans.truncate(PLANS_MAX);
                        0
                    }
                };
                let plan = self.plans[index].1.as_ref().ok_or(Misfit)?;
                append(rows, value, |root| plan.read(data, root))
            }
            _ => Err(Misfit),
        }
    }

    /// `{"schema":…,"payload":…}` as JsonConverter writes it. Mostly the schema's text is that of the value before.
    fn envelope(
        &mut self,
        rows: &mut Rows,
        target: &Target,
        reading: &Reading<'_>,
        value: &[u8],
    ) -> Result<(), Misfit> {
        if self.envelope.is_empty() || !value.starts_with(&self.envelope) {
            let envelope = json::envelope(value).ok_or(Misfit)?;
            let read = reading.read(Some(value)).map_err(|_| Misfit)?;
            let is_same = read
                .schema
                .is_some_and(|schema| Arc::ptr_eq(&schema, rows.schema()) || schema == *rows.schema());
            if !is_same || target.schema().is_none() || envelope.len() > ENVELOPE_BYTES_MAX {
                return Err(Misfit);
            }
            self.envelope = envelope.to_vec();
        }
        let payload = &value[self.envelope.len()..];
        append(rows, payload, |root| {
            let mut cursor = Cursor::new(payload);
            cursor.value(root, true)?;
            cursor.expect(b'}')?;
            cursor.end()
        })
    }
}

/// Adds a row that is not null: of those, the configuration decides.
fn append(
    rows: &mut Rows,
    value: &[u8],
    fill: impl FnOnce(&mut Column) -> Result<(), Misfit>,
) -> Result<(), Misfit> {
    rows.append_with(value.len(), |root| {
        fill(root)?;
        match root.ends_with_null() {
            true => Err(Misfit),
            false => Ok(()),
        }
    })
}

/// Confluent's wire format: a zero, the identifier, the data.
fn split(bytes: &[u8]) -> Option<(i32, &[u8])> {
    match bytes.split_first_chunk::<5>()? {
        (&[0, a, b, c, d], data) => Some((i32::from_be_bytes([a, b, c, d]), data)),
        _ => None,
    }
}
