//! One rule at a time.

use std::time::{Duration, SystemTime};

use super::*;

const COMPLETE: (&str, &str) = ("file.complete", "true");
type Keys<'a> = &'a [(&'a str, &'a str)];

const SKIP: (&str, &str) = ("behavior.on.error", "skip");

#[tokio::test(start_paused = true)]
async fn which_files_are_read() {
    let place = Place::new();
    for (name, content) in [
        ("a.log", "1\n"),
        ("b.txt", "2\n"),
        ("old.log", "3\n"),
        ("sub/c.log", "4\n"),
        ("done/d.log", "5\n"),
        ("e.log.COMPLETED", "6\n"),
    ] {
        place.write(name, content);
    }
    fs::write(place.beside("secret"), "7\n").expect("written");
    std::os::unix::fs::symlink(place.beside("secret"), place.path("link.log")).expect("linked");
    std::os::unix::fs::symlink(place.path("a.log"), place.path("z.log")).expect("linked");
    fs::hard_link(place.path("a.log"), place.path("y.log")).expect("linked");
    let finished = place.path("done");
    let finished = finished.to_str().expect("UTF-8");
    let cases: [(Keys<'_>, &[&str]); 8] = [
        (&[], &["1", "2", "6", "3"]),
        (
            &[("input.path.walk.recursively", "true")],
            &["1", "2", "5", "6", "3", "4"],
        ),
        (&[("input.file.include", "*.log,*.txt")], &["1", "2", "3"]),
        (
            &[("input.file.include", "*.log"), ("input.file.exclude", "old*")],
            &["1"],
        ),
        (&[("input.file.pattern", "[a-z]\\.(log|txt)")], &["1", "2"]),
        (
            &[
                ("files.sort.attributes", "NameDesc"),
                ("input.file.exclude", "*.COMPLETED,y.log,z.log"),
            ],
            &["3", "2", "1"],
        ),
        (&[("cleanup.policy", "MARK"), COMPLETE], &["1", "2", "3"]),
        (
            &[
                ("input.path.walk.recursively", "true"),
                ("error.path", finished),
                ("input.file.include", "**/*.log"),
            ],
            &["1", "3", "4"],
        ),
    ];
    for (keys, expected) in cases {
        let mut running = place.start(keys).await;
        assert_eq!(running.values(expected.len()).await, expected, "{keys:?}");
        running.is_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_becomes_a_link_that_leads_out_is_not_followed() {
    let place = Place::new();
    let path = place.write("a.log", "1\n");
    let mut running = place.start(&[]).await;
    assert_eq!(running.values(1).await, ["1"]);
    fs::write(place.beside("secret"), "1\nsecret\n").expect("written");
    fs::remove_file(&path).expect("removed");
    std::os::unix::fs::symlink(place.beside("secret"), &path).expect("linked");
    running.is_quiet().await;
    fs::remove_file(&path).expect("removed");
    place.write("a.log", "2\n");
    assert_eq!(running.values(1).await, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_worker_does_not_allow_is_not_read() {
    let place = Place::new();
    place.write("a.log", "1\n");
    let nowhere = Access::unrestricted().with_paths([place.beside("elsewhere")]);
    let mut running = Running::start(&place.properties(&[]), Vec::new(), nowhere).await;
    assert!(running.error().await.contains("which the worker does not allow"));
    // The directory itself is a link to somewhere else.
    std::os::unix::fs::symlink(place.root(), place.beside("way")).expect("linked");
    let way = place.beside("way");
    let properties: Properties = place
        .properties(&[])
        .into_iter()
        .chain([("input.path".to_owned(), way.to_str().expect("UTF-8").to_owned())])
        .collect();
    let beside = Access::unrestricted().with_paths([place.beside("other"), place.beside("way2")]);
    let mut running = Running::start(&properties, Vec::new(), beside).await;
    assert!(running.error().await.contains("which the worker does not allow"));
}

#[tokio::test(start_paused = true)]
async fn records_of_every_format() {
    let place = Place::new();
    let cases: [(Keys<'_>, &[u8], &[&str]); 14] = [
        (&[], b"\xef\xbb\xbfa\r\nb\0c\n\nd\re\n\xff\nf", &["a", "b\0c", "", "d", "e", "\u{fffd}"]),
        (&[COMPLETE], b"a\r\nb", &["a", "b"]),
        (&[("multiline.start.pattern", "^[0-9]"), COMPLETE], b"x\n1 a\n  b\n\n2 c\n", &["x", "1 a\n  b\n", "2 c"]),
        (&[("multiline.start.pattern", "^[0-9]")], b"1 a\n  b\n2 c\n d\n", &["1 a\n  b"]),
        (&[("file.format", "jsonl")], b"{\"a\":1}\n\n[1,2.5,\"x\",null,true]\n3", &["{a=1}", "[1, 2.5, x, null, true]"]),
        (&[("file.format", "json"), COMPLETE], b"{\"a\":[1]}{\"b\":\"}\\\"{\"} 3 4", &["{a=[1]}", "{b=}\"{}", "3", "4"]),
        (&[("file.format", "json")], b" [ {\"a\":1} , [2], \"x,]\",\n 12 ] [5]", &["{a=1}", "[2]", "x,]", "12", "5"]),
        (&[("file.format", "json")], b"123456789012345678901234567890 ", &["123456789012345678901234567890"]),
        (
            &[("file.format", "csv"), COMPLETE],
            b"id,name,ok,rate,zip\r\n1,\"a \"\"b\"\", c\r\nd\",true,1.5,007\r\n\r\n-2,,FALSE,2,010",
            &["Struct{id=1,name=a \"b\", c\r\nd,ok=true,rate=1.5,zip=007}", "Struct{id=-2,ok=false,rate=2.0,zip=010}"],
        ),
        (
            &[("file.format", "csv"), ("csv.first.row.as.header", "false"), ("csv.separator.char", "59"), COMPLETE],
            b"1;x\n2;y\n",
            &["Struct{column01=1,column02=x}", "Struct{column01=2,column02=y}"],
        ),
        (
            &[("file.format", "csv"), ("csv.null.text", "NULL"), ("csv.infer.types", "false"), COMPLETE],
            b"a,b,c\nNULL,\"NULL\",\n",
            &["Struct{b=NULL,c=}"],
        ),
        (
            &[
                ("file.format", "csv"),
                COMPLETE,
                (
                    "value.schema",
                    r#"{"name":"n","type":"STRUCT","fieldSchemas":{"d":{"name":"org.apache.kafka.connect.data.Date","type":"INT32"},
                        "t":{"name":"org.apache.kafka.connect.data.Timestamp","type":"INT64"},
                        "m":{"name":"org.apache.kafka.connect.data.Decimal","type":"BYTES","parameters":{"scale":"2"},"isOptional":true},
                        "i":{"type":"INT8"}}}"#,
                ),
            ],
            b"i,other,d,t,m\n-128,x,1970-01-03,1970-01-01T01:00:00.25+01:00,-12.5\n1,y,2000-02-29,86400000,\n",
            &[
                "Struct{d=Sat Jan 03 00:00:00 UTC 1970,t=Thu Jan 01 00:00:00 UTC 1970,m=-12.50,i=-128}",
                "Struct{d=Tue Feb 29 00:00:00 UTC 2000,t=Fri Jan 02 00:00:00 UTC 1970,i=1}",
            ],
        ),
        (&[("file.compression.type", "gzip")], &gzip("a\nb"), &["a", "b"]),
        (&[("file.compression.type", "zstd")], &zstd("a\nb"), &["a", "b"]),
    ];
    for (keys, content, expected) in cases {
        place.write("file", content);
        let mut running = place.start(keys).await;
        let found = running.values(expected.len()).await;
        assert_eq!(found, expected, "{keys:?}");
        running.is_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_at_fault_fails_the_task_or_is_left_out() {
    let long = format!("ok\n{}\nlast\n", "x".repeat(3_000_000));
    let cases: [(Keys<'_>, &[u8], &str, &[&str]); 8] = [
        (
            &[("max.record.bytes", "5")],
            long.as_bytes(),
            "begins at byte 3 is longer than max.record.bytes=5",
            &["ok", "last"],
        ),
        (
            &[("max.record.bytes", "5")],
            b"12345\n123456\n1\n",
            "begins at byte 6 is longer",
            &["12345", "1"],
        ),
        (
            &[
                ("max.record.bytes", "5"),
                ("multiline.start.pattern", "^-"),
                COMPLETE,
            ],
            b"-\n1\n-\n1\n2\n3\n-\n4",
            "begins at byte 4 is longer",
            &["-\n1", "-\n4"],
        ),
        (
            &[("invalid.utf8", "fail")],
            b"a\n\xc3(\nb\n",
            "begins at byte 2 is not UTF-8",
            &["a", "b"],
        ),
        (
            &[("file.format", "jsonl")],
            b"1\n{\n2\n",
            "begins at byte 2 is not JSON",
            &["1", "2"],
        ),
        (
            &[("file.format", "json"), COMPLETE],
            b"1 x 2 {\"a\"",
            "begins at byte 2 is not JSON",
            &["1", "2"],
        ),
        (
            &[("file.format", "csv"), COMPLETE],
            b"a,b\n1,2\n3\n4,x\n5,6\n",
            "has 1 fields where there are 2 columns",
            &["Struct{a=1,b=2}", "Struct{a=4,b=x}", "Struct{a=5,b=6}"],
        ),
        (
            &[
                ("file.format", "csv"),
                (
                    "value.schema",
                    r#"{"type":"STRUCT","fieldSchemas":{"b":{"type":"INT32"}}}"#,
                ),
                COMPLETE,
            ],
            b"a,b\n1,2\n3,x\n5,6\n",
            "begins at byte 8 has \"x\" in column b, which is INT32",
            &["Struct{b=2}", "Struct{b=6}"],
        ),
    ];
    for (keys, content, message, left) in cases {
        check_fault(keys, content, message, left).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_file_that_is_cut_off_fails_the_task_or_is_left_out() {
    let cut = gzip(&"some line\n".repeat(1000));
    let keys = [("file.compression.type", "gzip"), ("batch.size", "100000")];
    check_fault(&keys, &cut[..cut.len() / 2], "is cut off", &[]).await;
}

/// The error that a task fails with, and the values that are left where errors are skipped.
async fn check_fault(keys: Keys<'_>, content: &[u8], message: &str, left: &[&str]) {
    let place = Place::new();
    let path = place.write("file", content);
    let past = SystemTime::now() - Duration::from_secs(60);
    let file = OpenOptions::new().write(true).open(&path).expect("opened");
    file.set_modified(past).expect("old");
    let error = place.start(keys).await.error().await;
    assert!(
        error.contains(message) && error.contains("file"),
        "{keys:?}: {error}"
    );
    let mut running = place.start(&[keys, &[SKIP]].concat()).await;
    if !left.is_empty() {
        assert_eq!(running.values(left.len()).await, left, "{keys:?}");
        running.is_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_file_that_is_being_written_is_waited_for() {
    let place = Place::new();
    let whole = gzip(&(0..2000).map(|number| format!("{number}\n")).collect::<String>());
    let path = place.write("a.gz", &whole[..whole.len() / 2]);
    let mut running = place.start(&[]).await;
    let mut found = Vec::new();
    while let Ok(polled) = tokio::time::timeout(Duration::from_secs(5), running.poll()).await {
        found.extend(
            polled
                .expect("no error yet")
                .iter()
                .map(|record| record.value.value.to_string()),
        );
    }
    fs::write(&path, &whole).expect("written");
    found.extend(running.values(2000 - found.len()).await);
    let expected: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    assert_eq!(found, expected);
}

#[tokio::test(start_paused = true)]
async fn each_task_has_its_files_and_all_files_have_a_task() {
    let place = Place::new();
    for number in 0..40 {
        place.write(&format!("{number}.log"), format!("{number}\n"));
    }
    let connector = DirectorySourceConnector {
        properties: place.properties(&[]),
    };
    let mut all = Vec::new();
    for properties in connector.task_configs(3).await.expect("tasks") {
        let mut running = Running::start(&properties, Vec::new(), Access::unrestricted()).await;
        let mut own = Vec::new();
        while let Ok(polled) = tokio::time::timeout(Duration::from_secs(60), running.poll()).await {
            own.extend(
                polled
                    .expect("records")
                    .iter()
                    .map(|record| record.value.value.to_string()),
            );
        }
        assert!(own.len() >= 4, "{own:?}");
        all.extend(own);
    }
    all.sort_by_key(|number| number.parse::<u32>().expect("a number"));
    let expected: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    assert_eq!(all, expected);
}

#[tokio::test(start_paused = true)]
async fn offsets_that_users_set() {
    let place = Place::new();
    let path = place.write("a", "one\ntwo\nthree\n");
    let partition = OffsetMap::new().with("filename", path.to_str().expect("UTF-8"));
    let offset = OffsetMap::new().with("position", 4);
    let connector = DirectorySourceConnector::default();
    let good = [
        (partition.clone(), Some(offset.clone())),
        (OffsetMap::new(), None),
    ];
    assert!(
        connector
            .alter_offsets(&Access::none(), &Properties::new(), &good)
            .await
            .expect("good")
    );
    for (bad_partition, bad_offset) in [
        (partition.clone(), OffsetMap::new()),
        (partition.clone(), OffsetMap::new().with("position", -1)),
        (partition.clone(), OffsetMap::new().with("position", "4")),
        (OffsetMap::new(), offset.clone()),
    ] {
        let judged = connector
            .alter_offsets(
                &Access::none(),
                &Properties::new(),
                &[(bad_partition, Some(bad_offset))],
            )
            .await;
        assert!(judged.is_err());
    }
    let mut running = Running::start(
        &place.properties(&[]),
        vec![(partition, offset)],
        Access::unrestricted(),
    )
    .await;
    assert_eq!(running.values(2).await, ["two", "three"]);
}

#[test]
fn what_is_wrong_is_said_of_the_key() {
    let place = Place::new();
    let cases: [(Keys<'_>, &str, &str); 10] = [
        (
            &[("cleanup.policy", "DELETE")],
            "cleanup.policy",
            "needs file.complete=true",
        ),
        (
            &[("cleanup.policy", "MOVE"), COMPLETE],
            "finished.path",
            "cleanup.policy=MOVE needs finished.path",
        ),
        (
            &[("cleanup.policy", "BURN")],
            "cleanup.policy",
            "must be one of: NONE, DELETE, MOVE, MOVEBYDATE, MARK",
        ),
        (
            &[("input.file.pattern", "(")],
            "input.file.pattern",
            "is no regular expression",
        ),
        (
            &[("input.file.include", "a,[")],
            "input.file.include",
            "[ without letters",
        ),
        (
            &[("multiline.start.pattern", "a"), ("file.format", "csv")],
            "multiline.start.pattern",
            "is for file.format=lines",
        ),
        (&[("file.format", "xml")], "file.format", "must be one of"),
        (
            &[("file.format", "csv"), ("csv.separator.char", "ab")],
            "csv.separator.char",
            "one letter of ASCII",
        ),
        (
            &[("file.format", "csv"), ("value.schema", "{}")],
            "value.schema",
            "must have \"type\":\"STRUCT\"",
        ),
        (
            &[("files.sort.attributes", "Size")],
            "files.sort.attributes",
            "must be one of: NameAsc",
        ),
    ];
    let connector = DirectorySourceConnector::default();
    for (keys, key, message) in cases {
        let values = connector.validate(&place.properties(keys));
        let errors: Vec<&String> = values
            .iter()
            .filter(|value| value.name == key)
            .flat_map(|value| &value.errors)
            .collect();
        assert!(
            errors.iter().any(|error| error.contains(message)),
            "{keys:?}: {errors:?}"
        );
    }
    let good = connector.validate(&place.properties(&[]));
    assert!(good.iter().all(|value| value.errors.is_empty()), "{good:?}");
    let missing: Vec<String> = connector
        .validate(&Properties::new())
        .into_iter()
        .flat_map(|value| value.errors)
        .collect();
    assert_eq!(
        missing,
        [
            "Missing required configuration \"input.path\" which has no default value.",
            "Missing required configuration \"topic\" which has no default value.",
        ]
    );
}

/// What is left out goes to the dead letter queue, with its place: a start behind it does not give it again.
#[tokio::test(start_paused = true)]
async fn what_is_left_out_is_given_with_its_data_and_offset() {
    let keys = [("file.format", "jsonl"), ("max.record.bytes", "30"), SKIP];
    let place = Place::new();
    let path = place.write(
        "a",
        b"{\"a\":1}\n{\"a\"\n\xff\n{\"long\":\"012345678901234567890123456789\"}\n{\"a\":2}\n{",
    );
    append(&path, "\n");
    let mut running = place.start(&keys).await;
    running.values(2).await;
    running.is_quiet().await;
    let found: Vec<(String, String)> = running
        .left_out
        .iter()
        .map(|record| {
            let why = record.fault.as_deref().unwrap_or_default().to_owned();
            (record.value.value.to_string(), why)
        })
        .collect();
    let wrong = [
        "begins at byte 8",
        "begins at byte 13",
        "longer than max.record.bytes=30",
        "begins at byte",
    ];
    assert_eq!(found.len(), wrong.len(), "{found:?}");
    for ((_, why), wrong) in found.iter().zip(wrong) {
        assert!(why.contains(wrong) && why.contains("in/a: "), "{why}");
    }
    assert_eq!((found[0].0.as_str(), found[3].0.as_str()), ("{\"a\"", "{"));
    assert_eq!(
        running.left_out[1].value.value,
        forebay_connect_api::Value::Bytes(b"\xff".as_slice().into())
    );
    let last = running.offsets.pop().expect("of the last one");
    let last = ((*last.0).clone(), last.1);
    let mut after = Running::start(&place.properties(&keys), vec![last], Access::unrestricted()).await;
    after.is_quiet().await;
    assert!(after.left_out.is_empty(), "{:?}", after.left_out);
}
