//! Strings of records: UTF-8 over [`Bytes`], so that a line of a file or a value of a batch is a slice of it, and a
//! clone is a counter.

use std::{borrow::Borrow, fmt, hash, ops::Deref, str::Utf8Error};

use bytes::Bytes;

/// An immutable string. It keeps the buffer alive from which it was cut.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Bytes);

impl Text {
    /// A string that lives as long as the program.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// Takes bytes that are UTF-8.
    ///
    /// # Errors
    /// If they are not.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }

    /// Takes bytes, with U+FFFD for what is not UTF-8, as Java's decoder does. Copies only in that case.
    pub fn from_utf8_lossy(bytes: Bytes) -> Self {
        match String::from_utf8_lossy(&bytes) {
            std::borrow::Cow::Borrowed(_) => Self(bytes),
            std::borrow::Cow::Owned(text) => text.into(),
        }
    }

    /// The text. Checks it again, at some gigabytes per second, which is the price of doing without `unsafe`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when it was made, and immutable since")
    }

    /// The bytes under the text.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes under the text, for good.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

// As `str` hashes, which `Borrow` asks for.
impl hash::Hash for Text {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_utf8_is_refused_or_replaced_and_else_shared() {
        let good = Bytes::from("héllo".to_owned());
        let text = Text::from_utf8_lossy(good.clone());
        assert_eq!(text, "héllo");
        assert_eq!(text.as_bytes().as_ptr(), good.as_ptr());
        let bad = Bytes::from_static(b"a\xffb");
        assert!(Text::from_utf8(bad.clone()).is_err());
        assert_eq!(Text::from_utf8_lossy(bad), "a\u{fffd}b");
    }
}
