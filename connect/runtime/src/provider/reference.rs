//! References in texts: `${provider:key}` and `${provider:path:key}` (Kafka's `ConfigTransformer.DEFAULT_PATTERN`).

/// What is between `${` and `}`, with a colon at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    /// Up to the first colon.
    pub(super) provider: &'a str,
    /// Between the first colon and the second; empty without a second.
    pub(super) path: &'a str,
    /// The rest.
    pub(super) key: &'a str,
    text: &'a str,
}

impl<'a> Reference<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let inside = text.strip_prefix("${")?.strip_suffix('}')?;
        let (provider, rest) = inside.split_once(':')?;
        let (path, key) = rest.split_once(':').unwrap_or(("", rest));
        Some(Self {
            provider,
            path,
            key,
            text,
        })
    }

    /// As it stands in the text.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Whether it looks like one that is meant for a provider; templates of connectors have colons, too.
    pub(super) fn names_a_provider(&self) -> bool {
        let name = self.provider;
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Literal(&'a str),
    Reference(Reference<'a>),
}

/// A text, taken apart.
#[derive(Debug)]
pub(super) struct Text<'a>(Vec<Piece<'a>>);

impl<'a> Text<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut from = 0;
        while let Some(start) = rest[from..].find("${").map(|start| from + start) {
            let end = rest[start..].find('}').map(|end| start + end + 1);
            match end.and_then(|end| Some((end, Reference::parse(&rest[start..end])?))) {
                Some((end, reference)) => {
                    pieces.push(Piece::Literal(&rest[..start]));
                    pieces.push(Piece::Reference(reference));
                    rest = &rest[end..];
                    from = 0;
                }
                None => from = start + 2,
            }
        }
        pieces.push(Piece::Literal(rest));
        Self(pieces)
    }

    pub(super) fn references(&self) -> impl Iterator<Item = &Reference<'a>> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Reference(reference) => Some(reference),
            Piece::Literal(_) => None,
        })
    }

    pub(super) fn has_references(&self) -> bool {
        self.references().next().is_some()
    }

    /// The text with what each reference stands for; `None` leaves it as it is.
    pub(super) fn replace(
        &self,
        mut value: impl FnMut(&Reference<'a>) -> Result<Option<String>, String>,
    ) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Reference(reference) => match value(reference)? {
                    Some(value) => text.push_str(&value),
                    None => text.push_str(reference.text),
                },
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_cut_at_their_colons() {
        for (text, expected) in [
            ("${file:/a/b:c}", &[("file", "/a/b", "c")][..]),
            ("x${env:HOME}y${env:A}", &[("env", "", "HOME"), ("env", "", "A")]),
            ("${a:b:c:d}", &[("a", "b", "c:d")]),
            ("${topic}-${timestamp}", &[]),
            ("${topic ${a:b}", &[("topic ${a", "", "b")]),
            ("${a:b", &[]),
            ("$a:b}${", &[]),
            ("${:}", &[("", "", "")]),
        ] {
            let parsed = Text::parse(text);
            let found: Vec<_> = parsed
                .references()
                .map(|reference| (reference.provider, reference.path, reference.key))
                .collect();
            assert_eq!(found, expected, "{text}");
            assert_eq!(parsed.replace(|_| Ok(None)), Ok(text.to_owned()));
        }
        let replaced = Text::parse("a${env:B}c").replace(|_| Ok(Some("${env:B}".to_owned())));
        assert_eq!(
            replaced,
            Ok("a${env:B}c".to_owned()),
            "what was put in is not looked at again"
        );
    }
}
