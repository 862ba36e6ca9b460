//! Sets of HTTP statuses as configurations write them: `429,500-599,520-`, as Confluent's `retry.on.status.codes`.

use reqwest::StatusCode;

/// A set of statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    /// Reads a list of statuses and ranges; a range without end goes on to 599, one without beginning starts at 100. Empty: none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
        pieces.map(range).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it has that one.
    pub(crate) fn contains(&self, status: StatusCode) -> bool {
        let status = status.as_u16();
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

fn range(piece: &str) -> Result<(u16, u16), String> {
    let number =
        |text: &str, default: u16| {
            match text.trim() {
        "" => Ok(default),
        text => text.parse().ok().filter(|status| (100..=599).contains(status)).ok_or_else(|| {
            format!("{piece} is no status from 100 to 599 and no range of them such as 500-599, 500- or 429")
        }),
    }
        };
    let (from, to) = match piece.split_once('-') {
        Some((from, to)) => (number(from, 100)?, number(to, 599)?),
        None => (number(piece, 0)?, number(piece, 0)?),
    };
    if from > to {
        return Err(format!("the range {piece} ends before it begins"));
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_with_their_ends() {
        let cases: [(&str, &[u16], &[u16]); 4] = [
            ("429, 500-502", &[429, 500, 502], &[428, 430, 499, 503]),
            ("400-", &[400, 599], &[399]),
            ("-404", &[100, 404], &[405]),
            ("", &[], &[500]),
        ];
        for (text, inside, outside) in cases {
            let statuses = Statuses::parse(text).expect(text);
            let has = |status: &u16| statuses.contains(StatusCode::from_u16(*status).expect("a status"));
            assert!(inside.iter().all(has), "{text}");
            assert!(!outside.iter().any(has), "{text}");
        }
        for bad in ["x", "99", "600", "500-400", "5-", "500--502"] {
            Statuses::parse(bad).expect_err(bad);
        }
    }
}
