use forebay_connect_api::OffsetMap;

use super::*;

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).expect(text)
}

fn shape() -> Shape {
    Shape {
        offset: Some(pointer("/id")),
        ..Shape::default()
    }
}

const BY_VALUE: Rules = Rules {
    order: Order::Value,
    direction: Direction::Implicit,
    offset_in_request: false,
};
const BY_RESPONSE: Rules = Rules {
    order: Order::Response,
    ..BY_VALUE
};

/// Items as `[{"id":…},…]`; each id becomes `id/name` if it comes twice.
fn items(ids: &str) -> Vec<Item> {
    read(format!("[{ids}]").as_bytes(), &shape()).expect(ids).items
}

fn position(json: &str) -> Position {
    match json {
        "" => Position::default(),
        json => Position::from_map(&OffsetMap::from_json(json).expect(json)).expect(json),
    }
}

/// What is new, by name, and the source offsets behind.
fn new(list: &str, at: &str, rules: Rules) -> (String, Vec<String>) {
    let found = unseen(items(list), &position(at), rules).expect(list);
    let names = found.iter().map(|(item, _)| match item.value.entry("n") {
        Some(name) => name.to_string(),
        None => item.value.entry("id").expect("each has one").to_string(),
    });
    let names = names.collect::<Vec<_>>().join(" ");
    let positions = found.iter().map(|(_, position)| {
        let position = position.as_ref().expect("offsets are there");
        position.to_map().to_string()
    });
    (names, positions.collect())
}

fn ids(ids: &[&str]) -> String {
    let items: Vec<String> = ids.iter().map(|id| format!("{{\"id\":{id}}}")).collect();
    items.join(",")
}

#[test]
fn what_is_greater_is_new_in_its_order() {
    let cases: [(&[&str], &str, &str); 9] = [
        (&["1", "2", "3"], "", "1 2 3"),
        (&["1", "2", "3"], r#"{"offset":2,"seen":1}"#, "3"),
        (&["3", "1", "2"], r#"{"offset":1}"#, "2 3"),
        (&["3", "2", "1"], r#"{"offset":7,"seen":1}"#, ""),
        (&["9", "10"], r#"{"offset":9.5}"#, "10"),
        (&["\"9\"", "\"10\"", "\"8\""], r#"{"offset":"8"}"#, "9 10"),
        (&["\"b\"", "\"a\"", "\"10\""], r#"{"offset":"10"}"#, "a b"),
        (
            &["\"2024-01-02T00:00:00Z\"", "\"2024-01-01T00:00:00Z\""],
            r#"{"offset":"2024-01-01T00:00:00Z","seen":1}"#,
            "2024-01-02T00:00:00Z",
        ),
        (&[], r#"{"offset":1}"#, ""),
    ];
    for (list, at, expected) in cases {
        assert_eq!(new(&ids(list), at, BY_VALUE).0, expected, "{list:?} at {at}");
    }
    let error = unseen(items(&ids(&["1"])), &position(r#"{"offset":"1"}"#), BY_VALUE);
    assert!(
        error
            .expect_err("no order")
            .to_string()
            .contains("they have no order")
    );
}

#[test]
fn equal_offsets_are_counted() {
    let list = r#"{"id":1,"n":"a"},{"id":5,"n":"b"},{"id":5,"n":"c"},{"id":6,"n":"d"}"#;
    let (names, positions) = new(list, "", BY_VALUE);
    assert_eq!(names, "a b c d");
    assert_eq!(
        positions,
        [
            r#"{"offset":1,"seen":1}"#,
            r#"{"offset":5,"seen":1}"#,
            r#"{"offset":5,"seen":2}"#,
            r#"{"offset":6,"seen":1}"#
        ]
    );
    assert_eq!(new(list, &positions[1], BY_VALUE).0, "c d");
    // One more that has the last offset came later; the newest may also come first.
    for list in [
        r#"{"id":4,"n":"z"},{"id":5,"n":"b"},{"id":5,"n":"c"},{"id":5,"n":"e"}"#,
        r#"{"id":5,"n":"e"},{"id":5,"n":"c"},{"id":5,"n":"b"},{"id":4,"n":"z"}"#,
    ] {
        assert_eq!(new(list, r#"{"offset":5,"seen":2}"#, BY_VALUE).0, "e", "{list}");
    }
    assert_eq!(
        new(list, r#"{"offset":5}"#, BY_VALUE).0,
        "d",
        "a user's offset means all of them"
    );
}

#[test]
fn within_a_group_the_request_stays_the_same() {
    let rules = Rules {
        offset_in_request: true,
        ..BY_VALUE
    };
    let list = r#"{"id":5,"n":"b"},{"id":5,"n":"c"},{"id":5,"n":"d"}"#;
    let (names, positions) = new(list, r#"{"offset":4,"seen":1}"#, rules);
    assert_eq!(names, "b c d");
    assert_eq!(
        positions,
        [
            r#"{"last":5,"offset":4,"seen":1}"#,
            r#"{"last":5,"offset":4,"seen":2}"#,
            r#"{"offset":5,"seen":3}"#
        ]
    );
    // The server is asked for what follows 4 again.
    assert_eq!(new(list, &positions[0], rules).0, "c d");
    let (_, first) = new(list, "", rules);
    assert_eq!(first[0], r#"{"last":5,"seen":1}"#);
    assert_eq!(new(list, &first[0], rules).0, "c d");
}

#[test]
fn what_follows_is_new_where_offsets_have_no_order() {
    let list = ids(&["\"x\"", "\"b\"", "7", "\"x\"", "\"a\""]);
    let (names, positions) = new(&list, "", BY_RESPONSE);
    assert_eq!(names, "x b 7 x a");
    for (index, rest) in ["b 7 x a", "7 x a", "x a", "a", ""].into_iter().enumerate() {
        assert_eq!(new(&list, &positions[index], BY_RESPONSE).0, rest);
    }
    assert_eq!(new(&list, r#"{"offset":"gone","seen":1}"#, BY_RESPONSE).0, names);
    let newest_first = Rules {
        direction: Direction::Descending,
        ..BY_RESPONSE
    };
    assert_eq!(new(&list, r#"{"offset":"b"}"#, newest_first).0, "x");
}

#[test]
fn answers_are_read_by_pointers() {
    let shape = Shape {
        list: pointer("/data/items"),
        record: pointer("/v"),
        offset: Some(pointer("/meta/id")),
        key: Some(pointer("/k")),
        timestamp: Some(pointer("/at")),
        ..Shape::default()
    };
    let body = r#"{"data":{"items":[
        {"v":{"a":[1]},"meta":{"id":"x"},"k":{"n":1},"at":"1970-01-01T00:00:01Z"},
        {"v":null,"meta":{"id":1.5},"at":2000},
        {"v":"t","meta":{"id":2.0},"k":null,"at":"3000"}]}}"#;
    let found = read(body.as_bytes(), &shape).expect("items").items;
    let shown: Vec<String> = found
        .iter()
        .map(|item| {
            format!(
                "{:?} {} {} {:?}",
                item.offset, item.key, item.value, item.timestamp
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "Some(String(\"x\")) {n=1} {a=[1]} Some(Timestamp(1000))",
            "Some(Float64(1.5)) null null Some(Timestamp(2000))",
            "Some(Int64(2)) null t Some(Timestamp(3000))"
        ]
    );
    for (body, count) in [
        ("", 0),
        (" \n", 0),
        (r#"{"data":{"items":[]}}"#, 0),
        (r#"{"data":{"items":null}}"#, 0),
        (r#"{"data":{"items":{"v":1,"meta":{"id":1}}}}"#, 1),
    ] {
        assert_eq!(
            read(body.as_bytes(), &shape).expect(body).items.len(),
            count,
            "{body}"
        );
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let shape = Shape {
        list: pointer("/items"),
        timestamp: Some(pointer("/at")),
        record: pointer("/v"),
        ..shape()
    };
    let deep = format!("{{\"items\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let cases = [
        ("{\"items\":", "the answer is not JSON"),
        ("<html>", "the answer is not JSON"),
        (deep.as_str(), "the answer is not JSON"),
        ("{\"error\":1}", "/items is not in the answer"),
        (
            "{\"items\":3}",
            "/items is neither an array nor an object in the answer",
        ),
        (
            r#"{"items":[{"id":1,"v":1},{"v":1}]}"#,
            "/id is no offset (an integer of 64 bits, a fraction or a string) in item 1",
        ),
        (
            r#"{"items":[{"id":18446744073709551615,"v":1}]}"#,
            "/id is no offset",
        ),
        (r#"{"items":[{"id":1e999,"v":1}]}"#, "/id is no offset"),
        (r#"{"items":[{"id":[1],"v":1}]}"#, "/id is no offset"),
        (
            r#"{"items":[{"id":1,"v":1,"at":"yesterday"}]}"#,
            "/at is no timestamp",
        ),
        (r#"{"items":[{"id":1,"v":1,"at":-1}]}"#, "/at is no timestamp"),
        (r#"{"items":[{"id":1}]}"#, "/v is not in item 0"),
    ];
    for (body, reason) in cases {
        let error = read(body.as_bytes(), &shape).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn lines_are_items_and_pages_lead_on() {
    let lines = Shape {
        format: Format::Ndjson,
        ..shape()
    };
    let found = read(b"{\"id\":1}\r\n\n{\"id\":2}", &lines).expect("lines").items;
    assert_eq!(found.len(), 2);
    let error = read(b"{\"id\":1}\n\n{\"id\":", &lines)
        .expect_err("cut off")
        .to_string();
    assert_eq!(error, "line 3 of the answer is not JSON");
    let error = read(b"{\"id\":1}\n{}", &lines).expect_err("no id").to_string();
    assert!(error.ends_with("in line 2"), "{error}");

    let paged = Shape {
        list: pointer("/a"),
        next: Some(pointer("/a/next")),
        ..Shape::default()
    };
    for (next, expected) in [
        ("\"x\"", Some("x")),
        ("7", Some("7")),
        ("null", None),
        ("\"\"", None),
        ("false", None),
    ] {
        let body = format!("{{\"a\":{{\"next\":{next}}}}}");
        assert_eq!(
            read(body.as_bytes(), &paged).expect(next).next.as_deref(),
            expected
        );
    }
    read(b"{\"a\":{\"next\":[]}}", &paged).expect_err("no cursor");
    let event = read_event("no json", &Shape::default()).expect("a string");
    assert_eq!(event.value, "no json".into());
    assert_eq!(
        read_event("[1]", &Shape::default())
            .expect("JSON")
            .value
            .to_string(),
        "[1]"
    );
}

#[test]
fn a_snapshot_ends_where_it_is_known_and_has_nothing_twice() {
    let page = |ids: &str| items(&self::ids(&ids.split(' ').collect::<Vec<_>>()));
    let at = position(r#"{"offset":4,"seen":1}"#);
    for (ids, reaches_it) in [
        ("9 8", false),
        ("5 4", false),
        ("4 3", true),
        ("3 4 5", false),
        ("3", false),
    ] {
        assert_eq!(reaches(&page(ids), &at, BY_VALUE), reaches_it, "{ids}");
    }
    let descending = Rules {
        direction: Direction::Descending,
        ..BY_VALUE
    };
    assert!(reaches(&page("3"), &at, descending));
    assert!(reaches(&page("9 4 5"), &at, BY_RESPONSE) && !reaches(&page("9"), &at, BY_RESPONSE));
    assert!(!reaches(&page("2 1"), &Position::default(), BY_VALUE));
    let mut gathered = page("9 8 7");
    gather(&mut gathered, page("8 7 6"));
    assert_eq!(gathered, page("9 8 7 6"));
}
