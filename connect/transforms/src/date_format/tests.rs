//! Patterns as people write them.

use super::read::Unreadable;
use super::*;

/// 2024-02-29T13:04:05.678Z
const LEAP: i64 = 1_709_211_845_678;

fn format(pattern: &str) -> DateFormat {
    DateFormat::new(pattern, LEAP).expect(pattern)
}

#[test]
fn moments_are_written_in_every_letter() {
    for (pattern, expected) in [
        ("yyyy-MM-dd'T'HH:mm:ss.SSSX", "2024-02-29T13:04:05.678Z"),
        ("EEE, d MMM yyyy HH:mm:ss Z", "Thu, 29 Feb 2024 13:04:05 +0000"),
        (
            "EEEE, MMMM dd, yy h:mm a z",
            "Thursday, February 29, 24 1:04 PM UTC",
        ),
        ("yyyyMMdd", "20240229"),
        ("G D F w W u k K", "AD 60 5 9 5 4 13 1"),
        ("''yyyy 'o''clock'", "'2024 o'clock"),
        ("SSSSSS", "000678"),
    ] {
        assert_eq!(format(pattern).write(LEAP), expected, "{pattern}");
    }
    // The last days of 2024 are in the first week of 2025.
    let new_year = 1_735_603_200_000; // 2024-12-31
    assert_eq!(format("YYYY-MM-dd w").write(new_year), "2025-12-31 1");
    assert_eq!(format("yyyy G").write(-62_198_755_200_000), "0002 BC");
}

#[test]
fn texts_are_read_as_leniently_as_java_reads_them() {
    for (pattern, text, expected) in [
        ("yyyy-MM-dd'T'HH:mm:ss.SSS", "2024-02-29T13:04:05.678", LEAP),
        ("yyyyMMddHHmmssSSS", "20240229130405678", LEAP),
        ("yyyy-MM-dd HH:mm:ss.SSSX", "2024-02-29 15:04:05.678+02", LEAP),
        (
            "yyyy-MM-dd HH:mm:ss.SSS XXX",
            "2024-02-29 15:34:05.678 +02:30",
            LEAP,
        ),
        (
            "EEE MMM dd HH:mm:ss z yyyy",
            "thu february 29 13:04:05 GMT 2024",
            LEAP - 678,
        ),
        (
            "EEE MMM dd HH:mm:ss z yyyy",
            "Thu Feb 29 08:04:05 EST 2024",
            LEAP - 678,
        ),
        ("d/M/yy h:mm a", "29/2/24 1:04 pm", LEAP - 5678),
        ("yyyy-MM-dd", "2024-02-29 and more", 1_709_164_800_000),
        ("yyyy-MM-dd", "2023-14-29", 1_709_164_800_000),
        ("yyyy-D", "2024-60", 1_709_164_800_000),
        ("dd.MM.yy", "29.02.44", 2_340_316_800_000),
        ("dd.MM.yy", "01.03.44", -815_356_800_000),
        ("HH", "7", 25_200_000),
    ] {
        assert_eq!(format(pattern).read(text), Ok(expected), "{pattern} {text}");
    }
    for (pattern, text, expected) in [
        ("yyyy-MM-dd", "2024/02/29", Unreadable::Text),
        ("yyyy-MM-dd", "2024-02-", Unreadable::Text),
        ("yyyyMMdd", "202402", Unreadable::Text),
        ("YYYY-MM-dd", "2024-02-29", Unreadable::Letter('Y')),
        ("EEE", "Thu", Unreadable::Letter('E')),
        ("HH z", "12 CEST", Unreadable::Zone("CEST".to_owned())),
        ("HH Z", "12 +2500", Unreadable::Text),
        ("yyyy", "99999999999999999999", Unreadable::Text),
        ("é", "e", Unreadable::Text),
        ("yyMM", "é", Unreadable::Text),
    ] {
        assert_eq!(format(pattern).read(text), Err(expected), "{pattern} {text}");
    }
}

#[test]
fn what_is_no_pattern_is_said() {
    for (pattern, expected) in [
        ("yyyy-MM-ddTHH", Error::Letter('T')),
        ("yyyy 'at", Error::Quote),
        ("XXXX", Error::Zone(4)),
    ] {
        assert_eq!(DateFormat::new(pattern, LEAP).err(), Some(expected));
    }
}

proptest::proptest! {
    #[test]
    fn nothing_panics_and_what_is_written_is_read_again(moment in -62_135_596_800_000..253_402_300_800_000_i64, text in ".{0,30}") {
        let format = format("G yyyy-MM-dd HH:mm:ss.SSS Z");
        proptest::prop_assert_eq!(format.read(&format.write(moment)), Ok(moment));
        let _ = format.read(&text);
        let _ = format.write(i64::MAX.saturating_sub(moment));
        if let Ok(any) = DateFormat::new(&text, moment) {
            let _ = any.read(&any.write(moment));
        }
    }
}

/// Java takes any number of letters.
#[test]
fn fields_are_as_wide_as_their_letters() {
    for (letter, end) in [("y", "2024"), ("Y", "2024"), ("d", "29"), ("S", "678")] {
        for count in [65_535, 65_536, 100_000] {
            let text = format(&letter.repeat(count)).write(LEAP);
            assert_eq!(text, "0".repeat(count - end.len()) + end, "{letter}");
        }
    }
}
