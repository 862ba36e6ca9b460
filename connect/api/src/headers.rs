//! The headers of a record in Connect's data model (`ConnectHeaders`).

use crate::{SchemaAndValue, Text};

/// One header.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Its key; keys may repeat.
    pub key: Text,
    /// Its value, converted by the header converter.
    pub value: SchemaAndValue,
}

/// Headers in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a header behind the others.
    pub fn add(&mut self, key: impl Into<Text>, value: SchemaAndValue) {
        let key = key.into();
        self.0.push(Header { key, value });
    }

    /// Removes all headers of that key.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|header| header.key != key);
    }

    /// The last header of that key (Kafka's `lastWithName`).
    pub fn last(&self, key: &str) -> Option<&Header> {
        self.0.iter().rev().find(|header| header.key == key)
    }

    /// In order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// In order, to be changed.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Header> {
        self.0.iter_mut()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<T: IntoIterator<Item = Header>>(headers: T) -> Self {
        Self(headers.into_iter().collect())
    }
}
