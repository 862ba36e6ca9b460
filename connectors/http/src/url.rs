//! URLs of configurations: which ones are taken, and what of them errors may show.

use reqwest::Url;

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

/// A URL without its query, in which keys to an API often are.
pub(crate) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

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
