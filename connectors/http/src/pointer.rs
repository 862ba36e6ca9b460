//! JSON pointers (RFC 6901).

use serde_json::Value as Json;

/// Names a place in a JSON document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pointer(String);

impl Pointer {
    /// Reads a pointer: `/a/0/b`. Empty, and `/` as castorm's connector has it, is the whole document.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = if text == "/" { "" } else { text };
        let tildes = text.match_indices('~');
        let mut followers = tildes.map(|(index, _)| text.as_bytes().get(index + 1));
        if !text.is_empty() && !text.starts_with('/') {
            return Err(
                "a JSON pointer begins with /, such as /items or /id; it is one pointer, without names (for keys and timestamps there are \
                 http.response.record.key.pointer and http.response.record.timestamp.pointer)"
                    .to_owned(),
            );
        }
        if followers.any(|next| !matches!(next, Some(b'0' | b'1'))) {
            return Err("in a JSON pointer ~ is written ~0, and / within a name ~1".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// What is there.
    pub(crate) fn find<'a>(&self, document: &'a Json) -> Option<&'a Json> {
        document.pointer(&self.0)
    }

    /// As [`Pointer::find`], taken out of the document.
    pub(crate) fn take(&self, document: &mut Json) -> Option<Json> {
        document.pointer_mut(&self.0).map(Json::take)
    }

    /// The pointer as text; `/` is the whole document.
    pub(crate) fn as_str(&self) -> &str {
        if self.0.is_empty() { "/" } else { &self.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_find_their_place() {
        let document: Json = serde_json::from_str(r#"{"a":[{"b/c":1},2],"~":3}"#).expect("JSON");
        for (pointer, found) in [
            ("/a/0/b~1c", Some("1")),
            ("/~0", Some("3")),
            ("/a/2", None),
            ("", Some(r#"{"a":[{"b/c":1},2],"~":3}"#)),
            ("/", Some(r#"{"a":[{"b/c":1},2],"~":3}"#)),
        ] {
            let parsed = Pointer::parse(pointer).expect(pointer);
            assert_eq!(
                parsed.find(&document).map(Json::to_string).as_deref(),
                found,
                "{pointer}"
            );
        }
        for bad in ["a", "key=/id, timestamp=/at", "/a~", "/a~2"] {
            Pointer::parse(bad).expect_err(bad);
        }
    }
}
