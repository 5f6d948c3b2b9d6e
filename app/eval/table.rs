//! Tables for the terminal: the first column to the left, numbers to the right.

use std::fmt;

/// Longest cell in characters.
const LONGEST: usize = 36;

/// A table with a heading.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    /// Adds a row of as many cells as there are headings.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    line += &format!("  {cell:<width$}");
                } else {
                    line += &format!("   {cell:>width$}");
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A name from a file as a terminal may show it: no control characters.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// [`plain`], and not too long: its beginning.
pub fn printable(text: &str) -> String {
    let shown = plain(text);
    match shown.char_indices().nth(LONGEST) {
        Some(_) => shown.chars().take(LONGEST - 1).chain(['…']).collect(),
        None => shown,
    }
}

/// The end of a path that is too long: that is where paths differ.
pub fn ending(path: &str) -> String {
    match path.chars().count().checked_sub(LONGEST) {
        Some(over) if over > 0 => ['…'].into_iter().chain(path.chars().skip(over + 1)).collect(),
        _ => path.to_owned(),
    }
}

/// A share with three decimals; a dash where there is none.
pub fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

/// "1 picture", "2 pictures", "3 categories", "4 classes".
pub fn count(number: usize, thing: &str) -> String {
    let plural = match thing.strip_suffix('y') {
        _ if number == 1 => thing.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None if thing.ends_with('s') => format!("{thing}es"),
        None => format!("{thing}s"),
    };
    format!("{number} {plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["class", "AP"]);
        table.row(["dining table".to_owned(), share(Some(0.5))]);
        table.row(["süß".to_owned(), share(None)]);
        assert_eq!(
            table.to_string(),
            "  class             AP\n  dining table   0.500\n  süß                –\n"
        );
    }

    #[test]
    fn things_are_counted() {
        let counted = [(1, "category"), (0, "category"), (2, "class"), (1, "class"), (3, "picture")];
        let words = counted.map(|(number, thing)| count(number, thing));
        assert_eq!(words, ["1 category", "0 categories", "2 classes", "1 class", "3 pictures"]);
    }

    #[test]
    fn names_cannot_write_into_the_terminal() {
        assert_eq!(printable("\u{1b}[2Jx\n"), "?[2Jx?");
        assert_eq!(printable(&"ä".repeat(50)).chars().count(), LONGEST);
        let path = format!("{}/süß/a.jpg", "x".repeat(50));
        assert!(ending(&path).starts_with("…xxx") && ending(&path).ends_with("x/süß/a.jpg"));
        assert_eq!((ending(&path).chars().count(), ending("a.jpg")), (LONGEST, "a.jpg".to_owned()));
    }
}
