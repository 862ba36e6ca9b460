//! Avro's binary encoding into columns, along a plan that is made once for each schema.

use std::sync::Arc;

use forebay_connect_api::{
    Schema,
    avro::{Kind, Node},
    schema::Type,
};

use crate::format::{columns::Column, schemas::Misfit};

/// How a type is read.
#[derive(Debug)]
pub(super) enum Plan {
    Boolean,
    /// Within these bounds.
    Int(i64, i64),
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<String>),
    /// A union of null and one other type: which branch is null.
    Optional(usize, Box<Plan>),
    /// A struct with a field for each branch: which, and how it is read. `None` for null.
    Union(Vec<Option<(usize, Plan)>>),
    /// Fields in their order: the column of each, if there is one.
    Record(Vec<(Option<usize>, Plan)>),
    /// The same where each column has a field: there is nothing to fill up afterwards.
    Whole(Vec<(usize, Plan)>),
    Array(Box<Plan>),
    Map(Box<Plan>),
    /// A map whose keys are no strings: an array of records.
    Entries(Box<[Plan; 2]>),
}

impl Plan {
    /// For values of an Avro schema that the converter reads as `connect`, into columns made of `target`.
    pub(super) fn new(node: Node<'_>, connect: &Arc<Schema>, target: &Arc<Schema>) -> Option<Self> {
        let inner = |schema: &Arc<Schema>| schema.value_schema().cloned();
        Some(match node.kind() {
            Kind::Boolean => Self::Boolean,
            Kind::Int => match connect.schema_type() {
                Type::Int8 => Self::Int(i8::MIN.into(), i8::MAX.into()),
                Type::Int16 => Self::Int(i16::MIN.into(), i16::MAX.into()),
                _ => Self::Int(i32::MIN.into(), i32::MAX.into()),
            },
            Kind::Long => Self::Long,
            Kind::Float => Self::Float,
            Kind::Double => Self::Double,
            Kind::Bytes => Self::Bytes,
            Kind::String => Self::String,
            Kind::Fixed(size) => Self::Fixed(size),
            Kind::Enum(symbols) => Self::Enum(symbols.to_vec()),
            Kind::Record(fields) => {
                let plans = fields.iter().zip(connect.fields()).map(|(field, known)| {
                    let column = target.field_index(field.name());
                    let of = column.map_or(&known.schema, |index| &target.fields()[index].schema);
                    Some((column, Self::new(field.node(), &known.schema, of)?))
                });
                Self::record(plans.collect::<Option<_>>()?, target.fields().len())
            }
            Kind::Array(items) => match (connect.key_schema(), items.kind()) {
                (Some(keys), Kind::Record(fields)) => {
                    let [key, value] = fields.as_slice() else {
                        return None;
                    };
                    let keys = Self::new(key.node(), keys, target.key_schema()?)?;
                    let values = Self::new(value.node(), &inner(connect)?, &inner(target)?)?;
                    Self::Entries(Box::new([keys, values]))
                }
                _ => Self::Array(Box::new(Self::new(items, &inner(connect)?, &inner(target)?)?)),
            },
            Kind::Map(values) => Self::Map(Box::new(Self::new(values, &inner(connect)?, &inner(target)?)?)),
            Kind::Union(branches) => {
                let null = |node: &Node<'_>| matches!(node.kind(), Kind::Null);
                let nulls = branches.iter().filter(null).count();
                if branches.len() == 2 && nulls == 1 {
                    let place = branches.iter().position(|node| null(&node))?;
                    let other = branches.get(1 - place)?;
                    return Some(Self::Optional(
                        place,
                        Box::new(Self::new(other, connect, target)?),
                    ));
                }
                let plans = branches.iter().map(|branch| {
                    if null(&branch) {
                        return Some(None);
                    }
                    let known = &connect.field(branch.branch_name())?.schema;
                    let index = target.field_index(branch.branch_name())?;
                    let plan = Self::new(branch, known, &target.fields()[index].schema)?;
                    Some(Some((index, plan)))
                });
                Self::Union(plans.collect::<Option<_>>()?)
            }
            Kind::Null => return None,
        })
    }

    fn record(fields: Vec<(Option<usize>, Self)>, columns: usize) -> Self {
        let mut filled: Vec<usize> = fields.iter().filter_map(|(column, _)| *column).collect();
        filled.sort_unstable();
        // Two fields of one name are for the converter to judge.
        if fields.len() != columns || !filled.into_iter().eq(0..columns) {
            return Self::Record(fields);
        }
        let fields = fields.into_iter();
        Self::Whole(
            fields
                .filter_map(|(column, plan)| Some((column?, plan)))
                .collect(),
        )
    }

    /// Reads one value that fills `bytes`.
    pub(super) fn read(&self, bytes: &[u8], column: &mut Column) -> Result<(), Misfit> {
        // Nulls and empty records take no bytes, so bytes alone do not bound how many values there are.
        let left = bytes.len().saturating_mul(16).saturating_add(1024);
        let mut reader = Reader { bytes, left };
        reader.value(self, column)?;
        match reader.bytes {
            [] => Ok(()),
            _ => Err(Misfit),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// How many values there may still be.
    left: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, plan: &Plan, column: &mut Column) -> Result<(), Misfit> {
        match plan {
            Plan::Boolean => column.append_boolean(self.boolean()?),
            Plan::Int(min, max) => {
                let number = self.long()?;
                match (*min..=*max).contains(&number) {
                    true => column.append_long(number),
                    false => Err(Misfit),
                }
            }
            Plan::Long => column.append_long(self.long()?),
            Plan::Float => column.append_float(f32::from_le_bytes(self.array()?)),
            Plan::Double => column.append_double(f64::from_le_bytes(self.array()?)),
            Plan::Bytes => column.append_bytes(self.sized()?),
            Plan::String => column.append_string(self.string()?),
            Plan::Fixed(size) => column.append_bytes(self.take(*size)?),
            Plan::Enum(symbols) => column.append_string(symbols[self.index(symbols.len())?].as_bytes()),
            Plan::Optional(null, plan) => {
                if self.index(2)? == *null {
                    column.append_null()
                } else {
                    self.value(plan, column)
                }
            }
            Plan::Union(branches) => {
                let index = self.index(branches.len())?;
                self.pay(branches.len())?;
                match &branches[index] {
                    None => column.append_null(),
                    Some((index, plan)) => {
                        column.append_fields(|structs, _| self.value(plan, &mut structs.columns[*index]))
                    }
                }
            }
            Plan::Record(fields) => {
                self.pay(1)?;
                column.append_fields(|structs, _| {
                    fields.iter().try_for_each(|(column, plan)| match column {
                        Some(column) => self.value(plan, &mut structs.columns[*column]),
                        None => self.skip(plan),
                    })
                })
            }
            Plan::Whole(fields) => {
                self.pay(1)?;
                column.append_whole(|structs| {
                    fields
                        .iter()
                        .try_for_each(|(column, plan)| self.value(plan, &mut structs.columns[*column]))
                })
            }
            Plan::Array(plan) => column.append_list(|items| self.blocks(|reader| reader.value(plan, items))),
            Plan::Map(plan) => column.append_map(|[keys, values]| {
                self.blocks(|reader| {
                    keys.append_string(reader.string()?)?;
                    reader.value(plan, values)
                })
            }),
            Plan::Entries(plans) => column.append_map(|[keys, values]| {
                self.blocks(|reader| {
                    reader.value(&plans[0], keys)?;
                    reader.value(&plans[1], values)
                })
            }),
        }
    }

    /// Past a value that has no column.
    fn skip(&mut self, plan: &Plan) -> Result<(), Misfit> {
        match plan {
            Plan::Boolean => self.boolean().map(|_| ()),
            Plan::Int(min, max) => match (*min..=*max).contains(&self.long()?) {
                true => Ok(()),
                false => Err(Misfit),
            },
            Plan::Long => self.long().map(|_| ()),
            Plan::Float => self.take(size_of::<f32>()).map(|_| ()),
            Plan::Double => self.take(size_of::<f64>()).map(|_| ()),
            Plan::Bytes => self.sized().map(|_| ()),
            Plan::String => self.string().map(|_| ()),
            Plan::Fixed(size) => self.take(*size).map(|_| ()),
            Plan::Enum(symbols) => self.index(symbols.len()).map(|_| ()),
            Plan::Optional(null, plan) => match self.index(2)? == *null {
                true => Ok(()),
                false => self.skip(plan),
            },
            Plan::Union(branches) => {
                let index = self.index(branches.len())?;
                self.pay(1)?;
                branches[index]
                    .as_ref()
                    .map_or(Ok(()), |(_, plan)| self.skip(plan))
            }
            Plan::Record(fields) => {
                self.pay(1)?;
                fields.iter().try_for_each(|(_, plan)| self.skip(plan))
            }
            Plan::Whole(fields) => {
                self.pay(1)?;
                fields.iter().try_for_each(|(_, plan)| self.skip(plan))
            }
            Plan::Array(plan) => self.blocks(|reader| reader.skip(plan)),
            Plan::Map(plan) => self.blocks(|reader| {
                reader.string()?;
                reader.skip(plan)
            }),
            Plan::Entries(plans) => self.blocks(|reader| {
                reader.skip(&plans[0])?;
                reader.skip(&plans[1])
            }),
        }
    }

    fn pay(&mut self, values: usize) -> Result<(), Misfit> {
        self.left = self.left.checked_sub(values).ok_or(Misfit)?;
        Ok(())
    }

    /// Arrays and maps come in blocks: a count, negative where a length in bytes follows, until a count of zero.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Misfit>) -> Result<(), Misfit> {
        loop {
            let mut count = self.long()?;
            if count < 0 {
                self.long()?;
                count = count.checked_neg().ok_or(Misfit)?;
            }
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                self.pay(1)?;
                item(self)?;
            }
        }
    }

    fn boolean(&mut self) -> Result<bool, Misfit> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Misfit),
        }
    }

    fn index(&mut self, count: usize) -> Result<usize, Misfit> {
        let index = usize::try_from(self.long()?).ok();
        index.filter(|index| *index < count).ok_or(Misfit)
    }

    fn string(&mut self) -> Result<&'a [u8], Misfit> {
        let bytes = self.sized()?;
        std::str::from_utf8(bytes).map_err(|_| Misfit)?;
        Ok(bytes)
    }

    fn sized(&mut self) -> Result<&'a [u8], Misfit> {
        let length = usize::try_from(self.long()?).map_err(|_| Misfit)?;
        self.take(length)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Misfit> {
        let (array, rest) = self.bytes.split_first_chunk().ok_or(Misfit)?;
        self.bytes = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Misfit> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Misfit)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A zigzag number in groups of seven bits, the lowest first; at most ten bytes.
    fn long(&mut self) -> Result<i64, Misfit> {
        let (number, rest) = match self.bytes {
            [byte @ 0..0x80, rest @ ..] => (u64::from(*byte), rest),
            bytes => short_varint(bytes).or_else(|| long_varint(bytes)).ok_or(Misfit)?,
        };
        self.bytes = rest;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

/// A number of at most eight bytes where eight can be looked at, all at once.
fn short_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let word = u64::from_le_bytes(*bytes.first_chunk()?);
    let ends = !word & 0x8080_8080_8080_8080;
    // Of the byte with which it ends, and of all before it, the bits; none if there is no such byte.
    let own = (ends ^ ends.wrapping_sub(1)) & 0x7f7f_7f7f_7f7f_7f7f;
    if ends == 0 {
        return None;
    }
    let pairs = word & own;
    let pairs = (pairs & 0x007f_007f_007f_007f) | ((pairs & 0x7f00_7f00_7f00_7f00) >> 1);
    let fours = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
    let number = (fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4);
    let length = ends.trailing_zeros() / u8::BITS + 1;
    Some((number, &bytes[length as usize..]))
}

/// A number one byte after the other.
fn long_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        if place == 9 && *byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7f) << (place * 7);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[place + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Also numbers that are longer than they need to be, and bytes behind them.
        #[test]
        fn both_ways_to_read_a_number_agree(number: u64, shift in 0_u32..64, padding in 0_usize..4, behind: Vec<u8>) {
            let mut left = number >> shift;
            let mut bytes = Vec::new();
            while left >= 0x80 {
                bytes.push((left & 0x7f) as u8 | 0x80);
                left >>= 7;
            }
            bytes.push(left as u8 | if padding > 0 { 0x80 } else { 0 });
            bytes.extend(std::iter::repeat_n(0x80, padding.saturating_sub(1)));
            bytes.extend((padding > 0).then_some(0));
            let length = bytes.len();
            bytes.extend(behind);
            let slow = long_varint(&bytes);
            prop_assert_eq!(slow.is_some(), length <= 10);
            if let Some(fast) = short_varint(&bytes) {
                prop_assert_eq!(Some(fast), slow);
            }
            let mut reader = Reader { bytes: &bytes, left: 0 };
            let read = reader.long().ok().map(|number| ((number << 1) ^ (number >> 63)).cast_unsigned());
            prop_assert_eq!(read, slow.map(|(number, _)| number));
        }
    }
}
