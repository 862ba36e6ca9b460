//! `Link` headers (RFC 8288), as far as `rel=next` goes.

use reqwest::header::{self, HeaderMap};

/// The target of the first link to the next page.
pub(super) fn next(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::LINK).iter();
    values.filter_map(|value| value.to_str().ok()).find_map(next_in)
}

fn next_in(text: &str) -> Option<String> {
    let mut rest = text.trim_start();
    loop {
        let (target, parameters) = rest.strip_prefix('<')?.split_once('>')?;
        let (relations, behind) = relations(parameters);
        if relations.is_some_and(|relations| {
            relations
                .split_ascii_whitespace()
                .any(|relation| relation.eq_ignore_ascii_case("next"))
        }) {
            return Some(target.trim().to_owned());
        }
        rest = behind?.trim_start_matches([',', ' ', '\t']);
    }
}

/// The relations of a link, which are the first parameter `rel`, and what is behind its comma.
fn relations(parameters: &str) -> (Option<String>, Option<&str>) {
    let mut relations = None;
    let mut rest = parameters.trim_start();
    while let Some(behind) = rest.strip_prefix(';') {
        let end = behind.find(['=', ';', ',']).unwrap_or(behind.len());
        let name = behind[..end].trim();
        rest = &behind[end..];
        let Some(value) = rest.strip_prefix('=') else {
            continue;
        };
        let (value, after) = value_of(value.trim_start());
        rest = after.trim_start();
        if name.eq_ignore_ascii_case("rel") && relations.is_none() {
            relations = Some(value);
        }
    }
    (relations, rest.strip_prefix(','))
}

/// A token or a quoted string, and what is behind it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[index + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_every_spelling() {
        let cases = [
            (&["<http://a/2>; rel=\"next\""][..], Some("http://a/2")),
            (
                &["<http://a/1>; rel=prev, <http://a/3>;rel=next"],
                Some("http://a/3"),
            ),
            (
                &["</x?a=1,2;b>; title=\"a,b;\\\"rel=next\\\"\"; REL = \"last Next\""],
                Some("/x?a=1,2;b"),
            ),
            (&["<a>; rel=first", "<b>; rel=next"], Some("b")),
            (&["<a>; rel=prev; rel=next"], None),
            (&["<a>; rel=nextish, <b>"], None),
            (
                &["<a>; rel", "a; rel=next", "<a; rel=next", "<a>; rel=\"next"],
                Some("a"),
            ),
            (&["", "<", ","], None),
            (&[], None),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::LINK, value.parse().expect(value));
            }
            assert_eq!(next(&headers).as_deref(), expected, "{values:?}");
        }
    }
}
