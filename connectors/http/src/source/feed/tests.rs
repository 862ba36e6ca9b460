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
    read(format!("[{ids}]").as_bytes(), &shape()).expect(ids)
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
    };
    let body = r#"{"data":{"items":[
        {"v":{"a":[1]},"meta":{"id":"x"},"k":{"n":1},"at":"1970-01-01T00:00:01Z"},
        {"v":null,"meta":{"id":1.5},"at":2000},
        {"v":"t","meta":{"id":2.0},"k":null,"at":"3000"}]}}"#;
    let found = read(body.as_bytes(), &shape).expect("items");
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
        assert_eq!(read(body.as_bytes(), &shape).expect(body).len(), count, "{body}");
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
