//! Lines of CSV (RFC 4180).

/// A line of cells, with its end.
pub fn line(cells: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| quoted(cell.as_ref())).collect();
    cells.join(",") + "\n"
}

/// The cell, in quotes if it contains characters that separate cells or lines.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_separators_are_quoted() {
        assert_eq!(line(["a", "b c", "", "1.5"]), "a,b c,,1.5\n");
        assert_eq!(line(["left, right", "2\" probe"]), "\"left, right\",\"2\"\" probe\"\n");
    }
}
