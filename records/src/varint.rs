//! Zigzag variable-length integers (Kafka's `ByteUtils`): at most 5 bytes for 32 bits, 10 for 64; bits beyond are dropped as
//! Kafka drops them.

/// The most bytes of a 32-bit varint.
pub(crate) const VARINT_BYTES_MAX: usize = 5;
/// The most bytes of a 64-bit varint.
pub(crate) const VARLONG_BYTES_MAX: usize = 10;

/// A place in a slice from which fields are taken one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What has not been taken.
    pub(crate) const fn rest(self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    pub(crate) fn varint(&mut self) -> Option<i32> {
        // One byte is by far the commonest.
        if let Some(&first) = self.bytes.first()
            && first < 0x80
        {
            self.bytes = &self.bytes[1..];
            return Some(unzigzag32(u32::from(first)));
        }
        let mut value = 0_u32;
        for index in 0..VARINT_BYTES_MAX {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f).wrapping_shl(7 * index as u32);
            if byte < 0x80 {
                return Some(unzigzag32(value));
            }
        }
        None
    }

    pub(crate) fn varlong(&mut self) -> Option<i64> {
        let mut value = 0_u64;
        for index in 0..VARLONG_BYTES_MAX {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).wrapping_shl(7 * index as u32);
            if byte < 0x80 {
                return Some(unzigzag64(value));
            }
        }
        None
    }
}

pub(crate) const fn unzigzag32(value: u32) -> i32 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

pub(crate) const fn unzigzag64(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Appends a varint. A 32-bit value has the same bytes in both widths.
pub(crate) fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag64(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes that [`put`] appends.
pub(crate) const fn size(value: i64) -> usize {
    let bits = 64 - (zigzag64(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_go_there_and_back() {
        let edges = [
            0,
            1,
            -1,
            63,
            64,
            -64,
            -65,
            8191,
            8192,
            i64::from(i32::MAX),
            i64::from(i32::MIN),
        ];
        for value in edges {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            assert_eq!(bytes.len(), size(value), "{value}");
            assert_eq!(Cursor::new(&bytes).varint().map(i64::from), Some(value));
            assert_eq!(Cursor::new(&bytes).varlong(), Some(value));
            assert_eq!(
                Cursor::new(&bytes[..bytes.len() - 1]).varlong(),
                None,
                "{value} cut short"
            );
        }
        for value in [i64::MAX, i64::MIN, i64::MAX - 1] {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            assert_eq!(bytes.len(), VARLONG_BYTES_MAX);
            assert_eq!(Cursor::new(&bytes).varlong(), Some(value));
        }
    }

    #[test]
    fn a_varint_ends_within_five_bytes_and_a_varlong_within_ten() {
        let endless = [0xff; 11];
        assert_eq!(Cursor::new(&endless).varint(), None);
        assert_eq!(Cursor::new(&endless).varlong(), None);
        assert_eq!(
            Cursor::new(&[0x80, 0x80, 0x80, 0x80, 0x01]).varint(),
            Some(1 << 27)
        );
    }
}
