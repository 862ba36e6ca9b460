//! URLs of configurations: which ones are taken, and what of them errors may show.

use reqwest::Url;

use crate::template::{Escape, Template};

/// Reads a URL that a configuration names.
///
/// # Errors
/// Why it is not taken. The reason never shows the URL, as it may hold a password.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "only http and https URLs can be used, not {}:",
            url.scheme()
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the URL names no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "the URL holds a user or password; they belong into the keys for authorization, where they stay hidden"
                .to_owned(),
        );
    }
    Ok(url)
}

/// A URL with variables in its path or query. Their values are percent-encoded, and can change neither the host nor where they are
/// in the path.
#[derive(Debug, Clone)]
pub(crate) struct UrlTemplate<V>(Template<V>);

impl<V> UrlTemplate<V> {
    /// Reads a URL that a configuration names.
    ///
    /// # Errors
    /// Why it is not taken. The reason never shows the URL.
    pub(crate) fn parse(text: &str, variable: impl Fn(&str) -> Result<V, String>) -> Result<Self, String> {
        let template = Self(Template::parse(text, variable)?);
        let with = |value: &str| template.render(|_| Ok(value.to_owned()));
        let (one, other) = (with("0")?, with("x")?);
        if one.origin() != other.origin() {
            return Err("variables may be in the path and the query only".to_owned());
        }
        Ok(template)
    }

    /// The variables.
    pub(crate) fn template(&self) -> &Template<V> {
        &self.0
    }

    /// The URL with its variables replaced.
    ///
    /// # Errors
    /// `value`'s, or that a value is `.` or `..` and would lead elsewhere.
    pub(crate) fn render(&self, value: impl FnMut(&V) -> Result<String, String>) -> Result<Url, String> {
        let text = self.0.render(Escape::Percent, value)?;
        if !self.0.is_fixed() && has_dot_segment(&text) {
            return Err("a value of . or .. cannot be put into a URL: it would change the path".to_owned());
        }
        parse(&text)
    }
}

fn has_dot_segment(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(plain.as_str(), "." | "..")
    })
}

/// A URL without its query, in which keys to an API often are.
pub(crate) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_change_neither_host_nor_path() {
        let parse = |text: &str| UrlTemplate::parse(text, |_| Ok(()));
        let template = parse("https://a:1/x/${v}/y?q=${v}#${v}").expect("a template");
        for (value, path) in [
            ("b", "/x/b/y"),
            ("../../admin?", "/x/..%2F..%2Fadmin%3F/y"),
            ("@evil.example:80/", "/x/%40evil.example%3A80%2F/y"),
            ("\\\\evil", "/x/%5C%5Cevil/y"),
            ("%2e%2e", "/x/%252e%252e/y"),
            ("", "/x//y"),
            ("a\r\nHost: b", "/x/a%0D%0AHost%3A%20b/y"),
        ] {
            let url = template.render(|()| Ok(value.to_owned())).expect(value);
            assert_eq!(
                (url.path(), url.host_str(), url.port()),
                (path, Some("a"), Some(1))
            );
        }
        for text in [
            "http://a/${v}",
            "http://a/x/${v}/y",
            "http://a/x/.${v}",
            "http://a/x/%2E${v}?z",
        ] {
            let template = parse(text).expect(text);
            let dots = [".", ".."].map(|value| template.render(|()| Ok(value.to_owned())));
            assert!(dots.iter().any(Result::is_err), "{text}");
        }
        for bad in [
            "http://${v}.a/",
            "http://a${v}/",
            "${v}://a/",
            "http://a:${v}/",
            "${v}",
        ] {
            parse(bad).expect_err(bad);
        }
    }

    #[test]
    fn only_http_without_credentials() {
        for good in ["http://a", "https://[::1]:8080/x?y=z"] {
            parse(good).expect(good);
        }
        for bad in [
            "file:///etc/passwd",
            "ftp://a/b",
            "/relative",
            "http://",
            "http://user@a/",
            "http://:secret@a/",
        ] {
            let reason = parse(bad).expect_err(bad);
            assert!(!reason.contains("secret"), "{reason}");
        }
        let url = parse("https://a:8443/x/y?api_key=secret#z").expect("a URL");
        assert_eq!(shown(&url), "https://a:8443/x/y");
    }
}
