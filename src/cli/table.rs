//! Tables as most of Kafka's newer tools print them (`ToolsUtils.prettyPrintTable`).

/// Each cell as wide as its column, and a tab behind each.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        for (cell, width) in cells.zip(&widths) {
            text.push_str(&format!("{cell:<width$}\t"));
        }
        text.push('\n');
    };
    line(&mut header.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(
            table(&["Id", "State"], &[row(["1", "Ongoing"]), row(["12345", "x"])]),
            "Id   \tState  \t\n1    \tOngoing\t\n12345\tx      \t\n"
        );
        assert_eq!(table(&["Id"], &[]), "Id\t\n");
    }
}
