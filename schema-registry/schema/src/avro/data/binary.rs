//! Avro's binary encoding.

use super::{DEPTH_MAX, Error, Value, located, unexpected};
use crate::avro::{Kind, Node};

pub(super) fn decode(node: Node<'_>, mut bytes: &[u8]) -> Result<Value, Error> {
    let value = decode_next(node, &mut bytes)?;
    match bytes.len() {
        0 => Ok(value),
        bytes => Err(Error::LeftOver { bytes }),
    }
}

pub(super) fn decode_next(node: Node<'_>, bytes: &mut &[u8]) -> Result<Value, Error> {
    // Nulls and empty records take no bytes, so bytes alone do not bound how many values there are.
    let values_max = bytes.len().saturating_mul(16).saturating_add(1024);
    let mut reader = Reader {
        bytes,
        values_left: values_max,
    };
    let value = reader.value(node, 0)?;
    *bytes = reader.bytes;
    Ok(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
    values_left: usize,
}

impl Reader<'_> {
    fn value(&mut self, node: Node<'_>, depth: usize) -> Result<Value, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.values_left = self.values_left.checked_sub(1).ok_or(Error::Impossible {
            what: "number of values",
            number: -1,
        })?;
        Ok(match node.kind() {
            Kind::Null => Value::Null,
            Kind::Boolean => match self.take(1)?[0] {
                0 => Value::Boolean(false),
                1 => Value::Boolean(true),
                other => {
                    return Err(Error::Impossible {
                        what: "boolean",
                        number: other.into(),
                    });
                }
            },
            Kind::Int => {
                let number = self.long()?;
                Value::Int(i32::try_from(number).map_err(|_| Error::Impossible { what: "int", number })?)
            }
            Kind::Long => Value::Long(self.long()?),
            Kind::Float => Value::Float(f32::from_le_bytes(self.array()?)),
            Kind::Double => Value::Double(f64::from_le_bytes(self.array()?)),
            Kind::Bytes => Value::Bytes(self.sized("length")?.to_vec()),
            Kind::String => Value::String(self.string()?),
            Kind::Fixed(size) => Value::Fixed(self.take(size)?.to_vec()),
            Kind::Enum(symbols) => Value::Enum(self.index("enum symbol", symbols.len())?),
            Kind::Union(branches) => {
                let index = self.index("union branch", branches.len())?;
                let branch = branches.get(index).expect("the index was checked");
                Value::Union(index, Box::new(self.value(branch, depth + 1)?))
            }
            Kind::Record(fields) => {
                let values = fields.iter().map(|field| self.value(field.node(), depth + 1));
                Value::Record(values.collect::<Result<_, _>>()?)
            }
            Kind::Array(items) => {
                let mut values = Vec::new();
                self.blocks(|reader| {
                    values.push(reader.value(items, depth + 1)?);
                    Ok(())
                })?;
                Value::Array(values)
            }
            Kind::Map(of) => {
                let mut entries = Vec::new();
                self.blocks(|reader| {
                    let key = reader.string()?;
                    entries.push((key, reader.value(of, depth + 1)?));
                    Ok(())
                })?;
                Value::Map(entries)
            }
        })
    }

    /// Arrays and maps come in blocks: a count, negative where a length in bytes follows, until a count of zero.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        loop {
            let mut count = self.long()?;
            if count < 0 {
                self.long()?;
                count = count.checked_neg().ok_or(Error::Impossible {
                    what: "count",
                    number: count,
                })?;
            }
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                item(self)?; // each item takes from `values_left`, so that the count is no promise to keep
            }
        }
    }

    fn index(&mut self, what: &'static str, count: usize) -> Result<usize, Error> {
        let number = self.long()?;
        usize::try_from(number)
            .ok()
            .filter(|index| *index < count)
            .ok_or(Error::Impossible { what, number })
    }

    fn string(&mut self) -> Result<String, Error> {
        let bytes = self.sized("length")?.to_vec();
        String::from_utf8(bytes).map_err(|_| Error::NotUtf8)
    }

    fn sized(&mut self, what: &'static str) -> Result<&[u8], Error> {
        let number = self.long()?;
        self.take(usize::try_from(number).map_err(|_| Error::Impossible { what, number })?)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (array, rest) = self.bytes.split_first_chunk().ok_or(Error::Incomplete)?;
        self.bytes = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&[u8], Error> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Error::Incomplete)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A zigzag number in groups of seven bits, the lowest first; at most ten bytes.
    fn long(&mut self) -> Result<i64, Error> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(Error::Impossible {
            what: "varint",
            number: number.cast_signed(),
        })
    }
}

pub(super) fn encode(node: Node<'_>, value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
    write(node, value, out, 0)
}

fn write(node: Node<'_>, value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        return Err(Error::TooDeep);
    }
    match (node.kind(), value) {
        (Kind::Null, Value::Null) => {}
        (Kind::Boolean, Value::Boolean(value)) => out.push(u8::from(*value)),
        (Kind::Int, Value::Int(value)) => write_long(i64::from(*value), out),
        (Kind::Long, Value::Long(value)) => write_long(*value, out),
        (Kind::Float, Value::Float(value)) => out.extend(value.to_le_bytes()),
        (Kind::Double, Value::Double(value)) => out.extend(value.to_le_bytes()),
        (Kind::Bytes, Value::Bytes(value)) => write_sized(value, out),
        (Kind::String, Value::String(value)) => write_sized(value.as_bytes(), out),
        (Kind::Fixed(size), Value::Fixed(value)) if value.len() == size => out.extend(value),
        (Kind::Enum(symbols), Value::Enum(index)) if *index < symbols.len() => write_long(*index as i64, out),
        (Kind::Union(branches), Value::Union(index, value)) if *index < branches.len() => {
            write_long(*index as i64, out);
            let branch = branches.get(*index).expect("the index was checked");
            located(branch.branch_name(), write(branch, value, out, depth + 1))?;
        }
        (Kind::Record(fields), Value::Record(values)) if fields.len() == values.len() => {
            for (field, value) in fields.iter().zip(values) {
                located(field.name(), write(field.node(), value, out, depth + 1))?;
            }
        }
        (Kind::Array(items), Value::Array(values)) => {
            write_count(values.len(), out);
            for (index, value) in values.iter().enumerate() {
                located(index, write(items, value, out, depth + 1))?;
            }
            out.push(0);
        }
        (Kind::Map(of), Value::Map(entries)) => {
            write_count(entries.len(), out);
            for (key, value) in entries {
                write_sized(key.as_bytes(), out);
                located(key, write(of, value, out, depth + 1))?;
            }
            out.push(0);
        }
        (_, other) => return unexpected(node.branch_name(), format!("{other:?}")),
    }
    Ok(())
}

fn write_count(count: usize, out: &mut Vec<u8>) {
    if count > 0 {
        write_long(count as i64, out);
    }
}

fn write_sized(bytes: &[u8], out: &mut Vec<u8>) {
    write_long(bytes.len() as i64, out);
    out.extend(bytes);
}

fn write_long(number: i64, out: &mut Vec<u8>) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        out.push((left as u8 & 0x7f) | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}
