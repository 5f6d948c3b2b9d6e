//! Figures for the terminal: the first column to the left, numbers to the right.

use std::fmt;

use spotter_core::base::table;
use spotter_core::base::text::{LONGEST, printable};

/// A table of figures with a heading.
pub struct Table(table::Table);

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str]) -> Self {
        let right: Vec<usize> = (1..headings.len()).collect();
        let mut table = table::Table::new(&right).spaced("  ", "   ");
        table.heading(headings);
        Self(table)
    }

    /// Adds a row of as many cells as there are headings.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.row(cells.into_iter().map(|cell| printable(&cell, LONGEST)).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines(false).iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A share with three decimals; a dash where there is none.
pub fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
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
}
