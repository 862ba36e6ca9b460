//! Java's regular expressions, as far as the `regex` crate has them: no look-around, no references to groups, no possessive
//! quantifiers. What it lacks is refused, never taken for something else.

use regex::Regex;

/// Reads a pattern, and gives it twice: to be found anywhere, and to match all of a text.
pub(crate) fn compile(pattern: &str) -> Result<(Regex, Regex), String> {
    let pattern = translate(pattern)?;
    let anywhere = Regex::new(&pattern).map_err(|error| error.to_string())?;
    let whole = Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(|error| error.to_string())?;
    Ok((anywhere, whole))
}

/// Writes `\Q…\E` in the crate's own way.
fn translate(pattern: &str) -> Result<String, String> {
    let mut translated = String::new();
    let mut rest = pattern.chars().peekable();
    let mut in_class = 0_u32;
    let mut after_quantifier = false;
    while let Some(c) = rest.next() {
        let was_quantifier = std::mem::take(&mut after_quantifier);
        match c {
            '\\' => match rest.next() {
                Some('Q') => {
                    let quoted = quoted(&mut rest);
                    translated.push_str(&regex::escape(&quoted));
                }
                Some(escaped) => {
                    translated.push('\\');
                    translated.push(escaped);
                }
                None => translated.push('\\'),
            },
            '[' => {
                in_class += 1;
                translated.push(c);
            }
            ']' => {
                in_class = in_class.saturating_sub(1);
                translated.push(c);
            }
            '+' if was_quantifier && in_class == 0 => {
                return Err("possessive quantifiers are not supported".to_owned());
            }
            '*' | '+' | '?' | '}' if in_class == 0 => {
                // A second one is a lazy `?`; a third would be an error anyway.
                after_quantifier = !was_quantifier;
                translated.push(c);
            }
            c => translated.push(c),
        }
    }
    Ok(translated)
}

fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        if c == '\\' && rest.next_if_eq(&'E').is_some() {
            break;
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_java_has_and_this_has_not_is_refused() {
        for pattern in ["a++", "a*+", "(?=a)", r"(a)\1", "(", "a{2}+"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
        for (pattern, text, is_match) in [
            (r"\Qa.b\E.", "a.bc", true),
            (r"\Qa.b\E.", "axbc", false),
            (r"[a+]+", "a+", true),
            ("a+?b", "aab", true),
            ("a|ab", "ab", true),
            (r"\Q(", "(", true),
        ] {
            let (_, whole) = compile(pattern).expect(pattern);
            assert_eq!(whole.is_match(text), is_match, "{pattern} {text}");
        }
    }
}
