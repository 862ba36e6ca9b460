//! One question and everything that is done with its answer, up to the records that are new.

use std::sync::Arc;

use bytes::Bytes;
use forebay_connect_api::Error;
use reqwest::{StatusCode, Url};

use super::{
    config::{Config, Mode},
    feed::{self, Item, Page, Rules},
    link, pages,
    place::{Place, Whole},
    position::Position,
};
use crate::{
    client::{Answer, Client, Request},
    url::shown,
};

/// What came of a question.
pub(super) struct Asked {
    /// Each record that is new, and the place behind it.
    pub(super) new: Vec<(Item, Place)>,
    /// The place behind all of them.
    pub(super) place: Place,
    pub(super) more: More,
    pub(super) known: Option<Known>,
}

/// Whether there is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    /// The answer says so.
    Known,
    /// It can only be asked.
    Unknown,
}

/// An answer that need not come again.
#[derive(Debug, Clone)]
pub(super) struct Known {
    url: Url,
    body: Option<Bytes>,
    is: Whole,
}

impl Known {
    fn is_of(&self, request: &Request) -> bool {
        self.url == request.url && self.body == request.body
    }
}

/// Asks for what follows a place.
pub(super) async fn ask(
    config: Arc<Config>,
    client: Arc<Client>,
    place: Place,
    known: Option<Known>,
) -> Result<Asked, Error> {
    let asked = place.ask(&config).map_err(Error::fatal)?;
    let mut request = config.request.request(&asked).map_err(Error::fatal)?;
    let known = known.filter(|known| known.is_of(&request));
    if config.conditional {
        let is = match (&place, &known) {
            (Place::Whole(whole), _) => Some(whole),
            (_, known) => known.as_ref().map(|known| &known.is),
        };
        request
            .headers
            .extend(is.map(Whole::conditions).unwrap_or_default());
    }
    let nothing = |place, known| Asked {
        new: Vec::new(),
        place,
        more: More::Unknown,
        known,
    };
    let answer = match client.send(&request).await {
        Ok(answer) => answer,
        Err(failure) if failure.error.status() == Some(StatusCode::NOT_MODIFIED) => {
            return Ok(nothing(place, known));
        }
        // The retries were the client's.
        Err(failure) => return Err(failure.into_connect().into_fatal()),
    };
    let known = Known {
        url: request.url.clone(),
        body: request.body.clone(),
        is: Whole::of(&answer.headers),
    };
    let first = read(&config, &request, answer).await?;
    match (&config.mode, place) {
        (Mode::Whole, Place::Whole(before)) => {
            let new = before.new_of(first.items, &known.is);
            let mut asked = nothing(Place::Whole(known.is.clone()), Some(known));
            asked.new = new;
            Ok(asked)
        }
        (Mode::Items { rules, .. }, Place::Items(position)) => {
            let mut asked = items(&config, &client, &request, first, (position, *rules)).await?;
            asked.known = (!config.gathers()).then_some(known);
            Ok(asked)
        }
        (Mode::Pages { step }, Place::Pages(place)) => {
            let next = next_page(&config, &request, &first)?;
            let read = pages::read(first.items, next, &place, *step);
            let new = read
                .new
                .into_iter()
                .map(|(item, place)| (item, Place::Pages(place)));
            Ok(Asked {
                new: new.collect(),
                place: Place::Pages(read.after),
                more: if read.more { More::Known } else { More::Unknown },
                known: Some(known),
            })
        }
        _ => Err(Error::fatal("the task is at a place of another mode")),
    }
}

/// What is new by the items' own offsets.
async fn items(
    config: &Arc<Config>,
    client: &Client,
    request: &Request,
    first: Answered,
    (position, rules): (Position, Rules),
) -> Result<Asked, Error> {
    let gathered = match &config.mode {
        Mode::Items {
            gathered_bytes_max: Some(bytes_max),
            ..
        } => {
            let gathering = Gathering {
                config,
                client,
                position: &position,
                bytes_max: *bytes_max,
            };
            gathering.rest(request, first).await?
        }
        _ => first.items,
    };
    let new = blocking(move || feed::unseen(gathered, &position, rules).map(|new| (new, position))).await?;
    let (new, position) = new.map_err(|error| unusable(request, &error))?;
    let behind = |(item, behind): (Item, Option<Position>)| {
        (item, Place::Items(behind.unwrap_or_else(|| position.clone())))
    };
    let new: Vec<(Item, Place)> = new.into_iter().map(behind).collect();
    let place = new
        .last()
        .map_or_else(|| Place::Items(position.clone()), |(_, place)| place.clone());
    Ok(Asked {
        new,
        place,
        more: More::Unknown,
        known: None,
    })
}

/// A page, and where it came from.
struct Answered {
    url: Url,
    link: Option<String>,
    next: Option<String>,
    items: Vec<Item>,
    bytes: usize,
}

async fn read(config: &Arc<Config>, request: &Request, answer: Answer) -> Result<Answered, Error> {
    let link = config.link.then(|| link::next(&answer.headers)).flatten();
    let (bytes, url, body) = (answer.body.len(), answer.url, answer.body);
    let config = Arc::clone(config);
    let page = blocking(move || feed::read(&body, &config.shape)).await?;
    let Page { items, next } = page.map_err(|error| unusable(request, &error))?;
    Ok(Answered {
        url,
        link,
        next,
        items,
        bytes,
    })
}

/// Parsing megabytes takes too long for a thread that others wait for.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::fatal("the thread that reads the answer ended").with_source(error))
}

fn unusable(request: &Request, error: &Error) -> Error {
    let target = format!("{} {}", request.method, shown(&request.url));
    Error::fatal(format!(
        "the answer to {target} cannot be used: {}",
        error.trace()
    ))
}

fn next_page(config: &Config, request: &Request, answered: &Answered) -> Result<Option<Arc<str>>, Error> {
    let next = answered.next.clone().or_else(|| answered.link.clone());
    let next = next.map(|next| config.next_page(&answered.url, next)).transpose();
    next.map_err(|reason| unusable(request, &Error::fatal(reason)))
}

/// All pages of a snapshot.
struct Gathering<'a> {
    config: &'a Arc<Config>,
    client: &'a Client,
    position: &'a Position,
    bytes_max: usize,
}

impl Gathering<'_> {
    /// The items of the first page and of those behind it, down to what is known.
    async fn rest(&self, request: &Request, first: Answered) -> Result<Vec<Item>, Error> {
        let Mode::Items { rules, .. } = &self.config.mode else {
            return Ok(first.items);
        };
        let (mut page, mut request, mut items, mut bytes) = (first, request.clone(), Vec::new(), 0);
        loop {
            bytes += page.bytes;
            if bytes > self.bytes_max {
                let message = format!(
                    "its pages are longer than http.snapshot.bytes.max={} together",
                    self.bytes_max
                );
                return Err(unusable(&request, &Error::fatal(message)));
            }
            let next = next_page(self.config, &request, &page)?;
            let ends = feed::reaches(&page.items, self.position, *rules);
            feed::gather(&mut items, page.items);
            let Some(next) = next.filter(|next| !ends && **next != *request.url.as_str()) else {
                return Ok(items);
            };
            let next = self.config.request.next_page(&page.url, &next);
            request.url = next.map_err(|reason| unusable(&request, &Error::fatal(reason)))?;
            self.config.request.add_secret(&mut request.url);
            let answer = self.client.send(&request).await;
            let answer = answer.map_err(|failure| failure.into_connect().into_fatal())?;
            page = read(self.config, &request, answer).await?;
        }
    }
}
