//! Feeds of pages: kills between any two records, and what else each mode promises.

use super::*;

/// The number behind `name=` in a query.
fn number(target: &str, name: &str) -> Option<usize> {
    let (_, query) = target.split_once('?')?;
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    value.parse().ok()
}

fn page(all: &[(usize, String)], from: usize, count: usize) -> String {
    list(&all[from.min(all.len())..(from + count).min(all.len())], |_| true)
}

type Answered = (String, Option<String>);
/// What is there, the target, and the clock: a body, and the header Link.
type Feed = fn(&[(usize, String)], &str, i64) -> Answered;
type Keys = &'static [(&'static str, &'static str)];

const SIZE: usize = 10;
/// One record per 100 ms in windows.
const START: i64 = crate::testing::NOW - 60_000;

/// All kinds of feeds that have pages, or are asked for what follows an offset.
const FEEDS: [(&str, Feed, Keys); 10] = [
    (
        "/chaining?since=${offset}",
        |all, target, _| {
            let since = number(target, "since").expect("asked");
            let behind: Vec<_> = all.iter().filter(|(id, _)| *id > since).cloned().collect();
            (page(&behind, 0, SIZE), None)
        },
        &[
            ("http.offset.mode", "CHAINING"),
            ("http.initial.offset", "0"),
            ("http.offset.json.pointer", "/id"),
        ],
    ),
    (
        "/timestamps?from=${offset}",
        |all, target, _| {
            // What has that moment comes again; the newest first.
            let from = number(target, "from").expect("asked");
            let mut since: Vec<_> = all
                .iter()
                .filter(|(id, _)| *id >= from)
                .take(SIZE)
                .cloned()
                .collect();
            since.reverse();
            (page(&since, 0, SIZE), None)
        },
        &[
            ("http.offset.mode", "TIMESTAMP_PAGINATION"),
            ("http.initial.offset", "0"),
            ("http.offset.json.pointer", "/id"),
        ],
    ),
    (
        "/response",
        |all, _, _| (page(all, 0, all.len()), None),
        &[
            ("http.offset.json.pointer", "/id"),
            ("http.offset.order", "response"),
        ],
    ),
    (
        "/count?from=${offset}",
        |all, target, _| (page(all, number(target, "from").expect("asked"), SIZE), None),
        &[
            ("http.offset.mode", "SIMPLE_INCREMENTING"),
            ("http.initial.offset", "0"),
        ],
    ),
    (
        "/number?page=${offset}",
        |all, target, _| {
            (
                page(all, (number(target, "page").expect("asked") - 1) * SIZE, SIZE),
                None,
            )
        },
        &[
            ("http.offset.mode", "PAGE_NUMBER"),
            ("http.initial.offset", "1"),
            ("http.page.size", "10"),
        ],
    ),
    (
        "/cursor",
        |all, target, _| {
            let from = number(target, "after").unwrap_or(0);
            let next = if all.len() > from + SIZE {
                (from + SIZE).to_string()
            } else {
                "null".to_owned()
            };
            (
                format!(r#"{{"items":{},"next":{next}}}"#, page(all, from, SIZE)),
                None,
            )
        },
        &[
            ("http.offset.mode", "CURSOR_PAGINATION"),
            ("http.cursor.pagination.parameter.name", "after"),
            ("http.next.page.json.pointer", "/next"),
            ("http.response.data.json.pointer", "/items"),
        ],
    ),
    (
        "/urls",
        |all, target, _| {
            let from = number(target, "from").unwrap_or(0);
            let next = if all.len() > from + SIZE {
                format!("\"?from={}\"", from + SIZE)
            } else {
                "\"\"".to_owned()
            };
            (
                format!(r#"{{"items":{},"next":{next}}}"#, page(all, from, SIZE)),
                None,
            )
        },
        &[
            ("http.offset.mode", "CURSOR_PAGINATION"),
            ("http.next.page.json.pointer", "/next"),
            ("http.response.data.json.pointer", "/items"),
        ],
    ),
    (
        "/link?x=1",
        |all, target, _| {
            let from = number(target, "from").unwrap_or(0);
            let more = all.len() > from + SIZE;
            let link = more.then(|| format!("</link?x=1&from={}>; rel=\"next\"", from + SIZE));
            (page(all, from, SIZE), link)
        },
        &[("http.offset.mode", "LINK_PAGINATION")],
    ),
    (
        "/snapshot",
        |all, target, _| {
            let newest: Vec<_> = all.iter().rev().cloned().collect();
            let from = number(target, "from").unwrap_or(0);
            let link =
                (all.len() > from + SIZE).then(|| format!("</snapshot?from={}>; rel=next", from + SIZE));
            (page(&newest, from, SIZE), link)
        },
        &[
            ("http.offset.mode", "SNAPSHOT_PAGINATION"),
            ("http.next.page.link.header", "true"),
            ("http.offset.json.pointer", "/id"),
        ],
    ),
    (
        "/window?from=${window.start}&to=${window.end}",
        |all, target, now| {
            let (from, to) = (
                number(target, "from").expect("asked"),
                number(target, "to").expect("asked"),
            );
            assert!(i64::try_from(to).expect("small") <= now, "the window is over");
            let of = |moment: usize| {
                moment
                    .saturating_sub(usize::try_from(START).expect("positive"))
                    .div_ceil(100)
            };
            let end = of(to).min(all.len());
            let from = of(from).max(number(target, "at").unwrap_or(0)).min(end);
            let link = (end > from + SIZE).then(|| {
                format!(
                    "<{}&at={}>; rel=next",
                    target.split("&at").next().expect("one"),
                    from + SIZE
                )
            });
            (page(all, from, SIZE.min(end - from)), link)
        },
        &[
            ("http.offset.mode", "TIME_WINDOW"),
            ("http.window.ms", "2500"),
            ("http.initial.offset", "784111717000"),
            ("http.next.page.link.header", "true"),
        ],
    ),
];

#[tokio::test]
async fn the_contract_holds_for_pages_of_all_kinds() {
    for (path, feed, more) in FEEDS {
        for seed in 0..4 {
            // Windows need all of theirs from the start: what is late is lost.
            let is_window = path.starts_with("/window");
            let all: Vec<(usize, String)> = (0..400)
                .map(|number| (1 + number, format!("value {number}")))
                .collect();
            let expected = all.iter().map(|(_, value)| value.clone()).collect();
            let there = Arc::new(AtomicUsize::new(if is_window { 400 } else { 0 }));
            let (shown, calls, time) = (Arc::clone(&there), AtomicUsize::new(0), TestTime::new());
            let clock = Arc::clone(&time);
            let server = Server::start(move |seen, _| match calls.fetch_add(1, Ordering::Relaxed) % 5 {
                0 => answer(500, ""),
                _ => {
                    let now = crate::time::Time::now(&*clock);
                    let (body, link) = feed(&all[..shown.load(Ordering::Relaxed)], &seen.target, now);
                    let link = link.map(|link| ("link", link));
                    Reply::Answer(200, link.into_iter().collect(), body)
                }
            })
            .await;
            let own = [("http.response.record.pointer", "/v"), ("batch.size", "7")];
            let subject = SourceSubject {
                task: &|| Box::new(task::HttpSourceTask::new(Arc::clone(&time) as _)),
                properties: keys(&format!("{}{path}", server.url), &[&own[..], more].concat()),
                expected,
                disturb: &|came| {
                    there.fetch_max((came + 13).min(400), Ordering::Relaxed);
                },
            };
            let report = check_source(&subject, seed).await.expect(path);
            assert!(
                report.kills_in_flight > 0 && report.polls_cut_off > 0,
                "{report:?}"
            );
        }
    }
}

/// Takes what the task gives until nothing more comes while the server is asked `quiet` times.
async fn drain(task: &mut task::HttpSourceTask, server: &Server, quiet: usize) -> Vec<SourceRecord> {
    let mut came = Vec::new();
    loop {
        server.requests();
        let mut poll = task.poll();
        loop {
            tokio::select! {
                biased;
                records = &mut poll => {
                    came.extend(records.expect("records"));
                    assert!(came.len() < 1000, "the same again and again: {:?}", came.last());
                    break;
                }
                () = tokio::task::yield_now(), if server.count() < quiet => {}
                else => return came,
            }
            if server.count() >= quiet {
                return came;
            }
        }
    }
}

#[tokio::test]
async fn a_restart_between_any_two_records_of_a_page_loses_and_doubles_none() {
    for (path, feed, more) in FEEDS {
        let all: Vec<(usize, String)> = (0..25)
            .map(|number| (1 + number, format!("value {number}")))
            .collect();
        let expected: Vec<String> = all.iter().map(|(_, value)| value.clone()).collect();
        let time = TestTime::new();
        let clock = Arc::clone(&time);
        let server = Server::start(move |seen, _| {
            let (body, link) = feed(&all, &seen.target, crate::time::Time::now(&*clock));
            Reply::Answer(200, link.map(|link| ("link", link)).into_iter().collect(), body)
        })
        .await;
        let own = [("http.response.record.pointer", "/v")];
        let keys = keys(&format!("{}{path}", server.url), &[&own[..], more].concat());
        let whole = drain(&mut start(&time, &keys, None).await, &server, 6).await;
        assert_eq!(values(&whole), expected, "{path}");
        for (index, record) in whole.iter().enumerate() {
            let offset = record.source_offset.clone().expect("each has one");
            let rest = drain(&mut start(&time, &keys, Some(offset.clone())).await, &server, 6).await;
            assert_eq!(values(&rest), expected[index + 1..], "{path} after {offset}");
        }
    }
}

#[tokio::test]
async fn windows_are_asked_for_one_after_the_other_once_they_are_complete() {
    let server = Server::start(|seen, _| answer(200, format!("[{:?}]", seen.target))).await;
    let now = crate::testing::NOW;
    let first = (now - 15_000).to_string();
    let more = [
        ("http.offset.mode", "TIME_WINDOW"),
        ("http.initial.offset", &*first),
        ("http.window.ms", "10000"),
        ("http.window.delay.ms", "3000"),
    ];
    let url = format!("{}/?from=${{window.start}}&to=${{window.end}}", server.url);
    let time = TestTime::new();
    let mut task = start(&time, &keys(&url, &more), None).await;
    // The first is complete, the second only three seconds after its end, which is in five.
    for (number, pauses) in [(0, &[][..]), (1, &[8_000]), (2, &[10_000])] {
        let from = now - 15_000 + number * 10_000;
        let records = task.poll().await.expect("a window");
        assert_eq!(values(&records), [format!("/?from={from}&to={}", from + 10_000)]);
        assert_eq!(time.pauses(), pauses);
    }
}

/// Pages of two, the newest first, of so many; `grows` says how many more there are after each request.
async fn newest_first(there: &Arc<AtomicUsize>, grows: usize) -> Server {
    let there = Arc::clone(there);
    Server::start(move |seen, _| {
        let newest = there.fetch_add(grows, Ordering::Relaxed);
        let page = number(&seen.target, "page").unwrap_or(0);
        let ids = (1..=newest).rev().skip(page * 2).take(2);
        let items: Vec<String> = ids.map(|id| format!(r#"{{"id":{id}}}"#)).collect();
        let link = (newest > page * 2 + 2).then(|| ("link", format!("</?page={}>; rel=next", page + 1)));
        Reply::Answer(200, link.into_iter().collect(), format!("[{}]", items.join(",")))
    })
    .await
}

const SNAPSHOT: [(&str, &str); 4] = [
    ("http.offset.mode", "SNAPSHOT_PAGINATION"),
    ("http.next.page.link.header", "true"),
    ("http.offset.json.pointer", "/id"),
    ("http.response.record.pointer", "/id"),
];

#[tokio::test]
async fn a_snapshot_is_read_to_where_it_is_known_and_has_nothing_twice() {
    let there = Arc::new(AtomicUsize::new(6));
    let server = newest_first(&there, 0).await;
    let mut task = start(&TestTime::new(), &keys(&server.url, &SNAPSHOT), None).await;
    for (newest, expected, pages) in [
        (
            6,
            &["1", "2", "3", "4", "5", "6"][..],
            &["/", "/?page=1", "/?page=2"][..],
        ),
        (7, &["7"], &["/", "/?page=1"]),
    ] {
        there.store(newest, Ordering::Relaxed);
        assert_eq!(values(&task.poll().await.expect("records")), expected);
        let asked: Vec<String> = server.requests().into_iter().map(|seen| seen.target).collect();
        assert_eq!(asked, pages, "nothing is asked for behind what is known");
    }
    // One comes at the front with each page that is read, and moves all others on.
    let server = newest_first(&Arc::new(AtomicUsize::new(4)), 1).await;
    let mut task = start(&TestTime::new(), &keys(&server.url, &SNAPSHOT), None).await;
    let mut came = Vec::new();
    while came.len() < 12 {
        came.extend(values(&task.poll().await.expect("records")));
    }
    let expected: Vec<String> = (1..=came.len()).map(|id| id.to_string()).collect();
    assert_eq!(came, expected);
    let more = [&SNAPSHOT[..], &[("http.snapshot.bytes.max", "20")]].concat();
    let mut task = start(&TestTime::new(), &keys(&server.url, &more), None).await;
    let error = task.poll().await.expect_err("too long").to_string();
    assert!(error.contains("http.snapshot.bytes.max=20"), "{error}");
}

#[tokio::test]
async fn next_pages_stay_on_their_server_and_keep_no_key() {
    let far = Server::start(|_, _| answer(200, "[]")).await;
    let to = format!("<{}/2>; rel=next", far.url);
    let near =
        Server::start(move |_, _| Reply::Answer(200, vec![("link", to.clone())], "[1]".to_owned())).await;
    let more = [
        ("http.offset.mode", "LINK_PAGINATION"),
        ("http.response.list.pointer", ""),
    ];
    let mut task = start(&TestTime::new(), &keys(&near.url, &more), None).await;
    let error = task.poll().await.expect_err("another server").to_string();
    assert!(error.contains("its next page is on another server"), "{error}");
    assert_eq!(far.count(), 0);

    let own = Server::start(|seen, _| match seen.target.contains("page=2") {
        true => answer(200, "[3]"),
        false => Reply::Answer(
            200,
            vec![("link", format!("<{}&page=2>; rel=next", seen.target))],
            "[1,2]".to_owned(),
        ),
    })
    .await;
    let more = [
        ("http.offset.mode", "LINK_PAGINATION"),
        ("auth.type", "API_KEY"),
        ("api.key.name", "key"),
        ("api.key.value", "s3cret"),
        ("api.key.location", "query"),
    ];
    let mut task = start(&TestTime::new(), &keys(&format!("{}/?a=1", own.url), &more), None).await;
    for expected in [&["1", "2"][..], &["3"]] {
        let records = task.poll().await.expect("records");
        assert_eq!(values(&records), expected);
        assert!(
            records
                .iter()
                .all(|record| !format!("{:?}", record.source_offset).contains("s3cret"))
        );
    }
    assert!(
        own.requests()
            .iter()
            .all(|seen| seen.target.matches("key=s3cret").count() == 1)
    );
}

#[tokio::test]
async fn an_answer_that_is_known_is_not_sent_and_not_given_out_again() {
    let (version, calls) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
    let shown = Arc::clone(&version);
    let server = Server::start(move |seen, _| {
        calls.fetch_add(1, Ordering::Relaxed);
        let version = shown.load(Ordering::Relaxed);
        let etag = format!("\"v{version}\"");
        match seen.header("if-none-match") == Some(etag.as_str()) {
            true => answer(304, ""),
            false => Reply::Answer(
                200,
                vec![("etag", etag)],
                format!("[\"a{version}\",\"b{version}\"]"),
            ),
        }
    })
    .await;
    let (time, keys) = (TestTime::new(), keys(&server.url, &[]));
    let mut task = start(&time, &keys, None).await;
    let first = drain(&mut task, &server, 4).await;
    assert_eq!(values(&first), ["a1", "b1"]);
    for (record, rest) in first.iter().zip([&["b1"][..], &[]]) {
        let mut again = start(&time, &keys, record.source_offset.clone()).await;
        assert_eq!(values(&drain(&mut again, &server, 3).await), rest);
    }
    version.store(2, Ordering::Relaxed);
    assert_eq!(values(&drain(&mut task, &server, 3).await), ["a2", "b2"]);
    let mut between = start(&time, &keys, first[0].source_offset.clone()).await;
    assert_eq!(values(&drain(&mut between, &server, 3).await), ["a2", "b2"]);
}
