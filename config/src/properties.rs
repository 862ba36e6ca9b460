//! Java's `.properties` format, all of it (`java.util.Properties.load`): comments, continuation lines, escapes, and `=`,
//! `:` or blanks between key and value. Bytes that are valid UTF-8 are read as that, others as ISO-8859-1.

use std::{borrow::Cow, iter::Peekable, str::Chars, sync::Arc};

use crate::{
    entries::{Entries, Entry, Location, Origin},
    error::Error,
};

/// Reads settings; `file` is the name that errors show.
///
/// # Errors
/// [`Error::Syntax`] with file and line for a malformed `\uxxxx`; the format has no other mistakes.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Entries, Error> {
    let file: Arc<str> = file.into();
    let text = decode(bytes);
    let mut lines = natural_lines(&text).zip(1..);
    let mut entries = Entries::new();
    while let Some((first, line)) = lines.next() {
        if is_blank_or_comment(first) {
            continue;
        }
        let mut logical = Cow::Borrowed(trim_start(first));
        while ends_with_continuation(&logical) {
            let next = lines.next().map_or("", |(next, _)| trim_start(next));
            let logical = logical.to_mut();
            logical.pop();
            logical.push_str(next);
        }
        let location = Location {
            file: file.clone(),
            line: Some(line),
        };
        let (key, value) = split(&logical).map_err(|error| Error::At {
            location: location.clone(),
            error: Box::new(error),
        })?;
        entries.push(Entry {
            key,
            value,
            location,
            origin: Origin::Properties,
        });
    }
    Ok(entries)
}

fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

/// Lines ended by `\n`, `\r` or `\r\n`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let after = &text[end..];
        rest = after.strip_prefix("\r\n").or(after.get(1..));
        Some(&text[..end])
    })
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

fn trim_start(line: &str) -> &str {
    line.trim_start_matches(is_blank)
}

fn is_blank_or_comment(line: &str) -> bool {
    let line = trim_start(line);
    line.is_empty() || line.starts_with(['#', '!'])
}

/// An odd number of backslashes at the end: the last one is not itself escaped.
fn ends_with_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn split(line: &str) -> Result<(String, String), Error> {
    let mut chars = line.chars().peekable();
    let key = unescape(&mut chars, |c| is_blank(c) || matches!(c, '=' | ':'))?;
    while chars.next_if(|c| is_blank(*c)).is_some() {}
    if chars.next_if(|c| matches!(c, '=' | ':')).is_some() {
        while chars.next_if(|c| is_blank(*c)).is_some() {}
    }
    Ok((key, unescape(&mut chars, |_| false)?))
}

/// Reads up to an unescaped character that `ends`, which stays. Java's strings are UTF-16: two escapes may make one
/// character; half of one alone becomes U+FFFD.
fn unescape(chars: &mut Peekable<Chars<'_>>, ends: impl Fn(char) -> bool) -> Result<String, Error> {
    let mut units: Vec<u16> = Vec::new();
    let mut buffer = [0; 2];
    while let Some(c) = chars.next_if(|c| !ends(*c)) {
        let unescaped = match c {
            '\\' => match chars.next() {
                Some('u') => {
                    units.push(code_unit(chars)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        units.extend_from_slice(unescaped.encode_utf16(&mut buffer));
    }
    Ok(String::from_utf16_lossy(&units))
}

fn code_unit(chars: &mut Peekable<Chars<'_>>) -> Result<u16, Error> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = chars.next().and_then(|c| c.to_digit(16));
        let digit = digit.ok_or_else(|| Error::Syntax {
            message:
                "Malformed \\uxxxx encoding: four hexadecimal digits must follow \\u; write \\\\u for a \
                      backslash and a u"
                    .to_owned(),
        })?;
        unit = unit * 16 + digit;
    }
    Ok(u16::try_from(unit).expect("four hexadecimal digits are 16 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_java_reads() {
        type Expected = &'static [(&'static str, &'static str, u32)];
        let cases: [(&[u8], Expected); 13] = [
            (b"", &[]),
            (b"# comment\n ! other\n\n \t\x0c\n", &[]),
            (
                b"a=1\r\nb : 2\rc 3\n",
                &[("a", "1", 1), ("b", "2", 2), ("c", "3", 3)],
            ),
            (b"  a  =  1  ", &[("a", "1  ", 1)]),
            (b"key", &[("key", "", 1)]),
            (b"a==b", &[("a", "=b", 1)]),
            (b"a b=c", &[("a", "b=c", 1)]),
            (
                b"a=1,\\\n   2,\\\r\n\t3\nb=4",
                &[("a", "1,2,3", 1), ("b", "4", 4)],
            ),
            (b"a=\\\n# no comment", &[("a", "# no comment", 1)]),
            (
                b"path=c:\\\\dir\\\\\nb=1",
                &[("path", "c:\\dir\\", 1), ("b", "1", 2)],
            ),
            (
                b"a\\ b\\=c\\:=\\t\\n\\q\\u00e9\\ud83d\\ude00",
                &[("a b=c:", "\t\nq\u{e9}\u{1f600}", 1)],
            ),
            ("b=\u{e9}".as_bytes(), &[("b", "\u{e9}", 1)]),
            (b"b=\xe9", &[("b", "\u{e9}", 1)]),
        ];
        for (text, expected) in cases {
            let entries = parse("f", text).expect("well-formed");
            let found: Vec<_> = entries
                .iter()
                .map(|entry| {
                    (
                        entry.key.as_str(),
                        entry.value.as_str(),
                        entry.location.line.expect("a line"),
                    )
                })
                .collect();
            assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_malformed_escape_names_its_line() {
        for text in ["\na=\\u12", "\na=\\u12g4", "\n\\u"] {
            let error = parse("server.properties", text.as_bytes()).expect_err("malformed");
            assert!(
                error
                    .to_string()
                    .starts_with("server.properties:2: Malformed \\uxxxx encoding"),
                "{error}"
            );
        }
    }
}
