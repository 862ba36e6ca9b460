//! Regular expressions by themselves: what they match, which are refused, what they cost.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::consumer::{LETTERS_AT_A_TIME, RegularExpression, TABLES_MAX, TEXT_BYTES_MAX, WIDE_MAX};

fn is_match(regex: &RegularExpression, name: &str) -> bool {
    regex.matcher().matches(name, &|| true).expect("it may go on")
}

#[test]
fn names_match_as_a_whole_in_the_syntax_of_re2() {
    let cases = [
        ("events", "events", true),
        ("events", "my-events", false),
        ("events", "events2", false),
        ("events|more", "more", true),
        ("events|more", "events|more", false),
        ("(?i)EVENTS", "events", true),
        ("a.*", "abc", true),
        ("a.c", "a\nc", false),
        (r"\Qa.b\E.*", "a.bc", true),
        (r"\Qa.b\E", "axb", false),
        (r"\Qa.b", "a.b", true),
        (r"a\\Qb", r"a\Qb", true),
        ("", "", true),
        ("[a-c]{2,3}", "abc", true),
    ];
    for (regex, name, matches) in cases {
        let regex = RegularExpression::parse(regex).unwrap_or_else(|error| panic!("{regex}: {error}"));
        assert_eq!(is_match(&regex, name), matches, "{regex:?} {name}");
    }
    for (invalid, words) in [
        ("(", "missing closing )"),
        ("a)b", "unexpected )"),
        ("[", "missing closing ]"),
    ] {
        assert_eq!(RegularExpression::parse(invalid).expect_err(invalid), words);
    }
    for invalid in [
        "(",
        "a)(b",
        "[",
        "a{2",
        "(?=a)",
        r"(a)\1",
        "*",
        "a{1000000}{1000}",
        "(?:[!-~]{0,300}){0,200}",
        r"(?:\pL{100}){100}",
    ] {
        let refused = RegularExpression::parse(invalid);
        assert!(refused.is_err() || invalid == "a{2", "{invalid} {refused:?}");
    }
}

#[test]
fn classes_are_of_ascii_and_alphabets_have_their_names() {
    for (regex, name, matches) in [
        (r"\w+-\d", "a_b-1", true),
        (r"[^x]+", "abc", true),
        (r"\pL+", "abc", true),
        (r"\pL+", "ab1", false),
        (r"[\PL]+", "1-2", true),
        (r"(?i)\p{Lu}+", "aB", true),
        (r"\p{Greek}|a", "a", true),
        (r"[^ä\p{Cyrillic}]+", "abc", true),
        ("[a-zäöü]+", "abc", true),
        ("[x-ü]+", "yz", true),
        ("(?i)ä|[ö-ü]|b", "B", true),
        ("aä?", "a", true),
        (r"(?:\w+-){8}\d", "a-b-c-d-e-f-g-h-1", true),
    ] {
        let regex = RegularExpression::parse(regex).unwrap_or_else(|error| panic!("{regex}: {error}"));
        assert_eq!(is_match(&regex, name), matches, "{regex:?} {name}");
    }
    let long = "x".repeat(TEXT_BYTES_MAX);
    assert!(RegularExpression::parse(&long).is_ok());
    assert_eq!(
        RegularExpression::parse(&format!("{long}x")).expect_err("too long"),
        "it is longer than 4096 bytes"
    );
}

/// What makes expressions dear that never come to an automaton: upper and lower case of all letters there are, in a class again and again.
fn dear() -> Vec<String> {
    let nested = format!(r"{}\0-\x{{1E943}}]{}", "[".repeat(240), "a]".repeat(239));
    vec![
        format!("(?iu){}", r"[\D]".repeat(1_020)),
        format!("(?i){}", r"[\D]".repeat(1_020)),
        format!("(?i){}", r"[\0-\x{10FFFF}]".repeat(250)),
        format!("(?i:{})", "[ä-\u{10FFFF}]".repeat(400)),
        format!("(?i)[{}a]", r"\D&&".repeat(1_000)),
        format!("(?i){}", r"\pL".repeat(1_300)),
        format!("(?iu){nested}"),
        format!("(?i){}", nested.repeat(4)),
    ]
}

#[test]
fn expressions_are_judged_before_they_are_translated() {
    for text in dear() {
        for parse in [RegularExpression::parse, RegularExpression::parse_for_text] {
            let began = Instant::now();
            let parsed = parse(&text);
            let took = began.elapsed();
            assert!(
                took < Duration::from_millis(400),
                "{took:?}: {text:.60} {parsed:.60?}"
            );
        }
        assert!(RegularExpression::parse_for_text(&text).is_err(), "{text:.60}");
    }
    for flag in ["(?u)a", "(?-u:a)", "(?x)a", "(?R)a"] {
        let refused = RegularExpression::parse(flag).expect_err(flag);
        assert_eq!(refused, "invalid or unsupported Perl syntax");
    }
}

#[test]
fn texts_of_any_alphabet_are_matched_with_classes_of_ascii() {
    for (regex, text, matches) in [
        (r"\w+-\d", "a_b-1", true),
        (r"\w+", "ä", false),
        (r"[\W]+", "ä-", true),
        (r"\D\S", "äö", true),
        (r"ä\b.*", "äa", true),
        (r"\pL+", "äβ", true),
        ("(?i)Ä[Ö-Ü]", "äö", true),
        (".", "ä", true),
    ] {
        let regex =
            RegularExpression::parse_for_text(regex).unwrap_or_else(|error| panic!("{regex}: {error}"));
        assert_eq!(is_match(&regex, text), matches, "{regex:?} {text}");
    }
    let wide = |times| format!("(?i){}", r"[\D]".repeat(times));
    assert!(RegularExpression::parse_for_text(&wide(WIDE_MAX)).is_ok());
    assert!(RegularExpression::parse_for_text(&wide(WIDE_MAX + 1)).is_err());
    let tables = |times| r"\p{Nd}".repeat(times);
    assert!(RegularExpression::parse(&tables(TABLES_MAX)).is_ok());
    assert!(RegularExpression::parse(&tables(TABLES_MAX + 1)).is_err());
}

#[test]
fn a_name_is_not_looked_at_for_longer_than_somebody_waits() {
    let name = "ab".repeat(5_000);
    for (regex, matches) in [("[ab]*", true), ("[ab]*[ab]{500}a[ab]{700}", false), ("", false)] {
        let regex = RegularExpression::parse_for_text(regex).expect("an expression");
        let asked = Cell::new(0);
        let may_go_on = |times: usize| {
            asked.set(asked.get() + 1);
            asked.get() <= times
        };
        let mut matcher = regex.matcher();
        assert_eq!(matcher.matches(&name, &|| may_go_on(usize::MAX)), Some(matches));
        let times = if is_match(&regex, "") && !matches {
            1
        } else {
            name.len().div_ceil(LETTERS_AT_A_TIME)
        };
        assert_eq!(asked.replace(0), times);
        assert_eq!(matcher.matches(&name, &|| may_go_on(times - 1)), None);
        assert_eq!(asked.get(), times, "and not again");
    }
}
