//! Tables in Markdown, aligned so that they also read well in a terminal, and numbers a person can read.

/// A table under construction.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    /// So many columns, from the left, hold words and are aligned to the left.
    words: usize,
}

impl Table {
    /// A table with these headings: a column of words, then columns of numbers.
    #[must_use]
    pub fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        Self {
            rows: vec![headings.into_iter().map(Into::into).collect()],
            words: 1,
        }
    }

    /// A table with these headings: words only.
    #[must_use]
    pub fn of_words<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        Self {
            words: usize::MAX,
            ..Self::new(headings)
        }
    }

    /// Adds a row; missing cells stay empty, surplus cells are kept and widen the table.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(
            cells
                .into_iter()
                .map(|c| c.into().replace('|', "\\|"))
                .collect(),
        );
    }

    /// The Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|c| {
                self.rows
                    .iter()
                    .map(|r| cell(r, c).chars().count())
                    .max()
                    .unwrap_or(0)
                    .max(3)
            })
            .collect();
        let mut out = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, &width) in widths.iter().enumerate() {
                let text = cell(row, column);
                let pad = " ".repeat(width - text.chars().count());
                out.push_str(&if column < self.words {
                    format!("| {text}{pad} ")
                } else {
                    format!("| {pad}{text} ")
                });
            }
            out.push_str("|\n");
            if number == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width);
                    out.push_str(&if column < self.words {
                        format!("|-{dashes}-")
                    } else {
                        format!("|-{dashes}:")
                    });
                }
                out.push_str("|\n");
            }
        }
        out
    }
}

/// A number with thousands separated by commas, without decimals from 100 on.
#[must_use]
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "n/a".to_owned();
    }
    if value.abs() < 100.0 {
        return if value.abs() < 10.0 {
            format!("{value:.2}")
        } else {
            format!("{value:.1}")
        };
    }
    let digits = format!("{value:.0}");
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits.as_str()), |d| ("-", d));
    let mut out = String::from(sign);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Microseconds as the unit that suits them.
#[must_use]
pub fn micros(value: f64) -> String {
    if value >= 1e6 {
        format!("{:.2} s", value / 1e6)
    } else if value >= 1e3 {
        format!("{:.1} ms", value / 1e3)
    } else {
        format!("{value:.0} µs")
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, micros, number};

    #[test]
    fn columns_are_aligned_and_bars_are_escaped() {
        let mut table = Table::new(["name", "n"]);
        table.row(["a|b", "12345"]);
        table.row(["长"]);
        assert_eq!(
            table.markdown(),
            "| name |     n |\n|------|------:|\n| a\\|b | 12345 |\n| 长    |       |\n"
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(1_234_567.4), "1,234,567");
        assert_eq!(number(999.6), "1,000");
        assert_eq!(number(-1234.0), "-1,234");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(0.5), "0.50");
        assert_eq!(number(f64::NAN), "n/a");
        assert_eq!(
            (micros(12.0), micros(1500.0), micros(2.5e6)),
            ("12 µs".into(), "1.5 ms".into(), "2.50 s".into())
        );
    }
}
