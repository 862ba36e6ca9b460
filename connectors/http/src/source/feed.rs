//! From the body of an answer to the items that are new in it. Pure: knows no request and no time.

use std::collections::HashMap;

use forebay_connect_api::{Error, OffsetValue, Timestamp, Value, config::Setting};
use serde_json::Value as Json;

use super::position::{Comparison, Done, Position};
use crate::{json::from_json, moment, pointer::Pointer};

/// Where things are in an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    /// The list, or the one item, in the answer.
    pub(super) list: Pointer,
    /// The value in an item.
    pub(super) record: Pointer,
    /// The offset in an item.
    pub(super) offset: Option<Pointer>,
    /// The key in an item.
    pub(super) key: Option<Pointer>,
    /// The timestamp in an item.
    pub(super) timestamp: Option<Pointer>,
    /// The cursor or URL of the next page, in the answer.
    pub(super) next: Option<Pointer>,
    /// What an answer is.
    pub(super) format: Format,
}

/// What an answer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Setting)]
#[config(ignore_case)]
pub(super) enum Format {
    /// One JSON document.
    #[default]
    Json,
    /// A JSON document per line.
    Ndjson,
    /// A stream of server-sent events that does not end.
    Sse,
}

/// What decides which items are new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Their offsets.
    Value,
    /// Where they are in the answer.
    Response,
}

/// How an answer is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// The first and last offset tell; by order of the answer: ascending.
    Implicit,
    Ascending,
    Descending,
}

/// How to tell what is new.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) order: Order,
    pub(super) direction: Direction,
    /// Whether requests depend on the offset.
    pub(super) offset_in_request: bool,
}

/// One item of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) offset: Option<OffsetValue>,
    pub(super) key: Value,
    pub(super) value: Value,
    pub(super) timestamp: Option<Timestamp>,
}

/// What an answer has.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// In its order.
    pub(super) items: Vec<Item>,
    /// The cursor or URL of the next page.
    pub(super) next: Option<String>,
}

/// Reads an answer. An empty body has no items.
///
/// # Errors
/// If it is not JSON, or not of that shape.
pub(super) fn read(body: &[u8], shape: &Shape) -> Result<Page, Error> {
    if body.trim_ascii().is_empty() {
        return Ok(Page::default());
    }
    if shape.format == Format::Ndjson {
        let items = read_lines(body, shape)?;
        return Ok(Page { items, next: None });
    }
    let mut document: Json = serde_json::from_slice(body)
        .map_err(|error| Error::fatal("the answer is not JSON").with_source(error))?;
    let next = match shape.next.as_ref().map(|pointer| pointer.find(&document)) {
        Some(Some(Json::String(next))) if !next.is_empty() => Some(next.clone()),
        Some(Some(Json::Number(next))) => Some(next.to_string()),
        Some(Some(Json::Array(_) | Json::Object(_))) => {
            let pointer = shape.next.as_ref().expect("it found something");
            return Err(misshapen(
                pointer,
                "is no cursor or URL (a string or a number) in the answer",
            ));
        }
        _ => None,
    };
    let items = match shape.list.take(&mut document) {
        Some(Json::Array(items)) => items,
        Some(item @ Json::Object(_)) => vec![item],
        Some(Json::Null) => Vec::new(),
        Some(_) => {
            return Err(misshapen(
                &shape.list,
                "is neither an array nor an object in the answer",
            ));
        }
        None => return Err(misshapen(&shape.list, "is not in the answer")),
    };
    drop(document);
    let items = items.into_iter().enumerate().map(|(index, item)| {
        read_item(item, shape).map_err(|(pointer, why)| misshapen(pointer, &format!("{why} in item {index}")))
    });
    let items = items.collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

fn read_lines(body: &[u8], shape: &Shape) -> Result<Vec<Item>, Error> {
    let lines = body.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .map(|(index, line)| {
            let number = index + 1;
            let item = serde_json::from_slice(line).map_err(|error| {
                Error::fatal(format!("line {number} of the answer is not JSON")).with_source(error)
            })?;
            read_item(item, shape)
                .map_err(|(pointer, why)| misshapen(pointer, &format!("{why} in line {number}")))
        })
        .collect()
}

/// The item of a server-sent event; data that is no JSON is a string.
///
/// # Errors
/// If it is not of that shape.
pub(super) fn read_event(data: &str, shape: &Shape) -> Result<Item, Error> {
    let item = serde_json::from_str(data).unwrap_or_else(|_| Json::from(data));
    read_item(item, shape).map_err(|(pointer, why)| misshapen(pointer, &format!("{why} in the event")))
}

/// Whether the pages that follow a page, each older than the one before, have only what is done.
pub(super) fn reaches(page: &[Item], position: &Position, rules: Rules) -> bool {
    let Some(done) = &position.done else { return false };
    let offsets = || page.iter().filter_map(|item| item.offset.as_ref());
    let (Some(first), Some(last)) = (offsets().next(), offsets().last()) else {
        return false;
    };
    if rules.order == Order::Response {
        return offsets().any(|offset| *offset == done.offset);
    }
    let Ok(comparison) = Comparison::of(offsets().chain([&done.offset])) else {
        return false; // Which `unseen` says.
    };
    let descends = match rules.direction {
        Direction::Implicit => comparison.compare(first, last).is_gt(),
        direction => direction == Direction::Descending,
    };
    // Of those that are equal, some may be on the next page.
    descends && comparison.compare(last, &done.offset).is_lt()
}

/// Adds the next page of a snapshot. What came in at the front meanwhile has moved items from one page to the next: these are
/// there already.
pub(super) fn gather(items: &mut Vec<Item>, page: Vec<Item>) {
    let mut known = HashMap::<String, Vec<usize>>::new();
    for (index, item) in items.iter().enumerate() {
        known.entry(format!("{:?}", item.offset)).or_default().push(index);
    }
    for item in page {
        let same = known.get(&format!("{:?}", item.offset));
        if !same.is_some_and(|same| same.iter().any(|index| items[*index] == item)) {
            items.push(item);
        }
    }
}

fn misshapen(pointer: &Pointer, why: &str) -> Error {
    Error::fatal(format!("{} {why}", pointer.as_str()))
}

fn read_item(mut item: Json, shape: &Shape) -> Result<Item, (&Pointer, &'static str)> {
    let offset = shape.offset.as_ref().map(|pointer| {
        let found = pointer.find(&item).and_then(offset);
        found.ok_or((
            pointer,
            "is no offset (an integer of 64 bits, a fraction or a string)",
        ))
    });
    let key = shape
        .key
        .as_ref()
        .and_then(|pointer| pointer.find(&item))
        .cloned();
    let timestamp = shape.timestamp.as_ref().map(|pointer| match pointer.find(&item) {
        None | Some(Json::Null) => Ok(None),
        Some(found) => timestamp(found).map(Some).ok_or((
            pointer,
            "is no timestamp (milliseconds since 1970 or RFC 3339 with a time zone)",
        )),
    });
    let (offset, timestamp) = (offset.transpose()?, timestamp.transpose()?.flatten());
    let value = shape.record.take(&mut item).ok_or((&shape.record, "is not"))?;
    Ok(Item {
        offset,
        key: key.map_or(Value::Null, from_json),
        value: from_json(value),
        timestamp,
    })
}

fn offset(found: &Json) -> Option<OffsetValue> {
    match found {
        Json::String(text) => Some(text.as_str().into()),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Some(number.into()),
            None if !number.to_string().contains(['.', 'e', 'E']) => None,
            None => number.as_f64().and_then(fraction),
        },
        _ => None,
    }
}

/// One number is one offset, so a fraction that is none becomes an integer.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // In range, and a power of two.
fn fraction(number: f64) -> Option<OffsetValue> {
    let beyond = i64::MAX as f64;
    if number.trunc() == number && (-beyond..beyond).contains(&number) {
        return Some(OffsetValue::Int64(number as i64));
    }
    number.is_finite().then_some(OffsetValue::Float64(number))
}

fn timestamp(found: &Json) -> Option<Timestamp> {
    let milliseconds = match found {
        Json::Number(number) => number.as_i64()?,
        Json::String(text) => match text.parse() {
            Ok(milliseconds) => milliseconds,
            Err(_) => moment::rfc_3339(text)?,
        },
        _ => return None,
    };
    (milliseconds >= 0).then_some(Timestamp(milliseconds))
}

/// The items behind a position, in order, each with the position behind it. Without offsets all are new, and have none.
///
/// # Errors
/// If offsets have no order.
pub(super) fn unseen(
    mut items: Vec<Item>,
    position: &Position,
    rules: Rules,
) -> Result<Vec<(Item, Option<Position>)>, Error> {
    let done = position.done.as_ref();
    if items.iter().any(|item| item.offset.is_none()) {
        return Ok(items.into_iter().map(|item| (item, None)).collect());
    }
    let new = match rules.order {
        Order::Value => {
            let last = done.map(|done| &done.offset);
            let comparison =
                Comparison::of(items.iter().filter_map(|item| item.offset.as_ref()).chain(last))?;
            sort(&mut items, comparison, rules.direction);
            behind(&items, done, comparison)
        }
        Order::Response => {
            if rules.direction == Direction::Descending {
                items.reverse();
            }
            behind_in_place(&items, done)
        }
    };
    Ok(with_positions(items, new, position, rules))
}

fn sort(items: &mut [Item], comparison: Comparison, direction: Direction) {
    let compare = |left: &Item, right: &Item| match (&left.offset, &right.offset) {
        (Some(left), Some(right)) => comparison.compare(left, right),
        _ => std::cmp::Ordering::Equal,
    };
    let descends = match (direction, items.first(), items.last()) {
        (Direction::Implicit, Some(first), Some(last)) => compare(first, last).is_gt(),
        (direction, ..) => direction == Direction::Descending,
    };
    // Matters for items of equal offset, which the stable sort leaves as they are.
    if descends {
        items.reverse();
    }
    items.sort_by(compare);
}

/// How many items of a sorted list are done.
fn behind(items: &[Item], done: Option<&Done>, comparison: Comparison) -> usize {
    let Some(done) = done else { return 0 };
    let count = |wanted: fn(std::cmp::Ordering) -> bool| {
        items.partition_point(|item| {
            let offset = item.offset.as_ref().expect("looked at before");
            wanted(comparison.compare(offset, &done.offset))
        })
    };
    let (less, not_greater) = (count(std::cmp::Ordering::is_lt), count(std::cmp::Ordering::is_le));
    match done.seen {
        Some(seen) => not_greater.min(less.saturating_add(seen)),
        None => not_greater,
    }
}

/// How many items of a list in its own order are done.
fn behind_in_place(items: &[Item], done: Option<&Done>) -> usize {
    let Some(done) = done else { return 0 };
    let places = items.iter().enumerate();
    let equal = places.filter(|(_, item)| item.offset.as_ref() == Some(&done.offset));
    let seen = done.seen.unwrap_or(usize::MAX);
    equal.take(seen).last().map_or(0, |(index, _)| index + 1)
}

/// Cuts off the first items, and says of each other where a feed goes on behind it.
fn with_positions(
    items: Vec<Item>,
    done: usize,
    before: &Position,
    rules: Rules,
) -> Vec<(Item, Option<Position>)> {
    let mut offsets: Vec<OffsetValue> = items.iter().filter_map(|item| item.offset.clone()).collect();
    offsets.push(OffsetValue::Null); // Equal to no item's.
    let mut counts = HashMap::<String, usize>::new();
    let mut found = Vec::with_capacity(items.len() - done);
    for (index, item) in items.into_iter().enumerate() {
        let offset = &offsets[index];
        let seen = counts.entry(format!("{offset:?}")).or_default();
        *seen += 1;
        if index < done {
            continue;
        }
        // A server that is asked for what follows this offset would leave out the rest of a group.
        let within = rules.order == Order::Value && offsets[index + 1] == *offset;
        let request = match within && rules.offset_in_request {
            true => before.request.clone(),
            false => Some(offset.clone()),
        };
        let done = Some(Done {
            offset: offset.clone(),
            seen: Some(*seen),
        });
        found.push((item, Some(Position { request, done })));
    }
    found
}

#[cfg(test)]
mod tests;
