use proptest::prelude::*;

use super::*;
use crate::directory::format::{csv, json::Values, lines::Lines};

const FORMATS: [&str; 3] = ["lines", "csv", "json"];

fn boundary(format: &str, position: u64, state: Option<&str>) -> Box<dyn Boundary> {
    match format {
        "lines" => Box::<Lines>::default(),
        "csv" => Box::new(csv::Rows::new(&csv::Options {
            separator: b',',
            quote: b'"',
            has_header: false,
            null_text: String::new(),
            infer: false,
            declared: None,
        })),
        _ => Box::new(Values::at(position, state)),
    }
}

/// All records behind a position, and where those are that are too long.
fn cut(
    format: &str,
    content: &[u8],
    from: &Piece,
    parts: &[usize],
    bytes_max: usize,
) -> (Vec<Piece>, Vec<u64>) {
    let (position, boundary) = (
        from.next_position,
        boundary(format, from.next_position, from.state),
    );
    let mut pieces = Pieces::at(position, from.checksum, bytes_max, boundary);
    let (mut found, mut long) = (Vec::new(), Vec::new());
    let mut parts = parts.iter().cycle();
    loop {
        match pieces.next() {
            Ok(Some(piece)) => found.push(piece),
            Err(too_long) => long.push(too_long.position),
            Ok(None) if pieces.is_finished() => return (found, long),
            Ok(None) => {
                let part = *parts.next().expect("some");
                let count = pieces.fill(|buffer, position| {
                    let rest = &content[usize::try_from(position).expect("small")..];
                    let count = rest.len().min(part);
                    buffer[..count].copy_from_slice(&rest[..count]);
                    Ok(count)
                });
                if count.expect("memory") == 0 {
                    pieces.set_at_end();
                }
            }
        }
    }
}

fn start() -> Piece {
    Piece {
        bytes: Bytes::new(),
        position: 0,
        next_position: 0,
        checksum: Some(0),
        state: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the bytes come, and wherever a run goes on, the records are the same, and so are those that are too long.
    #[test]
    fn records_do_not_depend_on_how_bytes_come(
        content in "(\u{feff})?[a1,\"\n\r {}\\[\\]\\\\:\u{0}ü]{0,60}",
        parts in prop::collection::vec(1_usize..9, 1..6),
        bytes_max in 3_usize..80,
    ) {
        let content = content.as_bytes();
        for format in FORMATS {
            let whole = cut(format, content, &start(), &[1000], bytes_max);
            let in_parts = cut(format, content, &start(), &parts, bytes_max);
            prop_assert_eq!(&whole, &in_parts, "{}", format);
            for (index, piece) in whole.0.iter().enumerate() {
                let end = usize::try_from(piece.next_position).expect("small");
                prop_assert_eq!(piece.checksum, Some(crc32c::crc32c(&content[..end])));
                prop_assert!(piece.bytes.len() <= bytes_max);
                let (rest, _) = cut(format, content, piece, &parts, bytes_max);
                prop_assert_eq!(&rest[..], &whole.0[index + 1..], "{} from {}", format, piece.next_position);
            }
        }
    }
}

#[test]
fn what_is_too_long_is_never_kept() {
    const LONG: u64 = 1 << 30;
    let mut pieces = Pieces::at(0, None, 1000, boundary("lines", 0, None));
    let mut most = 0;
    let mut fill = |pieces: &mut Pieces| {
        let read = |buffer: &mut [u8], position: u64| {
            most = most.max(buffer.len());
            // `ok`, a line of 1 GiB, `end`.
            let text: &[u8] = match position {
                0 => b"ok\n",
                _ if position < LONG => {
                    buffer.fill(b'x');
                    return Ok(buffer.len());
                }
                _ => b"\nend\n",
            };
            buffer[..text.len()].copy_from_slice(text);
            Ok(text.len())
        };
        pieces.fill(read).expect("memory");
    };
    let mut found = Vec::new();
    while found.len() < 3 {
        match pieces.next() {
            Ok(Some(piece)) => found.push(Ok(piece.bytes)),
            Err(long) => found.push(Err(long.position)),
            Ok(None) => fill(&mut pieces),
        }
    }
    assert_eq!(found, [Ok(Bytes::from("ok")), Err(3), Ok(Bytes::from("end"))]);
    assert!(most <= READ_BYTES, "{most} bytes were asked for at once");
}

#[test]
fn lines_are_put_together() {
    let start = regex::Regex::new("^[0-9]").expect("good");
    let mut multiline = Multiline::new(&start, 8).expect("good");
    let (lines, _) = cut(
        "lines",
        b"0\n1\n a\n2\n bbbbbbbb\n c\n3",
        &self::start(),
        &[3],
        100,
    );
    let mut found: Vec<_> = lines
        .into_iter()
        .filter_map(|line| multiline.push(line))
        .collect();
    found.extend(multiline.finish());
    let found: Vec<_> = found
        .into_iter()
        .map(|record| {
            record
                .map(|piece| (piece.bytes, piece.next_position))
                .map_err(|long| long.position)
        })
        .collect();
    assert_eq!(
        found,
        [
            Ok((Bytes::from("0"), 2)),
            Ok((Bytes::from("1\n a"), 7)),
            Err(7),
            Ok((Bytes::from("3"), 23)),
        ]
    );
}
