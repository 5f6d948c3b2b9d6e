//! Text for people: columns that line up.

use clap::builder::styling::{AnsiColor, Style};

/// Rows of cells under headings.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    /// Which rows are headings.
    headings: Vec<usize>,
    /// Columns whose cells stand at the right.
    right: Vec<usize>,
    /// Before the first column.
    indent: &'static str,
    /// Between columns.
    gap: &'static str,
}

impl Table {
    /// An empty table; numbers stand at the right in the columns `right`.
    pub fn new(right: &[usize]) -> Self {
        Self { rows: Vec::new(), headings: Vec::new(), right: right.to_vec(), indent: "", gap: "  " }
    }

    /// The same table with other space before the first column and between columns.
    pub fn spaced(self, indent: &'static str, gap: &'static str) -> Self {
        Self { indent, gap, ..self }
    }

    /// Adds a heading; every one but the first has an empty line before it.
    pub fn heading(&mut self, cells: &[&str]) {
        self.headings.push(self.rows.len());
        self.row(cells.iter().map(|cell| (*cell).to_string()).collect());
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, with bold headings and coloured states where `styled`.
    pub fn lines(&self, styled: bool) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let is_heading = |row: usize| self.headings.contains(&row);
        let line = |(number, row): (usize, &Vec<String>)| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                let space = " ".repeat(width - cell.chars().count());
                let style = if styled { style(cell, is_heading(number)) } else { Style::new() };
                // Space stays outside of the style, so that it can be cut off at the end of a line.
                let cell = format!("{style}{cell}{style:#}");
                if self.right.contains(&column) { space + &cell } else { cell + &space }
            });
            let cells: Vec<String> = cells.collect();
            let line = format!("{}{}", self.indent, cells.join(self.gap)).trim_end().to_string();
            if number > 0 && is_heading(number) { vec![String::new(), line] } else { vec![line] }
        };
        self.rows.iter().enumerate().flat_map(line).collect()
    }
}

/// How a cell looks on a terminal.
fn style(cell: &str, heading: bool) -> Style {
    match cell {
        _ if heading => Style::new().bold(),
        "here" | "built in" => AnsiColor::Green.on_default(),
        "damaged" | "unreadable" => AnsiColor::Red.on_default().bold(),
        "absent" | "–" => Style::new().dimmed(),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_with_text() {
        let mut table = Table::new(&[2]);
        table.heading(&["NAME", "INPUT", "SIZE"]);
        table.row(vec!["a".into(), "300×300".into(), "4.2 MB".into()]);
        table.row(vec!["longer".into(), "here".into(), String::new()]);
        table.heading(&["MORE"]);
        let plain = ["NAME    INPUT      SIZE", "a       300×300  4.2 MB", "longer  here", "", "MORE"];
        assert_eq!(table.lines(false), plain);
        let styled = table.lines(true);
        assert_eq!(styled[0], "\x1b[1mNAME\x1b[0m    \x1b[1mINPUT\x1b[0m      \x1b[1mSIZE\x1b[0m");
        assert_eq!(styled[1], plain[1]);
        assert_eq!(styled[2], "longer  \x1b[32mhere\x1b[0m");
        assert_eq!(styled[4], "\x1b[1mMORE\x1b[0m");
    }
}
