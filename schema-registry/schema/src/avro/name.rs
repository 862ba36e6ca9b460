//! Names and namespaces, as Avro's `Schema.Name` resolves and writes them.

use std::sync::Arc;

use super::Primitive;

/// A name with the namespace that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) simple: String,
    /// Shared by all names that stand within it.
    pub(super) namespace: Option<Arc<str>>,
}

impl Name {
    /// `text` may be qualified; otherwise it belongs to `namespace`. An empty namespace is none.
    pub(super) fn new(text: &str, namespace: Option<&Arc<str>>) -> Self {
        let (namespace, simple) = match text.rsplit_once('.') {
            Some((namespace, simple)) => (Some(Arc::from(namespace)), simple),
            None => (namespace.cloned(), text),
        };
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        Self {
            simple: simple.to_owned(),
            namespace,
        }
    }

    pub(super) fn full(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}.{}", self.simple),
            None => self.simple.clone(),
        }
    }

    /// How the name is written where `enclosing` is the namespace: in full, unless it is the same one; but a name that
    /// is also a type's word is always written in full.
    pub(super) fn qualified(&self, enclosing: Option<&str>) -> String {
        let same = self.namespace.as_deref() == enclosing;
        if same && self.namespace.is_some() && !is_type_word(&self.simple) {
            self.simple.clone()
        } else {
            self.full()
        }
    }
}

fn is_type_word(word: &str) -> bool {
    matches!(word, "record" | "enum" | "array" | "map" | "union" | "fixed")
        || Primitive::from_name(word).is_some()
}

/// Avro's strict rule for one name: a letter or underscore, then letters, digits, underscores.
pub(super) fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
