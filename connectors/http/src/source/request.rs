//! Requests with the offset, the cursor or the window in their URL, parameters, headers and body.

use bytes::Bytes;
use forebay_connect_api::config::Password;
use reqwest::{Method, Url};

use crate::{
    client::Request,
    headers::Templates,
    template::{Escape, Template, percent_encoded},
    url::{self, UrlTemplate},
};

/// What a template may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variable {
    Offset,
    Cursor,
    WindowStart,
    WindowEnd,
}

impl Variable {
    /// # Errors
    /// If there is none of that name.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "offset" => Ok(Self::Offset),
            "cursor" => Ok(Self::Cursor),
            "window.start" => Ok(Self::WindowStart),
            "window.end" => Ok(Self::WindowEnd),
            "entityName" => Err(
                "${entityName} is not known: one connector has one entity; write its name here, and make another connector for each other"
                    .to_owned(),
            ),
            name => Err(format!(
                "${{{name}}} is not known; there are ${{offset}}, ${{cursor}}, ${{window.start}} and ${{window.end}}, without \
                 functions"
            )),
        }
    }
}

/// What becomes of the variables, and where to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) offset: String,
    pub(super) cursor: String,
    pub(super) window: (String, String),
    /// What an answer named as the next page, instead of the template's URL.
    pub(super) url: Option<Url>,
}

impl Ask {
    fn value(&self, variable: Variable) -> String {
        let value = match variable {
            Variable::Offset => &self.offset,
            Variable::Cursor => &self.cursor,
            Variable::WindowStart => &self.window.0,
            Variable::WindowEnd => &self.window.1,
        };
        value.clone()
    }
}

/// What requests are made from. Has no `Debug`, as it holds secrets.
#[derive(Clone)]
pub(super) struct RequestTemplate {
    pub(super) method: Method,
    pub(super) url: UrlTemplate<Variable>,
    pub(super) params: Template<Variable>,
    pub(super) body: Option<(Template<Variable>, Escape)>,
    pub(super) headers: Templates<Variable>,
    /// The parameter for a cursor, if that is not put into a template.
    pub(super) cursor_parameter: Option<String>,
    /// A parameter that authenticates.
    pub(super) secret_parameter: Option<(String, Password)>,
}

impl RequestTemplate {
    /// Whether it is anywhere.
    pub(super) fn has(&self, wanted: Variable) -> bool {
        let templates = [
            Some(self.url.template()),
            Some(&self.params),
            self.body.as_ref().map(|(body, _)| body),
        ];
        let variables = templates.into_iter().flatten().flat_map(Template::variables);
        variables
            .chain(self.headers.variables())
            .any(|variable| *variable == wanted)
    }

    /// The URL without what an answer or a secret adds.
    ///
    /// # Errors
    /// If values cannot be put into it.
    pub(super) fn url(&self, ask: &Ask) -> Result<Url, String> {
        let value = |variable: &Variable| Ok(ask.value(*variable));
        let mut url = self.url.render(value)?;
        let params = self.params.render(Escape::Percent, value)?;
        add_query(&mut url, &params);
        Ok(url)
    }

    /// The request.
    ///
    /// # Errors
    /// If values cannot be put into it.
    pub(super) fn request(&self, ask: &Ask) -> Result<Request, String> {
        let value = |variable: &Variable| Ok::<_, String>(ask.value(*variable));
        let mut url = match &ask.url {
            Some(next) => next.clone(),
            None => {
                let mut url = self.url(ask)?;
                if let Some(name) = self.cursor_parameter.as_ref().filter(|_| !ask.cursor.is_empty()) {
                    add_query(&mut url, &parameter(name, &ask.cursor));
                }
                url
            }
        };
        self.add_secret(&mut url);
        let body = match &self.body {
            Some((body, escape)) => Some(Bytes::from(body.render(*escape, value)?)),
            None => None,
        };
        Ok(Request {
            method: self.method.clone(),
            url,
            headers: self.headers.render(value)?,
            body,
        })
    }

    /// Adds the parameter that authenticates.
    pub(super) fn add_secret(&self, url: &mut Url) {
        if let Some((name, secret)) = &self.secret_parameter {
            add_query(url, &parameter(name, secret.value()));
        }
    }

    /// The URL of a page that an answer named: absolute, or relative to where the answer came from.
    ///
    /// # Errors
    /// If it is none, or leads to another server, which must not learn what authenticates us.
    pub(super) fn next_page(&self, from: &Url, next: &str) -> Result<Url, String> {
        let to = from
            .join(next)
            .map_err(|error| format!("its next page is no URL: {error}"))?;
        let to =
            url::parse(to.as_str()).map_err(|reason| format!("its next page cannot be used: {reason}"))?;
        let to = self.without_secret(to);
        let own = self.url(&Ask::default())?;
        if to.origin() != own.origin() {
            return Err(format!(
                "its next page is on another server, {}; requests with credentials go to {} only",
                to.origin().ascii_serialization(),
                own.origin().ascii_serialization()
            ));
        }
        Ok(to)
    }
}

impl RequestTemplate {
    /// A server that puts its key into the links that it gives: it must not get into a source offset.
    fn without_secret(&self, mut url: Url) -> Url {
        let Some((name, _)) = &self.secret_parameter else {
            return url;
        };
        if url.query_pairs().any(|(known, _)| known == *name) {
            let kept: Vec<String> = url
                .query_pairs()
                .filter(|(known, _)| known != name)
                .map(|(name, value)| parameter(&name, &value))
                .collect();
            url.set_query((!kept.is_empty()).then(|| kept.join("&")).as_deref());
        }
        url
    }
}

fn parameter(name: &str, value: &str) -> String {
    format!("{}={}", percent_encoded(name), percent_encoded(value))
}

fn add_query(url: &mut Url, more: &str) {
    if more.is_empty() {
        return;
    }
    let query = match url.query() {
        Some(query) if !query.is_empty() => format!("{query}&{more}"),
        _ => more.to_owned(),
    };
    url.set_query(Some(&query));
}
