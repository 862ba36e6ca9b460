//! Which files are meant: globs over the path below the root, a regular expression over the name.

use regex::Regex;

/// Names and paths that are taken, and those that are left out although they are.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// The whole name must match.
    pattern: Option<Regex>,
    include: Vec<Glob>,
    exclude: Vec<Glob>,
}

/// `*` and `?` stay within a name, `**` does not; `[a-z]`, `[!a-z]`, `{one,other}` and `\` as in a shell. Without a slash it is about
/// the name, at any depth; with one, about the path below the root.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    regex: Regex,
    of_path: bool,
}

/// The size of a compiled expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 1024 * 1024;

impl Names {
    pub(super) fn new(pattern: Option<Regex>, include: Vec<Glob>, exclude: Vec<Glob>) -> Self {
        Self {
            pattern,
            include,
            exclude,
        }
    }

    /// Whether the file at this path below the root is taken.
    pub(super) fn take(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(name))
            && (self.include.is_empty() || self.include.iter().any(|glob| glob.matches(path, name)))
            && !self.exclude.iter().any(|glob| glob.matches(path, name))
    }
}

/// A regular expression over a whole text.
///
/// # Errors
/// What is wrong with it.
pub(super) fn whole(expression: &str) -> Result<Regex, String> {
    part(&format!("^(?s:{expression})$"))
}

/// A regular expression over a part of a text.
///
/// # Errors
/// What is wrong with it.
pub(super) fn part(expression: &str) -> Result<Regex, String> {
    let built = regex::RegexBuilder::new(expression)
        .size_limit(EXPRESSION_BYTES_MAX)
        .build();
    built.map_err(|error| error.to_string())
}

impl Glob {
    /// Reads a glob.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(glob: &str) -> Result<Self, String> {
        let mut expression = String::new();
        let mut letters = glob.chars().peekable();
        let mut braces = 0_u32;
        while let Some(letter) = letters.next() {
            match letter {
                '*' if letters.next_if_eq(&'*').is_some() => {
                    let whole_levels = letters.next_if_eq(&'/').is_some();
                    expression.push_str(if whole_levels { "(?:.*/)?" } else { ".*" });
                }
                '*' => expression.push_str("[^/]*"),
                '?' => expression.push_str("[^/]"),
                '[' => {
                    expression.push('[');
                    if letters.next_if(|next| matches!(next, '!' | '^')).is_some() {
                        expression.push('^');
                    }
                    let inside: String =
                        std::iter::from_fn(|| letters.next_if(|next| *next != ']')).collect();
                    if letters.next().is_none() || inside.is_empty() {
                        return Err(format!("{glob}: [ without letters and ]"));
                    }
                    expression.push_str(
                        &inside
                            .replace('\\', r"\\")
                            .replace('[', r"\[")
                            .replace('&', r"\&")
                            .replace('~', r"\~"),
                    );
                    expression.push(']');
                }
                '{' => {
                    braces += 1;
                    expression.push_str("(?:");
                }
                '}' if braces > 0 => {
                    braces -= 1;
                    expression.push(')');
                }
                ',' if braces > 0 => expression.push('|'),
                '\\' => {
                    let next = letters
                        .next()
                        .ok_or_else(|| format!("{glob}: nothing follows \\"))?;
                    expression.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
                }
                other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
            }
        }
        if braces > 0 {
            return Err(format!("{glob}: {{ without }}"));
        }
        Ok(Self {
            regex: whole(&expression).map_err(|why| format!("{glob}: {why}"))?,
            of_path: glob.contains('/'),
        })
    }

    fn matches(&self, path: &str, name: &str) -> bool {
        self.regex.is_match(if self.of_path { path } else { name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_are_a_shells() {
        for (glob, path, expected) in [
            ("*.log", "app.log", true),
            ("*.log", "a/b/app.log", true),
            ("*.log", "app.log.1", false),
            ("a/*.log", "a/app.log", true),
            ("a/*.log", "a/b/app.log", false),
            ("a/**/*.log", "a/app.log", true),
            ("a/**/*.log", "a/b/c/app.log", true),
            ("**", "a/b", true),
            ("app.log*", "app.log.1", true),
            ("app?log", "app.log", true),
            ("*.{csv,json}", "x.json", true),
            ("*.{csv,json}", "x.jsonl", false),
            ("part-[0-9].csv", "part-7.csv", true),
            ("part-[!0-9].csv", "part-7.csv", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("a+(b)", "a+(b)", true),
        ] {
            let names = Names::new(None, vec![Glob::new(glob).expect(glob)], Vec::new());
            assert_eq!(names.take(path), expected, "{glob} {path}");
        }
        for bad in ["[", "[]", "{a", "a\\", "[z-a]"] {
            assert!(Glob::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_excluded_is_left_out_and_a_pattern_is_about_the_whole_name() {
        let glob = |glob| Glob::new(glob).expect("good");
        let names = Names::new(
            Some(whole("[a-z]+\\.csv").expect("good")),
            Vec::new(),
            vec![glob("tmp/**")],
        );
        for (path, expected) in [
            ("a.csv", true),
            ("x/a.csv", true),
            ("a.csv.tmp", false),
            ("tmp/a.csv", false),
        ] {
            assert_eq!(names.take(path), expected, "{path}");
        }
    }
}
